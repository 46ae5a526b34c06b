"""The job that archives rows before they expire: each range of them exactly once, whatever dies on the way."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any

import duckdb

from tenure.errors import TenureError
from tenure_agent.archive import names
from tenure_agent.archive.place import Place, PlaceFailed
from tenure_agent.metrics import Metrics
from tenure_agent.records import MICROS
from tenure_agent.store import Database, StoreFull, archive, jobs, predictions
from tenure_agent.store.archive import File, Range
from tenure_agent.store.catalogue import Catalogue, Model
from tenure_agent.store.database import Cursor
from tenure_agent.units import in_micros

logger = logging.getLogger(__name__)

JOB = "archive"
FAILURES = (PlaceFailed, StoreFull, OSError, duckdb.Error)
RANGES = 8  # of one run, so that the next is not missed; what waits for longer goes when room is short


@dataclass(frozen=True, slots=True)
class Done:
    """One range's files and what is in them."""

    files: int
    predictions: int
    outcomes: int


class Archiving:
    """One store's.

    Parameters
    ----------
    after
        Rows that have been here for so long are archived, with all that came since; before that, as soon as a file of
        a sensible size is full.
    """

    def __init__(self, database: Database, place: Place, after: dt.timedelta, metrics: Metrics) -> None:
        self._database = database
        self._place = place
        self._after = in_micros(after)
        self._metrics = metrics
        self._one_at_a_time = asyncio.Lock()
        self.behind = 0.0  # seconds
        self.failed: str | None = None  # the last attempt's failure

    async def run(self, now: int) -> None:
        """Archive what is due at `now`."""

        left = RANGES

        def due(cursor: Cursor, model: Model) -> bool:
            nonlocal left
            rows, first = archive.waiting(cursor, model.number)
            full = rows >= archive.most_rows(cursor, model.number)
            found = left > 0 and (full or (rows > 0 and archive.age(cursor, first, now) >= self._after))
            left -= found
            return found

        await self._all(due)

        def read(cursor: Cursor) -> int:
            firsts = [archive.waiting(cursor, model.number)[1] for model in Catalogue(cursor).models.values()]
            return max((archive.age(cursor, first, now) for first in firsts if first), default=0)

        self.behind = await self._database.async_read(read) / MICROS
        self._metrics.archive_behind.set(self.behind)
        await self._database.async_write(lambda cursor: jobs.ran(cursor, JOB, now), into_floor=True)

    async def everything(self) -> None:
        """Archive all that is stored by now: rows must go, due or not."""
        upto = await self._database.async_read(lambda cursor: predictions.newest_batch(cursor, Catalogue(cursor)))
        await self._all(lambda cursor, model: 0 < archive.waiting(cursor, model.number)[1] <= upto)

    async def step(self, upto: int) -> dict[str, Any]:
        """For a person: one range with ingest numbers up to `upto`, or of all that is stored by now; until `done`.

        Raises
        ------
        PlaceFailed, StoreFull, OSError, duckdb.Error
            It could not be archived.
        """
        upto = upto or await self._database.async_read(
            lambda cursor: predictions.newest_batch(cursor, Catalogue(cursor))
        )
        for model in (await self._database.async_read(Catalogue)).models.values():
            found = await self.next_range(
                model, lambda cursor, model: 0 < archive.waiting(cursor, model.number)[1] <= upto
            )
            if found is not None:
                return {"done": False, "upto": upto, "model": model.name, **asdict(found)}
        return {"done": True, "upto": upto, "model": None, "files": 0, "predictions": 0, "outcomes": 0}

    def state(self) -> dict[str, Any]:
        """For `status`."""
        return {"behind": self.behind, "failed": self.failed}

    @asynccontextmanager
    async def resting(self) -> AsyncIterator[None]:
        """While no file is being written: rows may go."""
        async with self._one_at_a_time:
            yield

    async def _all(self, due: Callable[[Cursor, Model], bool]) -> None:
        for model in (await self._database.async_read(Catalogue)).models.values():
            try:
                while await self.next_range(model, due) is not None:
                    pass
            except FAILURES as error:
                logger.exception("rows of %(model)s could not be archived", {"model": model.name})
                if isinstance(error, PlaceFailed):  # as it would for the others
                    break

    async def next_range(self, model: Model, due: Callable[[Cursor, Model], bool]) -> Done | None:
        """Archive a model's next range, or the one that was under way, if it is due.

        Raises
        ------
        PlaceFailed, StoreFull, OSError, duckdb.Error
            It could not be; nothing is lost, and it will be tried again.
        """
        async with self._one_at_a_time:
            try:
                done = await self._next_range(model, due)
            except FAILURES as error:
                self.failed = str(error) if isinstance(error, TenureError) else type(error).__name__
                self._metrics.archive_errors.inc()
                raise
        if done is not None:
            self.failed = None
        return done

    async def _next_range(self, model: Model, due: Callable[[Cursor, Model], bool]) -> Done | None:
        def plan(cursor: Cursor) -> tuple[Range | None, bool]:
            begun = archive.unfinished(cursor, model.name, model.number)
            if begun is not None or not due(cursor, model):
                return begun, True
            return archive.following(cursor, model.name, model.number), False

        found, begun = await self._database.async_read(plan)
        if found is None:
            return None
        range_, number = found, model.number

        def begin(cursor: Cursor) -> str:
            if not begun:
                archive.begin(cursor, number, range_)
            return archive.store_id(cursor)

        store = await self._database.async_write(begin, into_floor=True)
        counts = {"predictions": 0, "outcomes": 0}
        for file in range_.files:
            counts[file.part] += await self._file(number, range_, file, names.name(store, range_, file))
        await self._database.async_write(lambda cursor: archive.finish(cursor, number, range_), into_floor=True)
        self._metrics.archived.inc(sum(counts.values()))
        return Done(len(range_.files), **counts)

    async def _file(self, model: int, range_: Range, file: File, name: str) -> int:
        staged = self._database.exports / f"archive-{model}-{file.part}-{file.day}.parquet"
        try:
            rows = await self._database.async_read(
                lambda cursor: archive.copy(cursor, model, range_, file, str(staged))
            )
            if rows:
                await asyncio.to_thread(self._place.put, staged, name)
            else:  # all of them had to go for want of room since the range was begun
                await asyncio.to_thread(self._place.remove, name)
        finally:
            staged.unlink(missing_ok=True)
        return rows
