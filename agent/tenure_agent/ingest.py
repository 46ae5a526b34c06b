"""Reports to rows: group commit, each report once, every refusal with its reason.

Reports wait in a queue bounded in bytes. While the writer commits one group, the next one gathers: under light traffic
a report is committed at once, under heavy traffic a transaction carries many.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

from tenure_agent.metrics import Metrics
from tenure_agent.store import Database, outcomes, predictions, producers
from tenure_agent.store.catalogue import Catalogue, LimitReached
from tenure_agent.store.database import Cursor
from tenure_agent.store.producers import Producer
from tenure_agent.wire import Array, Malformed, Rows, Truths, decode_batch, decode_outcomes
from tenure_proto.v1 import monitoring_pb2 as pb

logger = logging.getLogger(__name__)

QUEUE_BYTES = 64 << 20
GROUP_BYTES = 16 << 20
TOTALS = frozenset({"emitted", "acked"})  # told beside the losses, and none


class Busy(Exception):
    """The queue is full; the producer should try again a little later."""


@dataclass(slots=True)
class _Waiting:
    request: pb.ReportRequest
    size: int
    reply: asyncio.Future[pb.ReportReply]


@dataclass(slots=True)
class Committed:
    """What one transaction stored."""

    batches: list[tuple[int, Rows]] = field(default_factory=list)
    truths: list[tuple[int, Truths]] = field(default_factory=list)
    replies: list[pb.ReportReply] = field(default_factory=list)
    rejected: list[tuple[str, str, int]] = field(default_factory=list)
    missed: int = 0
    duplicates: int = 0
    lost: dict[tuple[str, str], int] = field(default_factory=dict)  # growth of the producers' totals
    oldest: int = 0
    newest: int = 0

    def saw(self, times: Array, now: int) -> None:
        """A row from the future must not take the event clock there."""
        low = min(int(times.min()), now)
        self.oldest = min(self.oldest, low) if self.oldest else low
        self.newest = max(self.newest, min(int(times.max()), now))


class Ingest:
    """The door of the agent.

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
    """

    def __init__(
        self,
        database: Database,
        catalogue: Catalogue,
        metrics: Metrics,
        clock: Callable[[], int],
        committed: Callable[[int, int], Awaitable[None]],
    ) -> None:
        self._database = database
        self._catalogue = catalogue
        self._metrics = metrics
        self._clock = clock
        self._committed = committed
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue()
        self._queued_bytes = 0
        self._producers: dict[str, Producer] = {}
        self._losses: dict[str, dict[tuple[str, str], int]] = {}
        self._batch = 0
        self._stale = False
        self._task: asyncio.Task[None] | None = None
        self.newest = 0

    async def start(self) -> None:
        def load(cursor: Cursor) -> None:
            producers.compact(cursor)
            self._producers = producers.load(cursor)
            self._losses = producers.load_losses(cursor)
            self._batch = predictions.newest_batch(cursor, self._catalogue)
            self.newest = min(predictions.newest_time(cursor, self._catalogue), self._clock())

        await self._database.async_write(load)
        self._task = asyncio.create_task(self._run(), name="ingest")

    async def stop(self) -> None:
        """Commit what is queued, then stop."""
        await self._queue.join()
        if self._task is not None:
            self._task.cancel()

    async def report(self, request: pb.ReportRequest) -> pb.ReportReply:
        """Store a report; returns after it is committed and synced.

        Raises
        ------
        Busy
            The queue is full.
        """
        size = request.ByteSize()
        if self._queued_bytes + size > QUEUE_BYTES:
            raise Busy
        self._queued_bytes += size
        waiting = _Waiting(request, size, asyncio.get_running_loop().create_future())
        self._queue.put_nowait(waiting)
        return await waiting.reply

    async def _run(self) -> None:
        while True:
            group = [await self._queue.get()]
            size = group[0].size
            while size < GROUP_BYTES and not self._queue.empty():
                group.append(self._queue.get_nowait())
                size += group[-1].size
            self._queued_bytes -= size
            try:
                await self._commit(group)
            except Exception:
                logger.exception("a group of %d reports was stored, what follows it failed", len(group))
            for _ in group:
                self._queue.task_done()

    async def _commit(self, group: Sequence[_Waiting]) -> None:
        requests = [waiting.request for waiting in group]
        started = asyncio.get_running_loop().time()
        try:
            done = await self._database.async_write(lambda cursor: self._store(cursor, requests))
        except Exception as error:
            logger.exception("a group of %d reports was not committed", len(group))
            self._stale = True
            with suppress(Exception):  # else the next group reloads first
                await self._database.async_write(self._reload)
            self._metrics.commit_errors.inc()
            for waiting in group:
                if not waiting.reply.done():
                    waiting.reply.set_exception(RuntimeError(f"not committed: {type(error).__name__}"))
            return
        self._metrics.commit_seconds.observe(asyncio.get_running_loop().time() - started)
        self.newest = max(self.newest, done.newest)
        for waiting, reply in zip(group, done.replies, strict=True):
            if not waiting.reply.done():
                waiting.reply.set_result(reply)
        self._count(done)
        await self._committed(done.oldest, self.newest)

    def _reload(self, cursor: Cursor) -> None:
        """After a failed transaction: what memory knows is what is stored."""
        fresh = Catalogue(cursor)
        self._catalogue.models = fresh.models
        self._producers = producers.load(cursor)
        self._losses = producers.load_losses(cursor)
        self._stale = False

    def _store(self, cursor: Cursor, requests: Sequence[pb.ReportRequest]) -> Committed:
        if self._stale:
            self._reload(cursor)
        done = Committed()
        now = self._clock()
        touched: dict[str, Producer] = {}
        for request in requests:
            done.replies.append(self._take(cursor, request, done, touched, now))
        for batches in _by_model(done.batches):
            predictions.append(cursor, self._catalogue, batches, now)
        for truths in _by_model(done.truths):
            outcomes.append(cursor, self._catalogue, truths, now)
        producers.append(cursor, touched.values())
        return done

    def _take(
        self, cursor: Cursor, request: pb.ReportRequest, done: Committed, touched: dict[str, Producer], now: int
    ) -> pb.ReportReply:
        """Decode one report into `done`, unless it is stored already."""
        name = request.producer_id[:128]
        producer = touched.get(name) or self._producers.setdefault(name, Producer(name))
        touched[name] = producer
        producer.last_seen = now
        self._take_losses(cursor, name, request, done)
        if request.seq <= producer.last_seq:
            done.duplicates += 1
            return _reply(request.seq, producer.rejections if request.seq == producer.last_seq else ())
        missed = request.seq - producer.last_seq - 1
        producer.last_seq, producer.missed = request.seq, producer.missed + missed
        done.missed += missed
        self._batch += 1
        rejections: list[tuple[str, str, int]] = []
        for batch in request.batches:
            try:
                rows = decode_batch(batch)
                self._admit(cursor, rows, now)
            except (Malformed, LimitReached) as refusal:
                rejections.append((batch.model, refusal.reason, batch.rows))
                continue
            done.batches.append((self._batch, rows))
            producer.stored += len(rows)
            done.saw(rows.times, now)
        for outcome in request.outcomes:
            try:
                truths = decode_outcomes(outcome)
                self._catalogue.model(cursor, truths.model, now)
            except (Malformed, LimitReached) as refusal:
                rejections.append((outcome.model, refusal.reason, len(outcome.ids)))
                continue
            done.truths.append((self._batch, truths))
            producer.stored += len(truths)
            done.saw(truths.times, now)
        producer.rejections = rejections
        done.rejected += rejections
        return _reply(request.seq, rejections)

    def _admit(self, cursor: Cursor, rows: Rows, now: int) -> None:
        """Every name of a batch has its number, or the batch is refused whole."""
        model = self._catalogue.model(cursor, rows.model, now)
        self._catalogue.version(cursor, model, rows.version, now)
        for values in rows.columns:
            self._catalogue.column(cursor, model, values.part, values.name, values.kind, now)

    def _take_losses(self, cursor: Cursor, producer: str, request: pb.ReportRequest, done: Committed) -> None:
        before = self._losses.get(producer, {})
        told = {(loss.model, loss.reason): loss.rows for loss in request.losses if loss.reason not in TOTALS}
        if told in ({}, before):
            return
        for key, rows in told.items():
            growth = rows - before.get(key, 0)
            if growth > 0:
                done.lost[key] = done.lost.get(key, 0) + growth
        self._losses[producer] = told
        producers.save_losses(cursor, producer, told)

    def _count(self, done: Committed) -> None:
        metrics = self._metrics
        for _, rows in done.batches:
            metrics.predictions.labels(*metrics.known(rows.model, rows.version), _ROLES[rows.role]).inc(len(rows))
        for _, truths in done.truths:
            metrics.outcomes.labels(metrics.known(truths.model)[0]).inc(len(truths))
        for model, reason, rows_ in done.rejected:
            metrics.dropped.labels(metrics.known(model)[0], reason).inc(rows_)
        for (model, reason), rows_ in done.lost.items():
            if reason != "rejected":  # counted when we refused them
                metrics.dropped.labels(metrics.known(model)[0], metrics.reason(reason)).inc(rows_)
        metrics.missed.inc(done.missed)
        metrics.duplicates.inc(done.duplicates)

    def stored(self) -> int:
        """Predictions and outcomes stored, ever."""
        return sum(producer.stored for producer in self._producers.values())

    def dropped(self) -> dict[str, int]:
        """Rows the producers told us they lost, by reason."""
        total: dict[str, int] = {}
        for losses in self._losses.values():
            for (_, reason), rows in losses.items():
                total[reason] = total.get(reason, 0) + rows
        return total


T = TypeVar("T", Rows, Truths)
_ROLES = ("champion", "challenger", "shadow")


def _by_model(items: Sequence[tuple[int, T]]) -> list[list[tuple[int, T]]]:
    groups: dict[str, list[tuple[int, T]]] = {}
    for number, item in items:
        groups.setdefault(item.model, []).append((number, item))
    return list(groups.values())


def _reply(seq: int, rejections: Sequence[tuple[str, str, int]]) -> pb.ReportReply:
    refused = [pb.Rejection(model=model, reason=reason, rows=rows) for model, reason, rows in rejections]
    return pb.ReportReply(acked_seq=seq, rejections=refused)
