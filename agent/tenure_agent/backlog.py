"""A relay's backlog: reports it has acked and its hub has not, on disk, bounded in bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from itertools import chain, compress

from tenure_agent.admission import Admitted, Taken
from tenure_agent.ingest import Busy
from tenure_agent.store import Database, outgoing
from tenure_agent.store.database import Cursor
from tenure_agent.store.outgoing import Outgoing, Unsent
from tenure_agent.wire import MAX_LOSS_NAME, Refusal
from tenure_proto.v1 import monitoring_pb2 as pb

CHUNK = 4 << 20  # bytes read at a time


class Backlog:
    """
    Parameters
    ----------
    database
        Where reports wait.
    most
        Bytes that may wait: past them no report is taken.
    """

    def __init__(self, database: Database, most: int) -> None:
        self._database = database
        self._most = most
        self._segment = min(outgoing.SEGMENT, most // 8)
        self._group = Unsent()
        self._marked = 0
        self.sent = 0  # the ingest number up to which the hub has acked
        self.unsent = Unsent()

    async def load(self) -> None:
        """Begin with what waits on disk."""

        def read(cursor: Cursor) -> tuple[int, Unsent]:
            return outgoing.sent(cursor), outgoing.unsent(cursor)

        self.sent, self.unsent = await self._database.async_read(read)
        self._marked = self.sent

    def check_room(self, queued: int) -> None:
        """
        Raises
        ------
        Busy
            With the bytes that are queued before it, more would wait than may.
        """
        if self.unsent.size + queued > self._most:
            raise Busy("the backlog is full", 1000)

    def keep(self, cursor: Cursor, done: Admitted, now: int) -> None:
        """Store what was admitted, in the transaction that admits it: in the writer thread."""
        reports = [Outgoing(taken.number, now, passed_on(taken)) for taken in done.taken]
        outgoing.append(cursor, reports, self._segment)
        self._group = Unsent(len(reports), sum(len(report.payload) for report in reports), now)

    def committed(self) -> None:
        """What was kept last is on disk."""
        before, new = self.unsent, self._group
        since = before.since if before.reports else new.since
        self.unsent = Unsent(before.reports + new.reports, before.size + new.size, since)
        self._group = Unsent()

    async def read(self, after: int) -> list[Outgoing]:
        """The next reports after an ingest number, in their order."""
        return await self._database.async_read(lambda cursor: outgoing.read(cursor, after, CHUNK))

    def acked(self, report: Outgoing, following: Outgoing | None) -> None:
        """The hub has stored the oldest report; `following` is the next, where it is known."""
        self.sent = report.number
        since = report.time if following is None else following.time
        self.unsent = Unsent(self.unsent.reports - 1, self.unsent.size - len(report.payload), since)

    async def save(self) -> None:
        """Keep on disk how far the hub is, and let go of what it has."""
        upto = self.sent
        if upto > self._marked:
            dropped = await self._database.async_write(
                lambda cursor: outgoing.forget(cursor, upto, self._segment), into_floor=True
            )
            self._marked = upto
            if dropped:
                await asyncio.wrap_future(self._database.checkpoint())

    def oldest(self, now: int) -> float:
        """Seconds the oldest report has waited at `now`."""
        return max(0, now - self.unsent.since) / 1e6 if self.unsent.reports else 0.0


def passed_on(taken: Taken) -> bytes:
    """A report as it goes to the hub: without what was refused here, of which the hub is told."""
    request = taken.report.request
    if all(taken.accepted):
        return request.SerializeToString()
    parts = list(compress(chain[pb.Batch | pb.Outcomes](request.batches, request.outcomes), taken.accepted))
    refused = [pb.Rejection(model=one.model, reason=one.reason, rows=one.rows) for one in _summed(taken.refused)]
    made = pb.ReportRequest(
        producer_id=request.producer_id,
        seq=request.seq,
        acked_seq=request.acked_seq,
        losses=request.losses,
        batches=[part for part in parts if isinstance(part, pb.Batch)],
        outcomes=[part for part in parts if isinstance(part, pb.Outcomes)],
        refused=[*request.refused, *refused],
    )
    if made.ByteSize() > request.ByteSize():  # the hub's limit on messages is ours: they are counted here alone then
        del made.refused[:]
    return made.SerializeToString()


def _summed(refusals: Iterable[Refusal]) -> Iterator[Refusal]:
    rows: dict[tuple[str, str], int] = {}
    for one in refusals:
        key = one.model[:MAX_LOSS_NAME], one.reason
        rows[key] = rows.get(key, 0) + one.rows
    return (Refusal(model, reason, count) for (model, reason), count in rows.items() if count)
