"""Reference profiles and running summaries of model versions: found, built, kept up to date.

A version's reference is the one stored, replaced by a configured file where that differs; else it is taken from the
version's own first live rows. Summaries over it grow by the rows stored since the last time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tenure_agent import losses
from tenure_agent.bins import CATEGORICAL, NUMERIC, ColumnReference, as_texts
from tenure_agent.config import Config
from tenure_agent.records import MICROS, Window
from tenure_agent.reference import Reference, build_reference
from tenure_agent.store import Database, outcomes, predictions, references, summaries
from tenure_agent.store.catalogue import Column, Model
from tenure_agent.store.database import Cursor
from tenure_agent.summary import Summary, merge, summarise

logger = logging.getLogger(__name__)
Array = npt.NDArray[Any]

MINUTE, HOUR = 60 * MICROS, 3600 * MICROS
CHUNK_VALUES = 1 << 19  # read at a time: they take eight bytes each, several times over
ROLES = 256  # as many as a row can hold
PROFILE_ROWS = 5000
MIN_PROFILE_ROWS = 1000


class Profiles:
    """References and summaries of all versions of one store."""

    def __init__(self, database: Database, config: Config, clock: Callable[[], int]) -> None:
        self._database = database
        self._config = config
        self._clock = clock
        self._known: dict[tuple[int, int], Reference] = {}

    async def reference(self, model: Model, version: int) -> Reference | None:
        """A version's reference; None while there are too few rows to take it from."""
        key = model.number, version
        if key not in self._known:
            found = await self._database.async_read(lambda cursor: self._find(cursor, model, version))
            if found is None:
                return None
            reference, fresh = found
            if fresh:
                await self._database.async_write(lambda cursor: self._save(cursor, model, version, reference))
                of = {"model": model.name, "version": reference.version, "source": reference.source}
                logger.info("reference of %(model)s %(version)s: %(source)s", of)
            self._known[key] = reference
        return self._known[key]

    def _find(self, cursor: Cursor, model: Model, version: int) -> tuple[Reference, bool] | None:
        """A reference, and whether it is new to the store."""
        stored = references.newest(cursor, model.number, version)
        settings = self._config.model(model.name).reference
        name = model.version_name(version)
        if settings.file is not None and not {"/", "\0"} & set(name):  # the name comes from outside
            path = Path(settings.file.replace("{version}", name))
            if path.exists():
                configured = Reference.load(path)
                if stored is None or stored.hash != configured.hash:
                    return configured, True
        if stored is not None:
            return stored, False
        if predictions.count_rows(cursor, model, version) < settings.first_rows:
            return None
        columns = list(model.columns.values())
        rows = predictions.first_rows(cursor, model, version, settings.first_rows, columns)
        declared = dict(self._config.model(model.name).columns)
        for column in columns:
            if column.kinds == {"DATETIME"}:
                declared.setdefault(column.name, "ignore")  # time always moves on
        values = {(column.part, column.name): read_column(column, rows) for column in columns}
        source = f"the first {settings.first_rows:,} live rows"
        return build_reference(model.name, model.version_name(version), values, declared=declared, source=source), True

    def _save(self, cursor: Cursor, model: Model, version: int, reference: Reference) -> None:
        references.save(cursor, model.number, version, reference, self._clock())
        summaries.reset(cursor, model.number, version)

    async def learn_losses(self, model: Model, version: int, reference: Reference, now: int) -> Reference:
        """A reference without losses takes them from the version's own first labels, once there are enough."""

        def first_labels(cursor: Cursor) -> outcomes.Labelled:
            return outcomes.labelled(cursor, model, version, since=0, known=now, newest=10 * PROFILE_ROWS)

        found = await self._database.async_read(first_labels)
        if len(found) < MIN_PROFILE_ROWS:
            return reference
        said, true = found.predictions[:PROFILE_ROWS], found.labels[:PROFILE_ROWS]
        task = self._config.model(model.name).task or losses.task_of(said, true)
        reference = replace(reference, losses=losses.profile_losses(task, said, true))
        await self._database.async_write(
            lambda cursor: references.save(cursor, model.number, version, reference, self._clock())
        )
        self._known[model.number, version] = reference
        return reference

    async def window(
        self, model: Model, version: int, reference: Reference, window: Window, bucket: int
    ) -> tuple[Summary, int]:
        """The summary of a version's champion rows over a window, and how many rows that is."""
        while await self._advance(model, version, reference, bucket):
            pass

        def read(cursor: Cursor) -> list[bytes]:
            return summaries.between(cursor, model.number, version, predictions.CHAMPION, reference.hash, window)

        blobs = await self._database.async_read(read)
        bins = int(reference.offsets[-1])
        merged = merge(reference, (Summary.from_bytes(blob, bins) for blob in blobs))
        rows = int((merged.rows + merged.missing).max(initial=0))
        return merged, rows

    async def _advance(self, model: Model, version: int, reference: Reference, bucket: int) -> bool:
        """Summarise the next rows that are not summarised yet; False when there were none."""

        def read(cursor: Cursor) -> tuple[int, dict[str, Array]]:
            after, columns = summaries.watermark(cursor, model.number, version), needed(model, reference)
            upto = predictions.batch_bounds(cursor, model, after, max(1, CHUNK_VALUES // (len(columns) + 2)))
            if upto == after:
                return after, {}
            return upto, predictions.columns_after(cursor, model, version, (after, upto), columns)

        upto, rows = await self._database.async_read(read)
        if not rows:
            return False
        found = await asyncio.to_thread(_summaries, model, reference, rows, bucket)
        await self._database.async_write(
            lambda cursor: summaries.append(cursor, model.number, version, reference.hash, upto, found)
        )
        return True


def needed(model: Model, reference: Reference) -> Sequence[Column]:
    """The stored columns a reference speaks of."""
    return [model.columns[column.key] for column in reference.columns if column.key in model.columns]


def read_column(column: Column, rows: Mapping[str, Array], kind: str | None = None) -> Array:
    """A stored column as float64 or as text objects; where it holds both, as `kind` asks or as the fuller one."""
    numbers, texts = rows.get(f"n{column.number}"), rows.get(f"t{column.number}")
    if texts is None:
        only: Array = rows[f"n{column.number}"]
        return as_texts(only) if kind == CATEGORICAL else only
    if numbers is None:
        return texts
    if kind == NUMERIC or (kind is None and np.isfinite(numbers).sum() > sum(text is not None for text in texts)):
        return numbers
    return np.where([text is not None for text in texts], texts, as_texts(numbers))


def _summaries(
    model: Model, reference: Reference, rows: Mapping[str, Array], bucket: int
) -> list[tuple[int, int, Summary]]:
    """(role, bucket, summary) of rows just read."""
    keys, groups = np.unique(rows["time"] // bucket * ROLES + rows["role"], return_inverse=True)
    values = {
        column.key: read_column(model.columns[column.key], rows, column.kind) for column in _present(model, reference)
    }
    found = summarise(reference, values, groups, len(keys))
    return [(key % ROLES, key // ROLES * bucket, summary) for key, summary in zip(keys.tolist(), found, strict=True)]


def _present(model: Model, reference: Reference) -> list[ColumnReference]:
    return [column for column in reference.columns if column.key in model.columns]
