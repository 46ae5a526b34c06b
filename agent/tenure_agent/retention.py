"""The scheduled job that keeps the store within its age and size, and counts labels that came too late.

Every run sees to the rows, by when they came; once an hour it sees to what grows more slowly: summaries, verdicts and the
list of producers.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from contextlib import nullcontext

from tenure_agent.archive.archiving import Archiving
from tenure_agent.config import Config
from tenure_agent.metrics import Metrics
from tenure_agent.past import WINDOW
from tenure_agent.records import HOUR
from tenure_agent.rollup import roll_up
from tenure_agent.store import Database, expiry, jobs, predictions, producers, steps, summaries, verdicts
from tenure_agent.store.catalogue import Catalogue
from tenure_agent.store.database import Cursor
from tenure_agent.store.packing import pack
from tenure_agent.units import in_micros

logger = logging.getLogger(__name__)

JOB = "retention"
OFTEN = dt.timedelta(minutes=1)


class TrustedClock:
    """A wall clock of which a jump counts only once it has lasted: a wrong one must not make all rows old at once.

    Parameters
    ----------
    last
        The time trusted last, in microseconds since 1970 UTC; None: there is none yet.
    """

    def __init__(self, last: int | None) -> None:
        self._trusted = self._seen = last
        self._doubted: int | None = None  # since then

    def time(self, now: int) -> int:
        """`now`, or what was trusted last, until an hour has passed since a jump by more than an hour, or back."""
        if self._seen is not None and not 0 <= now - self._seen <= HOUR:
            self._doubted = now
        self._seen = now
        if self._trusted is None or self._doubted is None or now - self._doubted >= HOUR:
            self._trusted, self._doubted = now, None
        return self._trusted


class Retention:
    """One store's.

    Parameters
    ----------
    archiving
        Rows go only once they are archived, unless there is no room for them; None where there is no archive.
    """

    def __init__(
        self,
        database: Database,
        catalogue: Catalogue,
        config: Config,
        metrics: Metrics,
        archiving: Archiving | None = None,
    ) -> None:
        self._database = database
        self._catalogue = catalogue
        self._config = config
        self._metrics = metrics
        self._archiving = archiving
        self._matched: int | None = None  # outcomes up to this ingest number had time to find their prediction
        self._expired = False
        self._tidied: int | None = None
        self._trusted: TrustedClock | None = None

    @property
    def interval(self) -> dt.timedelta:
        """By the wall, what comes fast is caught within a minute; by event time, a minute is nothing."""
        return OFTEN if self._config.clock == "wall" else max(OFTEN, self._config.store.retain / 48)

    async def run(self, now: int) -> None:
        """Remove what is too old or too much at `now`."""
        if self._config.clock == "wall":
            if self._trusted is None:
                self._trusted = TrustedClock((await self._database.async_read(jobs.last_runs)).get(JOB))
            now = self._trusted.time(now)
        limits = self._limits()
        used = await self._database.async_read(expiry.used_bytes)
        if used > limits.size:  # what the last run removed counts until a checkpoint
            await asyncio.wrap_future(self._database.checkpoint())
            used = await self._database.async_read(expiry.used_bytes)
        if used > limits.size and self._archiving is not None:
            await self._archiving.everything()

        tidy = self._tidied is None or now - self._tidied >= min(HOUR, limits.age // 2)

        def work(cursor: Cursor) -> tuple[expiry.Expired, int]:
            expiry.note(cursor, self._catalogue, limits.age, now)
            done = expiry.expire(cursor, self._catalogue, limits, now, used)
            for table in ("pending", "outcomes"):
                pack(cursor, table)
            others = self._tidy(cursor, limits, now, used) if tidy else 0
            jobs.ran(cursor, JOB, now)
            return done, others

        async with nullcontext() if self._archiving is None else self._archiving.resting():
            done, others = await self._database.async_write(work, into_floor=True)
        self._tidied = now if tidy else self._tidied
        if done.rows or done.outcomes or done.pending:
            self._expired = True
            logger.info(
                "%(rows)d rows, %(outcomes)d outcomes and %(pending)d slim rows expired; %(slimmed)d rows became slim",
                {"rows": done.rows, "outcomes": done.outcomes, "pending": done.pending, "slimmed": done.slimmed},
            )
        if done != expiry.Expired() or others:
            await asyncio.wrap_future(self._database.checkpoint())
        self._metrics.expired.inc(done.rows)
        if done.lost:
            self._metrics.archive_lost.inc(done.lost)
            logger.error("%(rows)d rows were removed for room before they could be archived", {"rows": done.lost})
        await self._count_unmatched()

    def _tidy(self, cursor: Cursor, limits: expiry.Limits, now: int, used: int) -> int:
        """Summaries are kept as long as rows, where there is room, and for what a check reads in any case."""
        producers.forget(cursor, limits.age + 24 * HOUR)
        removed = verdicts.expire(cursor, now - limits.age, now)
        for model in list(self._catalogue.models.values()):
            for version in list(model.versions.values()):
                removed += roll_up(cursor, model, version, now)
            needed = max(6 * HOUR, 2 * WINDOW * steps.longest(cursor, model.number))
            keep = needed if used > limits.size else max(limits.age, needed)
            removed += summaries.expire(cursor, model.number, keep, now)
        return removed

    def _limits(self) -> expiry.Limits:
        store = self._config.store
        horizons, segments = {}, {}
        for name in list(self._catalogue.models):
            model = self._config.model(name)
            # Labels are judged once they span a window: with one window of them, they never would.
            horizons[name] = in_micros(model.performance.label_delay + 2 * model.performance.window)
            segments[name] = model.segments
        archived = self._archiving is not None
        return expiry.Limits(in_micros(store.retain), store.max_size, horizons, segments, archived)

    async def _count_unmatched(self) -> None:
        """Each outcome is looked for once, a run after it came; while nothing has expired, none can be too late."""

        def read(cursor: Cursor) -> tuple[int, dict[str, int]]:
            committed = Catalogue(cursor)
            newest = predictions.newest_batch(cursor, committed)
            if self._matched is None or not self._expired:
                return newest, {}
            return newest, expiry.count_unmatched(cursor, committed, self._matched, newest)

        self._matched, found = await self._database.async_read(read)
        for model, outcomes in found.items():
            self._metrics.unmatched.labels(self._metrics.known(model)[0]).inc(outcomes)
