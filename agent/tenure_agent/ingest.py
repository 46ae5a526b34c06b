"""The agent's door: reports wait, are committed in groups, and answered when they are on disk.

Reports wait in a queue bounded in bytes. While the writer commits one group, the next one gathers: under light traffic
a report is committed at once, under heavy traffic a transaction carries many.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from tenure_agent.admission import Admission, Admitted, Keep
from tenure_agent.metrics import Metrics
from tenure_agent.records import ROLES
from tenure_agent.store import Database, StoreFull, StoreLost, outgoing, producers
from tenure_agent.store.catalogue import Catalogue
from tenure_agent.store.database import Cursor
from tenure_agent.store.producers import Producer
from tenure_agent.wire import Refusal, Report, decode
from tenure_proto.v1 import monitoring_pb2 as pb

logger = logging.getLogger(__name__)

T = TypeVar("T")

QUEUE_BYTES = 64 << 20
GROUP_BYTES = 16 << 20


class Busy(Exception):
    """There is no room; the producer should try again after `pause` milliseconds."""

    def __init__(self, told: str = "the queue is full", pause: int = 200) -> None:
        super().__init__(told)
        self.pause = pause


class Lane:
    """Reports that are stored in the order they came in: once one of them failed, none after it is."""

    def __init__(self) -> None:
        self.failed = False


@dataclass(slots=True)
class _Waiting:
    report: Report
    reply: asyncio.Future[pb.ReportReply]
    lane: Lane


class Ingest:
    """
    Parameters
    ----------
    database, catalogue
        Where rows go; the catalogue is changed only in the writer thread.
    metrics
        Counts everything stored, refused, missed and lost.
    clock
        Wall time in microseconds since 1970 UTC.
    committed
        Called after every commit with the oldest event time in it and the newest stored so far.
    keep
        Where reports go; None: into the tables that checks read.
    check_room
        Called with the bytes that wait; raises `Busy` where no more should come in.
    directives, session
        What every reply carries; see the wire.
    """

    def __init__(
        self,
        database: Database,
        catalogue: Catalogue,
        metrics: Metrics,
        clock: Callable[[], int],
        committed: Callable[[int, int], Awaitable[None]],
        *,
        keep: Keep | None = None,
        check_room: Callable[[int], None] = lambda _: None,
        directives: Callable[[], Sequence[pb.Directive]] = tuple,
        session: Callable[[], str] = str,
    ) -> None:
        self._database = database
        self._admission = Admission(catalogue, clock, keep)
        self._relays = keep is not None
        self._check_room = check_room
        self._directives = directives
        self._session = session
        self._metrics = metrics
        self._committed = committed
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue()
        self._queued_bytes = 0
        self._taken = asyncio.Event()  # a group left the queue
        self._writing = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self.newest = 0

    async def start(self) -> None:
        with suppress(StoreFull):  # it can wait
            await self._database.async_write(producers.compact)
        self.newest = await self._database.async_read(self._admission.load)
        zeroed = await self._database.async_read(self._admission.zeroed)
        self._metrics.store_damaged.set(zeroed)
        if zeroed:
            logger.error("%(rows)d rows of the store are zeroed: its disk lost what was written", {"rows": zeroed})
        if not self._relays:
            await self._adopt()
        self._task = asyncio.create_task(self._run(), name="ingest")

    async def stop(self) -> None:
        """Commit what is queued, then stop."""
        await self._queue.join()
        if self._task is not None:
            self._task.cancel()

    async def _adopt(self) -> None:
        """Store what this agent has not sent on while it was a relay."""

        def work(cursor: Cursor) -> int:
            reports = outgoing.read(cursor, outgoing.sent(cursor), GROUP_BYTES)
            decoded = [(one.number, decode(pb.ReportRequest.FromString(one.payload))) for one in reports]
            self._admission.adopt(cursor, decoded)
            outgoing.forget(cursor, outgoing.newest(cursor) if not reports else reports[-1].number, segment=0)
            return len(reports)

        if not await self._database.async_read(outgoing.newest):  # it never was a relay
            return
        adopted = 0
        with suppress(StoreFull):  # the rest when it is started again
            while done := await self._database.async_write(work):
                adopted += done
        if adopted:
            told = {"reports": adopted}
            logger.warning("no upstream: %(reports)d reports that were not sent on are now in this store", told)

    async def report(
        self, request: pb.ReportRequest, queued: Callable[[], Awaitable[None]] | None = None
    ) -> pb.ReportReply:
        """Store a report; returns after it is committed and synced.

        Parameters
        ----------
        queued
            Called when the report has its turn: what comes from now on is stored after it.

        Raises
        ------
        Busy, StoreFull
            The queue or the disk is full.
        """
        reply = self.submit(request, Lane())
        try:
            if queued is not None:
                await queued()
            return await reply
        finally:
            reply.cancel()  # the caller is gone, or it is done

    async def write(self, work: Callable[[Cursor], T], done: Callable[[T], object] = lambda _: None) -> T:
        """Run what may give names their numbers, in one transaction; where it fails, memory knows what is stored.

        One at a time, until `done` has heard of it: what follows would use names that a failed one has given.
        """
        async with self._writing:
            try:
                found = await self._database.async_write(work)
            except Exception:
                self._admission.distrust()
                with suppress(Exception):  # else the next group reloads first
                    await self._database.async_write(self._admission.reload)
                raise
            done(found)
            return found

    async def room(self) -> None:
        """Wait until the queue is half empty: what is left of it is for those that cannot wait."""
        while self._queued_bytes > QUEUE_BYTES // 2:
            await self._taken.wait()

    def submit(self, request: pb.ReportRequest, lane: Lane) -> asyncio.Future[pb.ReportReply]:
        """Queue a report; the future is done when it is committed and synced. Raises and fails as `report` does."""
        self._database.check_room()
        self._check_room(self._queued_bytes)
        if self._queued_bytes > QUEUE_BYTES:
            raise Busy
        report = decode(request)  # while the writer commits what came before
        self._queued_bytes += report.size
        waiting = _Waiting(report, asyncio.get_running_loop().create_future(), lane)
        self._queue.put_nowait(waiting)
        return waiting.reply

    async def _run(self) -> None:
        while True:
            group = [await self._queue.get()]
            size = group[0].report.size
            while size < GROUP_BYTES and not self._queue.empty():
                group.append(self._queue.get_nowait())
                size += group[-1].report.size
            self._queued_bytes -= size
            self._taken.set()
            self._taken.clear()
            try:
                await self._commit(group)
            except Exception:
                told = {"reports": len(group)}
                logger.exception("a group of %(reports)d reports was stored, what follows it failed", told)
            for _ in group:
                self._queue.task_done()

    async def _commit(self, group: Sequence[_Waiting]) -> None:
        _fail([waiting for waiting in group if waiting.lane.failed], RuntimeError("one before it was not stored"))
        group = [waiting for waiting in group if not waiting.lane.failed]
        if not group:
            return
        reports = [waiting.report for waiting in group]
        started = asyncio.get_running_loop().time()
        try:
            done = await self.write(lambda cursor: self._admission.store(cursor, reports), self._admission.committed)
        except Exception as error:
            logger.exception("a group of %(reports)d reports was not committed", {"reports": len(group)})
            self._metrics.commit_errors.inc()
            if len(group) > 1 and not isinstance(error, OSError | StoreFull | StoreLost):
                for waiting in group:  # one report that cannot be stored keeps no other out
                    await self._commit([waiting])
                return
            told = error if isinstance(error, StoreFull) else RuntimeError(f"not committed: {type(error).__name__}")
            _fail(group, told)
            return
        self._metrics.commit_seconds.observe(asyncio.get_running_loop().time() - started)
        self.newest = max(self.newest, done.newest)
        for waiting, refused in zip(group, done.refused, strict=True):
            if not waiting.reply.done():
                waiting.reply.set_result(_reply(waiting.report.seq, refused, self._directives(), self._session()))
        self._count(done)
        await self._committed(done.oldest, self.newest)

    def _count(self, done: Admitted) -> None:
        metrics = self._metrics
        for _, rows in done.batches:
            metrics.predictions.labels(*metrics.known(rows.model, rows.version), ROLES[rows.role]).inc(len(rows))
        for _, truths in done.truths:
            metrics.outcomes.labels(metrics.known(truths.model)[0]).inc(len(truths))
        for refusal in done.refused_now:
            metrics.dropped.labels(metrics.known(refusal.model)[0], metrics.reason(refusal.reason)).inc(refusal.rows)
        for (model, reason), lost in done.lost.items():
            if reason != "rejected":  # counted when we refused them
                metrics.dropped.labels(metrics.known(model)[0], metrics.reason(reason)).inc(lost)
        for model in done.type_changes:
            metrics.type_changes.labels(metrics.known(model)[0]).inc()
        metrics.missed.inc(done.missed)
        metrics.late.inc(done.late)
        metrics.lost_after_ack.inc(done.lost_after_ack)
        metrics.duplicates.inc(done.duplicates)

    def stored(self) -> int:
        """Predictions and outcomes stored, ever."""
        return self._admission.totals.stored

    def dropped(self) -> dict[str, int]:
        """Rows the producers told us they lost, by reason."""
        return dict(self._admission.totals.dropped)

    @property
    def lost_after_ack(self) -> int:
        """Reports acked before that the store does not hold, ever."""
        return self._admission.totals.lost

    def remembered(self) -> dict[str, Producer]:
        """The producers seen last, as they were committed."""
        return self._admission.remembered()


def _fail(group: Sequence[_Waiting], told: Exception) -> None:
    for waiting in group:
        waiting.lane.failed = True
        if not waiting.reply.done():
            waiting.reply.set_exception(told)


def _reply(seq: int, refused: Sequence[Refusal], directives: Sequence[pb.Directive], session: str) -> pb.ReportReply:
    rejections = [pb.Rejection(model=one.model, reason=one.reason, rows=one.rows) for one in refused]
    return pb.ReportReply(acked_seq=seq, rejections=rejections, directives=directives, session=session)
