"""Wire messages to arrays, every length checked. What does not add up is refused with a reason, never trusted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tenure_agent.records import FEATURE, OUTPUT
from tenure_proto.v1 import monitoring_pb2 as pb

Array = npt.NDArray[Any]

MAX_ROWS = 1 << 20
LATEST = 4102444800 * 1_000_000  # 2100: later times are a unit error
KINDS = {pb.NUMBER: "NUMBER", pb.BOOLEAN: "BOOLEAN", pb.DATETIME: "DATETIME", pb.TEXT: "TEXT"}


class Malformed(Exception):  # an answer to the producer, not a fault of ours
    """A message that contradicts itself; `reason` is what its rows are rejected and counted with."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.reason = "malformed"


@dataclass(frozen=True, slots=True)
class Values:
    """One column: float64 with NaN where missing, or objects with None where missing."""

    name: str
    part: str
    kind: str
    values: Array


@dataclass(frozen=True, slots=True)
class Rows:
    """A decoded batch."""

    model: str
    version: str
    role: int
    times: Array
    ids: Array
    latencies: Array
    errors: Array
    columns: tuple[Values, ...]

    def __len__(self) -> int:
        return len(self.times)


@dataclass(frozen=True, slots=True)
class Truths:
    """Decoded outcomes."""

    model: str
    ids: Array
    times: Array
    numbers: Array
    texts: Array
    values: Array

    def __len__(self) -> int:
        return len(self.ids)


def decode_batch(batch: pb.Batch) -> Rows:
    rows = batch.rows
    if not 0 < rows <= MAX_ROWS:
        raise Malformed(f"rows: {rows}")
    errors = np.full(rows, None, object)
    for error in batch.errors:
        if error.row >= rows:
            raise Malformed(f"errors: row {error.row} of {rows}")
        errors[error.row] = error.type[:128]
    columns = [_column(column, FEATURE, rows) for column in batch.features]
    columns += [_column(column, OUTPUT, rows) for column in batch.outputs]
    latencies = _block(batch.latencies, "<f4", rows, "latencies") if batch.latencies else np.full(rows, np.nan, "<f4")
    return Rows(
        model=batch.model,
        version=batch.version,
        role=batch.role if batch.role in {0, 1, 2} else 0,
        times=_times(batch.times, rows),
        ids=_ids(batch.ids, rows),
        latencies=latencies,
        errors=errors,
        columns=_once(columns),
    )


def decode_outcomes(outcomes: pb.Outcomes) -> Truths:
    rows = len(outcomes.ids)
    if not 0 < rows <= MAX_ROWS:
        raise Malformed(f"outcomes: {rows}")
    numbers, texts = np.full(rows, np.nan), np.full(rows, None, object)
    labels = outcomes.labels
    if labels.kind == pb.TEXT:
        texts = _texts(labels, rows)
    elif labels.numbers:
        numbers = _numbers(labels, rows)
    values = _numbers(outcomes.values, rows) if outcomes.values.numbers else np.full(rows, np.nan)
    ids = _objects(outcomes.ids, rows)
    return Truths(outcomes.model, ids, _times(outcomes.times, rows), numbers, texts, values)


def _once(columns: list[Values]) -> tuple[Values, ...]:
    """A column may come as numbers and as texts, but not twice as either."""
    seen = {(column.part, column.name, column.kind == "TEXT") for column in columns}
    if len(seen) != len(columns):
        raise Malformed("a column came twice")
    return tuple(columns)


def _column(column: pb.Column, part: str, rows: int) -> Values:
    kind = KINDS.get(column.kind)
    if kind is None:
        raise Malformed(f"column kind {column.kind}")
    values = _texts(column, rows) if kind == "TEXT" else _numbers(column, rows)
    return Values(column.name, part, kind, values)


def _numbers(column: pb.Column, rows: int) -> Array:
    values = _block(column.numbers, "<f8", rows, "numbers")
    if column.validity:
        values = np.where(_validity(column, rows), values, np.nan)
    return values


def _texts(column: pb.Column, rows: int) -> Array:
    codes = _block(column.codes, "<u4", rows, "codes")
    dictionary = _objects(column.texts, len(column.texts))
    if not len(dictionary) or codes.max() >= len(dictionary):
        raise Malformed("codes: outside the dictionary")
    values = dictionary[codes]
    if column.validity:
        values[~_validity(column, rows)] = None
    return values


def _objects(texts: Iterable[str], rows: int) -> Array:
    values = np.empty(rows, object)
    values[:] = list(texts)
    return values


def _validity(column: pb.Column, rows: int) -> Array:
    bits = np.unpackbits(np.frombuffer(column.validity, "u1"), bitorder="little")
    if len(bits) < rows:
        raise Malformed("validity: too short")
    return bits[:rows].astype(bool)


def _ids(ids: pb.Ids, rows: int) -> Array:
    if ids.texts:
        if len(ids.texts) != rows:
            raise Malformed(f"ids: {len(ids.texts)} of {rows}")
        return _objects(ids.texts, rows)
    counters = _block(ids.counters, "<u8", rows, "counters").tolist()
    return _objects((f"{ids.prefix}-{counter}" for counter in counters), rows)


def _times(block: bytes, rows: int) -> Array:
    times = _block(block, "<i8", rows, "times")
    if times.min() < 0 or times.max() > LATEST:
        raise Malformed("times: outside 1970-2100")
    return times


def _block(block: bytes, dtype: str, rows: int, name: str) -> Array:
    values = np.frombuffer(block, dtype) if len(block) % np.dtype(dtype).itemsize == 0 else np.empty(0)
    if len(values) != rows:
        raise Malformed(f"{name}: {len(block)} bytes for {rows} rows")
    return values
