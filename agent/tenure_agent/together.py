"""Whether features still go together: looked at rarely, on some of the rows of a stretch of time."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace

from tenure_agent.bins import NUMERIC, Array
from tenure_agent.builder import STRETCH
from tenure_agent.checks.failure import failed
from tenure_agent.checks.multivariate import CHECK, Sample, check_multivariate
from tenure_agent.config import Config
from tenure_agent.covariance import Covariance
from tenure_agent.records import ERROR, FEATURE, REFERENCE_ERROR, Level, Verdict, Window
from tenure_agent.reference import Reference
from tenure_agent.store import Database, stretches, verdicts
from tenure_agent.store.catalogue import Model
from tenure_agent.store.database import Cursor
from tenure_agent.store.stretches import Stretch
from tenure_agent.stored_rows import read_column
from tenure_agent.surprise import margin_of
from tenure_agent.units import in_micros

logger = logging.getLogger(__name__)

MOST_ROWS, MOST_VALUES = 10_000, 1 << 19  # read of one window

Rows = Mapping[tuple[str, str], Array]


class Together:
    """The multivariate check of all versions of one store.

    Parameters
    ----------
    settle
        How long after a window's end its rows may still come, in microseconds.
    """

    def __init__(self, database: Database, config: Config, settle: int) -> None:
        self._database = database
        self._config = config
        self._settle = settle
        self._looked: dict[tuple[int, int], tuple[int, list[Verdict]]] = {}  # the window, and what was said before
        self._unsaved: dict[tuple[int, int], Verdict] = {}

    async def look(self, model: Model, version: int, reference: Reference | None, now: int) -> list[Verdict]:
        """The verdict over the newest window that is over at an event time; none where it was given and `saved` before."""
        drift, key = self._config.model(model.name).drift, (model.number, version)
        self._unsaved.pop(key, None)
        if drift.multivariate is None or reference is None:
            return []
        length = in_micros(drift.multivariate)
        end = (now - self._settle) // length * length
        window = Window(end - length, end)
        try:
            if key not in self._looked:
                past = await self._database.async_read(lambda cursor: _past(cursor, model, version))
                self._looked[key] = (past[-1].window.end if past else 0, past)
            last, past = self._looked[key]
            if end <= last:
                return []
            verdict = await self._judged(model, version, reference, window, past)
        except Exception as error:
            logger.exception("the multivariate check of %(model)s failed", {"model": model.name})
            verdict = _plain(reference, Level.ERROR, failed(error), window)
        verdict = replace(verdict, model=model.name, version=model.version_name(version))
        self._unsaved[key] = verdict
        return [verdict]

    def standing(self, model: Model, version: int, now: int) -> Verdict | None:
        """What was said last; None where nobody asked for the check."""
        if self._config.model(model.name).drift.multivariate is None:
            return None
        key = model.number, version
        _, said = self._looked.get(key, (0, []))
        if (newest := self._unsaved.get(key) or (said[-1] if said else None)) is not None:
            return newest
        of, reason = (model.name, model.version_name(version)), "there is no reference yet, or no window is over"
        return Verdict(*of, CHECK, Level.INSUFFICIENT_DATA, reason, Window(now, now), 0)

    def saved(self, model: Model, version: int) -> None:
        """What was said last is on disk."""
        key = model.number, version
        verdict = self._unsaved.pop(key, None)
        if verdict is not None and key in self._looked:
            self._looked[key] = verdict.window.end, [*self._looked[key][1], verdict][-verdicts.LEARNT :]

    async def _judged(
        self, model: Model, version: int, reference: Reference, window: Window, past: list[Verdict]
    ) -> Verdict:
        drift, covariance = self._config.model(model.name).drift, reference.covariance
        if covariance is None:
            reason = "the reference does not tell how two numeric features go together"
            return _plain(reference, Level.INSUFFICIENT_DATA, reason, window)
        stretch = Stretch(version, window.start, window.end)
        rows, found = await self._database.async_read(lambda cursor: _read(cursor, model, stretch, covariance))
        own = [one.measures for one in past if one.measures.get(REFERENCE_ERROR) == covariance.error]
        margin = margin_of(drift.false_alarms.windows(drift.multivariate or drift.every))
        sample = Sample(window, rows, covariance.reconstruct(found))
        errors = [one[ERROR] for one in own if ERROR in one]  # what is no finite number was not kept
        return check_multivariate(reference, covariance, sample, errors, drift.min_rows, margin)


def _read(cursor: Cursor, model: Model, stretch: Stretch, covariance: Covariance) -> tuple[int, Rows]:
    """How many rows a stretch has, and about 10,000 of them, or as many as 500,000 values make."""
    rows = stretches.extent(cursor, model, stretch).rows
    keys = [(FEATURE, name) for name in covariance.columns if (FEATURE, name) in model.columns]
    columns = [model.columns[key] for key in keys]
    if not rows or not columns:
        return rows, {}
    every = -(-rows // min(MOST_ROWS, MOST_VALUES // len(columns)))
    found = stretches.sample(cursor, model, stretch, columns, every, STRETCH)
    return rows, {key: read_column(column, found, NUMERIC) for key, column in zip(keys, columns, strict=True)}


def _past(cursor: Cursor, model: Model, version: int) -> list[Verdict]:
    """What was said before, oldest first."""
    return verdicts.measured(cursor, model, version, CHECK, verdicts.LEARNT)


def _plain(reference: Reference, level: Level, reason: str, window: Window) -> Verdict:
    return Verdict(reference.model, reference.version, CHECK, level, reason, window, 0)
