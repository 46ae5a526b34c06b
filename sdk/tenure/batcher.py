"""The bounded queue between the host's predict calls and the agent, and the one thread that empties it.

The host's side is a length check and an append. Encoding, sending, waiting and counting happen in the sender thread.
Every row is, at any instant, in exactly one place: queued, acked, or dropped for a reason; `emitted` is their sum.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from tenure import complaints, forking, threads
from tenure.backlog import SHUTDOWN, Parcel, Stats, Unencodable
from tenure.backoff import Backoff
from tenure.capture import Capture, model_of, rows_in
from tenure.errors import TransportError
from tenure.offering import Offering
from tenure.producer import Producer, producer_of

if TYPE_CHECKING:
    from random import Random

    from tenure.settings import Settings
    from tenure.transport import Transport

ADOPT_EVERY = 30.0  # seconds between looks for what dead processes left in the spool


class Batcher(Offering):
    """One bounded queue and one sender thread, shared by the monitors of a process that report to one agent.

    Parameters
    ----------
    settings
        Limits, see `Settings`.
    connect
        Makes a transport; called in the sender thread, again after every failure and in every forked child.
    rng
        Source of the backoff's jitter.
    """

    def __init__(self, settings: Settings, connect: Callable[[], Transport], rng: Random | None = None) -> None:
        super().__init__(settings, connect)
        self._backoff = Backoff(rng)
        self._reset()
        forking.register(self)

    def _reset(self) -> None:
        """The state of a process that has sent nothing: at birth, and in a forked child."""
        self._start_afresh()
        self._own = producer_of(self.prefix, self._lock, self._settings)
        self._account, self._backlog = self._own.account, self._own.backlog
        self._adopted: Producer | None = None
        self._recovered: Counter[str] = Counter()
        self._looked = float("-inf")  # when orphans were last looked for
        self._taken: Sequence[Capture] = ()
        self._failures, self._resume = 0, 0.0
        self._flushing = 0
        self._error: Exception | None = None
        self._stopping = False

    def wake(self) -> None:
        """Start the sender, or end its sleep."""
        with self._lock:
            self.asleep = False
            if self._thread is None and not self._stopping:
                self._start_thread(self._run)
            self._changed.notify_all()

    def stats(self, model: str) -> Stats:
        with self._lock:
            waiting = (*self.queue.copy(), *self._taken)
            queued = sum(rows_in(capture) for capture in waiting if model_of(capture) == model)
            stats = self._account.stats(model, queued + self._own.rows(model))
            return replace(stats, recovered=self._recovered[model])

    def flush(self, timeout: float) -> bool:
        """Wait until all that was queued is acked or dropped; False when `timeout` seconds were not enough."""
        return self._checked(threads.aside(lambda: self._emptied(timeout)))

    def _emptied(self, timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        with self._lock:  # the sender moves rows under it: outside, they may be nowhere
            if not self._pending():
                return True
        self.wake()
        with self._lock:
            self._flushing += 1
            self._changed.notify_all()
            complete = self._changed.wait_for(lambda: not self._pending(), deadline - time.monotonic())
            self._flushing -= 1
        return bool(complete)

    def _checked(self, complete: bool) -> bool:
        if complete and self._settings.strict and self._error is not None:
            error, self._error = self._error, None
            raise error
        return complete

    def _pending(self) -> bool:
        return bool(self.queue or self._taken or self._own.waiting() or self._adopted)

    def close(self, timeout: float, patience: float | None = None) -> bool:
        """Flush, stop the sender, and spool what could not be sent, or count it as dropped.

        With an agent that does not answer anyway, it waits for a quarter of a second at most; `patience` is how long
        the sender may take to stop, and then what waits to be encoded for the spool."""
        patience = self._settings.exit_timeout if patience is None else patience
        self._resume = 0.0  # one more attempt at once: the agent may be back
        try:
            return self._checked(self._emptied(min(timeout, 0.25) if self._failures else timeout))
        finally:
            stopped = self._stop(patience)
            if stopped and self._settings.spool:
                self._encode(until=time.monotonic() + patience)
                self._own.keep()
            with self._lock:
                for capture in (*self._taken, *self._drained()):
                    self._account.drop(SHUTDOWN, {model_of(capture): rows_in(capture)})
                self._own.abandon(SHUTDOWN)
                self._taken = ()
                self._stopping, self.asleep = False, True
                self._changed.notify_all()

    # Before a fork the sender is stopped and its channel closed, so that no child inherits a call on its way.

    def before_fork(self) -> None:
        while not self._stop(self._settings.exit_timeout) and forking.imports(self._thread):
            pass  # an import comes to its end; its lock, inherited by a child, would be held for ever

    def after_fork_in_parent(self) -> None:
        self._stopping, self.asleep = False, True
        if self._pending():
            self.wake()

    def after_fork_in_child(self) -> None:
        """The parent still has the rows: the child starts with none, and a name of its own."""
        for producer in (self._own, self._adopted):
            if producer is not None:
                producer.release()
        self._reset()

    def _stop(self, patience: float) -> bool:
        with self._lock:
            self._stopping = True
            thread, until = self._thread, time.monotonic() + patience
            self._changed.notify_all()
        while thread is not None and thread.is_alive():
            self._pipeline.close()  # ends a call that hangs; each time round, as the sender may be about to make one
            thread.join(max(0.0, min(0.02, until - time.monotonic())))
            if time.monotonic() >= until:
                break
        stopped = thread is None or not thread.is_alive()
        if stopped:
            self._pipeline.reset()
        return stopped

    def _run(self) -> None:
        while True:
            with self._lock:
                if self._stopping:
                    self._thread = None  # its own work: one that outlives the wait in _stop goes on as the sender
                    return
                if not self._pending() and not self._wait_for_work():
                    continue
                if not self._flushing and not self._failures and len(self.queue) < self.half:
                    self._changed.wait(self._settings.flush_interval)
            try:
                self._adopt()
                self._encode()
                self._offer()
                self._failures = 0 if self._send_all() else self._failures + 1
                if self._failures:
                    self._pause()
            except Exception:  # noqa: BLE001  # the sender must outlive what it did not foresee
                self._failures += 1
                complaints.say("sender", "the sender failed", trace=True)
                with suppress(Exception):
                    self._pipeline.reset()

    def _wait_for_work(self) -> bool:
        """With nothing queued: sleep until woken. True when there is something to do at once."""
        if self._own.add_news():
            return True
        self.asleep = True  # set before the last look at the queue: an append after that look sees it
        if self.queue:
            self.asleep = False
            return True
        self._changed.notify_all()
        self._changed.wait(self._nap(ADOPT_EVERY if self._settings.spool else None))
        return bool(self._settings.spool) or self._nap(None) == 0  # it may be time to look for orphans, or to offer

    def _pause(self) -> None:
        """What arrives meanwhile is still encoded, so that memory stays bounded in bytes."""
        self._resume = time.monotonic() + self._backoff.seconds(self._failures)
        while (left := self._resume - time.monotonic()) > 0 and not self._stopping:
            with self._lock:
                self._changed.wait(min(left, self._settings.flush_interval))
            self._encode()

    def _adopt(self) -> None:
        """Take on what a dead process left in the spool."""
        if self._settings.spool and self._adopted is None and time.monotonic() - self._looked > ADOPT_EVERY:
            self._adopted = self._own.adopt()
            if self._adopted is None:
                self._looked = time.monotonic()

    def _encode(self, until: float = float("inf")) -> None:
        if self._settings.when_full == "block" and self._own.full():
            return  # the host's threads wait until there is room
        with self._lock:
            taken = self._taken = self._drained()
            self._changed.notify_all()
        if taken:
            self._encode_all(taken, until)
        if self._failures or self._own.on_disk():
            self._own.spill()

    def _encode_all(self, taken: list[Capture], until: float) -> None:
        from tenure import report  # noqa: PLC0415  # protobuf is imported by the sender, never by the host

        results: list[Parcel | Unencodable] = []
        for start in range(0, len(taken), report.CHUNK_ROWS):
            if time.monotonic() > until:  # the host's exit does not wait for it
                results.append(Unencodable(SHUTDOWN, report.count(taken[start:])))
                break
            part = taken[start : start + report.CHUNK_ROWS]
            results += report.encode(part, self.prefix, self._settings.batch_bytes)
        with self._lock:
            if self._taken is not taken:
                return  # closed meanwhile: they are counted as lost
            self._taken = ()
            for result in results:
                if isinstance(result, Parcel):
                    self._account.skip(result.skipped)
                    self._backlog.add(result)
                else:
                    self._account.drop(result.reason, result.rows)
                    self._error = result.error or self._error
        for result in results:
            if isinstance(result, Unencodable) and result.reason != "sampled_out":
                complaints.say(result.reason, "dropped %s (%s): %r", dict(result.rows), result.reason, result.error)

    def _send_all(self) -> bool:
        """Send what waits; False when the agent did not take it."""
        if not self._send(self._own):
            return False
        if (adopted := self._adopted) is None:
            return True
        sent = self._send(adopted)
        if sent and not adopted.waiting() and not adopted.add_news():
            adopted.finish()  # before `flush` may tell anybody that all is done, and not under the lock: it is on disk
            with self._lock:
                self._recovered.update(adopted.account.acked)
                self._adopted = None
                self._changed.notify_all()
        return sent

    def _send(self, producer: Producer) -> bool:
        """Oldest first, until all is acked or it is time to encode."""
        backlog, pipeline = producer.backlog, self._pipeline
        while True:
            producer.load()
            with self._lock:
                if self._stopping or not backlog:
                    self._changed.notify_all()
                    return True
            try:
                pipeline.fill(producer)
                flight, reply = pipeline.reply()
            except TransportError as error:
                complaints.note("report %s not taken: %s", backlog.number_before() + 1, error)
                pipeline.reset()
                producer.spill()
                return False
            self._failures = 0  # the agent is back, even where it leaves again before all is sent
            self._hear(reply.session)
            rejected: Counter[str] = Counter()
            for rejection in reply.rejections:
                rejected[rejection.model] += rejection.rows
            with self._lock:
                if not backlog.on_its_way(flight.seq):
                    return True  # closed meanwhile: it is counted as lost
                backlog.acknowledge(rejected)
                producer.told = max(producer.told, flight.losses) + rejected.total()
            producer.settle()
            if len(self.queue) > self.half and not self._own.full():
                return True
