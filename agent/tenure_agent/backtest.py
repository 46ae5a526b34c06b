"""A backtest: a labelled history through the agent's own store, summaries, checks and policy, at event time.

Nothing is posted. A review at event time T sees rows before T and labels known by T, so that what it says is what would
have been said.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from prometheus_client import CollectorRegistry
from pydantic import ValidationError

from tenure.errors import SettingError
from tenure_agent import losses
from tenure_agent.bins import Array
from tenure_agent.block_length import block_length
from tenure_agent.builder import Rows, build_reference
from tenure_agent.chronicle import Chronicle, Episode
from tenure_agent.config import Config, ControlConfig
from tenure_agent.metrics import Metrics
from tenure_agent.model_config import DriftConfig, ModelConfig, ReferenceConfig
from tenure_agent.records import Decision, micros, moment
from tenure_agent.reference import Reference
from tenure_agent.review import Reviewer
from tenure_agent.scheduler import CATCH_UP, every
from tenure_agent.segment_builder import with_segments
from tenure_agent.store import Database, references, replay
from tenure_agent.store.catalogue import Catalogue
from tenure_agent.store.database import Cursor
from tenure_agent.store.history import History
from tenure_agent.store.stretches import MOST
from tenure_agent.stored_rows import declared_columns
from tenure_agent.units import in_micros

# Stored at once, at most: rows ahead of a review wait in memory, as summaries of about 10 kB for each review and column.
PIECE_ROWS, PIECE_REVIEWS, PIECE_SUMMARIES = 200_000, 500, 5000


@dataclass(frozen=True, slots=True)
class Overrides:
    """What a backtest takes instead of what is configured.

    Parameters
    ----------
    every, window
        Between reviews, and what each looks at.
    reference
        A reference file; rows that the history marks as its reference are then left out.
    """

    every: dt.timedelta | None = None
    window: dt.timedelta | None = None
    reference: Path | None = None


class Backtest:
    """
    Parameters
    ----------
    database
        In memory; the history lies in its directory.
    name
        Of the model, as it is configured.

    Raises
    ------
    SettingError
        An override cannot be used.
    """

    def __init__(
        self, database: Database, history: History, name: str, config: Config, overrides: Overrides = Overrides()
    ) -> None:
        self._database, self._history, self._now = database, history, 0
        catalogue = database.read(Catalogue).result()
        self.model = database.write(lambda cursor: replay.register(cursor, catalogue, name, history)).result()
        model = _overridden(config.model(name), overrides, marked=bool(history.reference_versions))
        built = [] if overrides.reference else [self._build(version, model) for version in history.reference_versions]
        given = Reference.load(overrides.reference) if overrides.reference else built[0] if built else None
        if overrides.every is None and "every" not in model.drift.model_fields_set:
            model = _drifting(model, every=self._block(model, given))
        self.interval = model.drift.every
        config = config.model_copy(
            update={"clock": "event", "control": ControlConfig(), "models": {**config.models, name: model}}
        )
        metrics, paired = Metrics(CollectorRegistry()), history.distinct
        self._reviewer = Reviewer(database, catalogue, config, metrics, lambda: self._now, replay=True, paired=paired)
        self.chronicle = Chronicle(history.first)

    async def run(self, stored: Callable[[int], object] = int) -> AsyncIterator[Episode | Decision]:
        """Replay: decisions, and episodes as they open (`closed` is None) and as they close.

        Parameters
        ----------
        stored
            Called with the number of rows of each piece stored.
        """
        history = self._history
        reviews = min(PIECE_REVIEWS, max(1, PIECE_SUMMARIES // max(len(history.columns), 1)))
        length = reviews * in_micros(self.interval)
        at, batch, ran = history.first, 0, history.first
        while at <= history.last:
            batch += 1
            first, end, rows = self._store(batch, at, length)
            for due in self._due(ran, first, end - 1, last=end > history.last):
                async for event in self._review(due):
                    yield event
                ran = due
            stored(rows)
            at = end
            await asyncio.sleep(0)  # else nobody could interrupt it

    def _store(self, batch: int, at: int, length: int) -> tuple[int, int, int]:
        """Store the next piece; event times of its first row and just after its last, and how many rows it has."""

        def work(cursor: Cursor) -> tuple[int, int, int]:
            first, end = replay.piece(cursor, self._history, at, length, PIECE_ROWS)
            return first, end, replay.load(cursor, self.model, self._history, batch, first, end)

        return self._database.write(work).result()

    def _due(self, ran: int, first: int, newest: int, *, last: bool) -> Iterator[int]:
        """When reviews are due after the last one, up to the newest row; at the end once more, so that it is reviewed."""
        trigger: Any = every(self.interval)
        length = in_micros(self.interval)
        due = micros(trigger.get_next_fire_time(None, moment(ran + 1)))
        if first - due > CATCH_UP * length:  # an event clock passes over so long a gap too
            due = first - (first - due) % length
        while due <= newest:
            yield due
            due = micros(trigger.get_next_fire_time(None, moment(due + 1)))
        if last:
            yield due

    async def _review(self, now: int) -> AsyncIterator[Episode | Decision]:
        self._now = now
        review = await self._reviewer.review(self.model.name, now)
        if review is None:
            return
        for episode in self.chronicle.take(review.drift.version, review.said, review.decision, now):
            yield episode
        if review.decision is not None:
            yield review.decision

    def _build(self, version: str, model: ModelConfig) -> Reference:
        """The reference of a version from the rows the history marks as such; stored."""
        rows = self._database.read(lambda cursor: replay.reference_rows(cursor, self._history, version)).result()
        values = {(column.part, column.name): rows[column.stored] for column in self._history.columns}
        source = Rows(values)
        built = build_reference(
            self.model.name,
            version,
            source,
            declared=declared_columns(self.model, model),
            losses=_losses(rows, model),
            told=f"{len(rows['time']):,} rows of the history marked as its reference",
            span=(int(rows["time"].min()), int(rows["time"].max())),
        )
        built = with_segments(built, source, model.segments)
        number = self.model.versions[version]
        self._database.write(lambda cursor: references.save(cursor, self.model.number, number, built, 0)).result()
        return built

    def _block(self, model: ModelConfig, reference: Reference | None) -> dt.timedelta:
        """The length of a block, as far as it can be told before the first row."""
        rows, span = (0, 0) if reference is None else (reference.rows, reference.span[1] - reference.span[0])
        size = rows
        if not span:
            ahead, end = (model.drift.min_rows, MOST) if rows else self._live(model.reference)
            rows, span = self._database.read(lambda cursor: replay.extent(cursor, self._history, ahead, end)).result()
        return dt.timedelta(microseconds=block_length(model.drift, size or rows, rows, span))

    def _live(self, reference: ReferenceConfig) -> tuple[int, int]:
        """How many live rows a reference is taken from at most, and the event time before which they are."""
        if reference.first is not None:
            return MOST, self._history.first + in_micros(reference.first)
        if reference.until is not None:
            return MOST, micros(reference.until)
        return reference.first_rows or 0, MOST


def _overridden(model: ModelConfig, overrides: Overrides, *, marked: bool) -> ModelConfig:
    if overrides.window is not None:
        model = _drifting(model, window=overrides.window)
    if overrides.every is not None:
        model = _drifting(model, every=overrides.every)
    file = model.reference.file
    if overrides.reference is not None:
        file = str(overrides.reference)
    elif marked:
        file = None
    return model.model_copy(update={"reference": model.reference.model_copy(update={"file": file})})


def _drifting(model: ModelConfig, **changed: dt.timedelta) -> ModelConfig:
    told = {key: getattr(model.drift, key) for key in model.drift.model_fields_set}
    try:
        drift = DriftConfig(**told | changed)
    except ValidationError as error:
        [(name, value)] = changed.items()
        raise SettingError(f"--{name}", str(value), str(error.errors()[0]["ctx"]["error"])) from None
    return model.model_copy(update={"drift": drift})


def _losses(rows: dict[str, Array], model: ModelConfig) -> tuple[losses.LossProfile, ...]:
    """Of the labelled rows, in the order their labels became known."""
    texts = rows["prediction"].dtype.kind == "O"
    labels = rows["label_text"] if texts else rows["label_number"]
    known = rows["known"].astype(float)
    present = _present(rows["prediction"]) & _present(labels) & _present(known)
    order = np.lexsort((rows["time"][present], known[present]))
    said, true = rows["prediction"][present][order], labels[present][order]
    return losses.profile_losses(model.task or losses.task_of(said, true), said, true)


def _present(values: Array) -> Array:
    if values.dtype.kind == "O":
        return np.array([value is not None for value in values], bool)
    known: Array = ~np.isnan(values)
    return known
