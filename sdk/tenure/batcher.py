"""The bounded queue between the host's predict calls and the agent, and the one thread that empties it.

The host's side is a length check and an append. Encoding, sending, waiting and counting happen in the sender thread.
Every row is, at any instant, in exactly one place: queued, acked, or dropped for a reason; `emitted` is their sum.
"""

from __future__ import annotations

import itertools
import logging
import os
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from tenure import complaints, forking
from tenure.backlog import QUEUE_FULL, SHUTDOWN, Account, Backlog, Parcel, Stats, Unencodable
from tenure.capture import Capture, Table, model_of, rows_in
from tenure.errors import TransportError

if TYPE_CHECKING:
    from tenure.settings import Settings
    from tenure.transport import Transport

logger = logging.getLogger("tenure")

BACKOFF_FIRST, BACKOFF_MOST = 0.1, 5.0
TABLE_COUNTERS = 1 << 40  # ids of tables count from here, those of single rows from 0


class Batcher:
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

    def __init__(self, settings: Settings, connect: Callable[[], Transport], rng: random.Random | None = None) -> None:
        self._settings = settings
        self._connect = connect
        self._rng = rng or random.Random()  # noqa: S311  # jitter, not a secret
        self._limit = settings.queue_rows
        self.half = settings.queue_rows >> 1  # waiting rows that wake a sender which is gathering
        self.counter = itertools.count()  # one for all monitors that share the prefix: it makes the ids of rows
        self.queue: deque[Capture] = deque()  # the same object for life: watched functions hold its append
        self._reset()
        forking.register(self)

    def _reset(self) -> None:
        """The state of a process that has sent nothing: at birth, and in a forked child."""
        self.prefix = f"{os.getpid():x}-{time.time_ns():x}"
        self.queue.clear()
        self.room = self._limit  # captures the queue may hold: the limit less the further rows of waiting tables
        self.asleep = True
        self._lock = threading.RLock()  # a signal handler may predict while its own thread holds it
        self._changed = threading.Condition(self._lock)
        self._account = Account()
        self._backlog = Backlog(self._account, self._settings.queue_bytes)
        self._taken: Sequence[Capture] = ()
        self._losses_told = 0
        self._failures = 0
        self._flushing = 0
        self._error: Exception | None = None
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._transport: Transport | None = None
        self._next_table = TABLE_COUNTERS

    def put(self, capture: Capture) -> None:
        """Queue a capture; never waits, and never raises for a full queue: then the oldest is dropped."""
        if len(self.queue) < self.room and not isinstance(capture, Table):
            self.queue.append(capture)
            if self.asleep or len(self.queue) == self.half:
                self.wake()
        else:
            self._put_counted(capture)

    def _put_counted(self, capture: Capture) -> None:
        rows = rows_in(capture)
        if rows > self._limit:
            self.drop(QUEUE_FULL, model_of(capture), rows)
            return
        with self._lock:
            while self.queue and len(self.queue) + rows > self.room:
                oldest = self.queue.popleft()
                self.room += rows_in(oldest) - 1
                self._account.drop(QUEUE_FULL, {model_of(oldest): rows_in(oldest)})
            self.room -= rows - 1
            self.queue.append(capture)
        self.wake()

    def reserve(self, rows: int) -> int:
        """First of `rows` consecutive id counters for a table."""
        with self._lock:
            first = self._next_table
            self._next_table += rows
            return first

    def drop(self, reason: str, model: str, rows: int = 1) -> None:
        """Count rows lost before they could be queued."""
        with self._lock:
            self._account.drop(reason, {model: rows})
        if self.asleep:
            self.wake()  # the agent hears of a loss even where no row follows

    def wake(self) -> None:
        """Start the sender, or end its sleep."""
        with self._lock:
            self.asleep = False
            if self._thread is None and not self._stopping:
                thread = threading.Thread(target=self._run, name="tenure-sender", daemon=True)
                thread.start()  # raises while the interpreter ends
                self._thread = thread
            self._changed.notify_all()

    def stats(self, model: str) -> Stats:
        with self._lock:
            waiting = (*self.queue.copy(), *self._taken)
            queued = sum(rows_in(capture) for capture in waiting if model_of(capture) == model)
            return self._account.stats(model, queued + self._backlog.rows(model))

    def flush(self, timeout: float) -> bool:
        """Wait until all that was queued is acked or dropped; False when `timeout` seconds were not enough."""
        deadline = time.monotonic() + timeout
        with self._lock:  # the sender moves rows under it: outside, they may be nowhere
            pending = self._pending()
        if pending:
            self.wake()
            with self._lock:
                self._flushing += 1
                self._changed.notify_all()
                complete = self._changed.wait_for(lambda: not self._pending(), deadline - time.monotonic())
                self._flushing -= 1
            if not complete:
                return False
        if self._settings.strict and self._error is not None:
            error, self._error = self._error, None
            raise error
        return True

    def _pending(self) -> bool:
        return bool(self.queue or self._taken or self._backlog)

    def close(self, timeout: float) -> bool:
        """Flush, stop the sender, and count what could not be sent as dropped.

        With an agent that does not answer anyway, it waits for a quarter of a second at most.
        """
        try:
            return self.flush(min(timeout, 0.25) if self._failures else timeout)
        finally:
            self._stop()
            with self._lock:
                for capture in (*self._taken, *self._drained()):
                    self._account.drop(SHUTDOWN, {model_of(capture): rows_in(capture)})
                self._backlog.abandon(SHUTDOWN)
                self._taken = ()
                self._restart()

    def _drained(self) -> list[Capture]:
        """Empty the queue, with the lock held. What a host's thread appends meanwhile is taken or stays."""
        taken = [self.queue.popleft() for _ in range(len(self.queue))]
        self.room = self._limit  # tables are only ever queued under the lock
        return taken

    # Before a fork the sender is stopped and its channel closed, so that no child inherits a call on its way.

    def before_fork(self) -> None:
        self._stop()

    def after_fork_in_parent(self) -> None:
        self._restart()
        if self._pending():
            self.wake()

    def after_fork_in_child(self) -> None:
        """The parent still has the rows: the child starts with none, and a name of its own."""
        self._reset()

    def _stop(self) -> None:
        with self._lock:
            self._stopping = True
            thread, transport = self._thread, self._transport
            self._changed.notify_all()
        if thread is not None:
            if transport is not None:
                transport.close()  # ends a call that hangs
            thread.join(self._settings.exit_timeout)
        self._transport = None

    def _restart(self) -> None:
        self._stopping = False
        self.asleep = True

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
                self._encode()
                self._failures = 0 if self._send() else self._failures + 1
                if self._failures:
                    self._pause()
            except Exception:  # the sender must outlive what it did not foresee
                self._failures += 1
                if complaints.due("sender"):
                    logger.exception("tenure: the sender failed")

    def _wait_for_work(self) -> bool:
        """With nothing queued: sleep until woken. True when there is something to do at once."""
        if self._account.losses > self._losses_told:
            self._backlog.add(Parcel(b"", {}))  # nothing to send but the news of a loss
            return True
        self.asleep = True  # set before the last look at the queue: an append after that look sees it
        if self.queue:
            self.asleep = False
            return True
        self._changed.notify_all()
        self._changed.wait()
        return False

    def _pause(self) -> None:
        """Full jitter backoff; what arrives meanwhile is still encoded, so that memory stays bounded in bytes."""
        most = min(BACKOFF_MOST, BACKOFF_FIRST * 2 ** min(self._failures, 10))
        until = time.monotonic() + self._rng.uniform(0, most)
        while (left := until - time.monotonic()) > 0 and not self._stopping:
            with self._lock:
                self._changed.wait(min(left, self._settings.flush_interval))
            self._encode()

    def _encode(self) -> None:
        with self._lock:
            taken = self._taken = self._drained()
        if not taken:
            return
        from tenure import report  # noqa: PLC0415  # protobuf is imported by the sender, never by the host

        results = list(report.encode(taken, self.prefix, self._settings.batch_bytes))
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
            if isinstance(result, Unencodable) and complaints.due(result.reason):
                logger.warning("tenure: dropped %s (%s): %r", dict(result.rows), result.reason, result.error)

    def _send(self) -> bool:
        """Send what is encoded, oldest first; False when the agent did not take it."""
        from tenure import report  # noqa: PLC0415

        while True:
            with self._lock:
                if self._stopping or not self._backlog:
                    self._changed.notify_all()
                    return True
                seq, parcel = self._backlog.oldest()
                dropped, losses = dict(self._account.dropped), self._account.losses
            try:
                if self._transport is None:
                    self._transport = self._connect()
                envelope = report.envelope(self.prefix, seq, self._backlog.acked_seq, dropped)
                reply = self._transport.report(envelope + parcel.body, self._settings.deadline)
            except TransportError as error:
                logger.debug("tenure: report %s not taken: %s", seq, error)
                transport, self._transport = self._transport, None
                if transport is not None:
                    transport.close()
                return False
            if reply.acked_seq < seq:
                return False
            rejected: Counter[str] = Counter()
            for rejection in reply.rejections:
                rejected[rejection.model] += rejection.rows
            with self._lock:
                if not self._backlog.on_its_way(seq):
                    return True  # closed meanwhile: it is counted as lost
                self._backlog.acknowledge(rejected)
                self._losses_told = losses + rejected.total()
