"""The scheduled job that keeps the store within its age and size, and counts labels that came too late."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging

from tenure_agent.config import Config
from tenure_agent.metrics import Metrics
from tenure_agent.store import Database, expiry, jobs, predictions
from tenure_agent.store.catalogue import Catalogue
from tenure_agent.store.database import Cursor

logger = logging.getLogger(__name__)

JOB = "retention"
MINUTE = dt.timedelta(minutes=1)
STEADY = 3_600_000_000  # microseconds


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
        if self._seen is not None and not 0 <= now - self._seen <= STEADY:
            self._doubted = now
        self._seen = now
        if self._trusted is None or self._doubted is None or now - self._doubted >= STEADY:
            self._trusted, self._doubted = now, None
        return self._trusted


class Retention:
    """One store's."""

    def __init__(self, database: Database, catalogue: Catalogue, config: Config, metrics: Metrics) -> None:
        self._database = database
        self._catalogue = catalogue
        self._config = config
        self._metrics = metrics
        self._matched: int | None = None  # outcomes up to this ingest number had time to find their prediction
        self._expired = False
        self._trusted: TrustedClock | None = None

    @property
    def interval(self) -> dt.timedelta:
        """By the wall, what comes fast is caught within a minute; by event time, a minute is nothing."""
        return MINUTE if self._config.clock == "wall" else max(MINUTE, self._config.store.retain / 48)

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

        def work(cursor: Cursor) -> expiry.Expired:
            expiry.note(cursor, self._catalogue, limits.age, now)
            done = expiry.expire(cursor, self._catalogue, limits, now, used)
            jobs.ran(cursor, JOB, now)
            return done

        done = await self._database.async_write(work, into_floor=True)
        if done.rows or done.outcomes or done.pending:
            self._expired = True
            await asyncio.wrap_future(self._database.checkpoint())
            logger.info(
                "%(rows)d rows, %(outcomes)d outcomes and %(pending)d slim rows expired; %(slimmed)d rows became slim",
                {"rows": done.rows, "outcomes": done.outcomes, "pending": done.pending, "slimmed": done.slimmed},
            )
        self._metrics.expired.inc(done.rows)
        await self._count_unmatched()

    def _limits(self) -> expiry.Limits:
        store = self._config.store
        horizons = {}
        for name in list(self._catalogue.models):
            performance = self._config.model(name).performance
            horizons[name] = (performance.label_delay + performance.window) // dt.timedelta(microseconds=1)
        return expiry.Limits(store.retain // dt.timedelta(microseconds=1), store.max_size, horizons)

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
