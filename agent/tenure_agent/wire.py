"""Wire messages to values. What does not add up or goes past a limit is refused with a reason, never trusted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, islice

import numpy as np

from tenure_agent.blocks import (
    Array,
    Malformed,
    take_block,
    take_categories,
    take_errors,
    take_numbers,
    take_texts,
    take_times,
)
from tenure_agent.records import FEATURE, OUTPUT
from tenure_proto.v1 import monitoring_pb2 as pb

MAX_ROWS = 1 << 20
MAX_SIZE = 32 << 20  # of a report once each row has its texts: a short message must not grow without bound here
MAX_COLUMNS = 4000  # of a batch; more than a model may have, each as numbers and as texts, are not even looked at
MAX_PARTS = 1000  # batches and outcomes of a report
MAX_LOSSES, MAX_LOSS_NAME = 1000, 256
MAX_PREFIX = 256
MAX_SEQ = 1 << 62
MAX_PRODUCER = 128  # cut short, two producers would be one, and each other's duplicates
KINDS = {pb.NUMBER: "NUMBER", pb.BOOLEAN: "BOOLEAN", pb.DATETIME: "DATETIME", pb.TEXT: "TEXT"}

Part = pb.Batch | pb.Outcomes


@dataclass(frozen=True, slots=True)
class Values:
    """One column: float64 with NaN where missing, or objects with None where missing."""

    name: str
    part: str
    kind: str
    values: Array


@dataclass(frozen=True, slots=True)
class Generated:
    """Ids that read `<prefix>-<counter>`."""

    prefix: str
    counters: Array

    def __len__(self) -> int:
        return len(self.counters)


@dataclass(frozen=True, slots=True)
class Rows:
    """A decoded batch. Latencies and errors are None where no row has one; `size` is in bytes, nearly."""

    model: str
    version: str
    role: int
    times: Array
    ids: Array | Generated
    latencies: Array | None
    errors: Array | None
    columns: tuple[Values, ...]
    size: int

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
    size: int

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Rows of a model that are not stored, and why."""

    model: str
    reason: str
    rows: int


@dataclass(frozen=True, slots=True)
class Report:
    """A decoded report. One without a `producer` is refused whole: nobody can tell whose it is."""

    producer: str
    seq: int
    acked: int
    parts: tuple[Rows | Truths | Refusal, ...]
    losses: dict[tuple[str, str], int]  # (model, reason): rows
    size: int
    told: tuple[Refusal, ...]  # what a relay refused before it got here
    request: pb.ReportRequest


def decode(request: pb.ReportRequest) -> Report:
    """A report; each part of it that cannot be stored is a refusal."""
    fault = _fault(request)
    producer = "" if fault else request.producer_id
    sent: Iterable[Part] = chain[Part](request.batches, request.outcomes)
    parts: list[Rows | Truths | Refusal] = []
    size = 0
    for part in islice(sent, MAX_PARTS if producer else 0):
        parts.append(taken := _taken(part, MAX_SIZE - size))
        size += 0 if isinstance(taken, Refusal) else taken.size
    parts += _refusals(sent, fault or "too_many_batches")
    told = tuple(Refusal(one.model, one.reason, one.rows) for one in islice(request.refused, MAX_PARTS))
    return Report(producer, request.seq, request.acked_seq, tuple(parts), _losses(request.losses), size, told, request)


def _fault(request: pb.ReportRequest) -> str:
    """Why nobody can tell whose a report is, or which of theirs; empty where one can."""
    if not 0 < request.seq <= MAX_SEQ:
        return "bad_seq"
    return "" if 0 < len(request.producer_id) <= MAX_PRODUCER else "bad_producer_id"


def _taken(part: Part, room: int) -> Rows | Truths | Refusal:
    try:
        taken = decode_batch(part) if isinstance(part, pb.Batch) else decode_outcomes(part)
    except Malformed as refused:
        return Refusal(part.model, refused.reason, _rows(part))
    return taken if taken.size <= room else Refusal(part.model, "too_large", _rows(part))


def _refusals(parts: Iterable[Part], reason: str) -> list[Refusal]:
    """Parts refused without a look at them; past a limit on models, under no model's name."""
    rows: dict[str, int] = {}
    for part in parts:
        model = part.model if part.model in rows or len(rows) < MAX_PARTS else ""
        rows[model] = rows.get(model, 0) + _rows(part)
    return [Refusal(model, reason, count) for model, count in rows.items()]


def _rows(part: Part) -> int:
    return part.rows if isinstance(part, pb.Batch) else len(part.ids)


def _losses(told: Iterable[pb.Loss]) -> dict[tuple[str, str], int]:
    losses: dict[tuple[str, str], int] = {}
    for loss in told:
        key = loss.model[:MAX_LOSS_NAME], loss.reason[:MAX_LOSS_NAME]
        key = key if key in losses or len(losses) < MAX_LOSSES else ("", "other")
        losses[key] = losses.get(key, 0) + loss.rows
    return losses


def decode_batch(batch: pb.Batch) -> Rows:
    rows = batch.rows
    if not 0 < rows <= MAX_ROWS:
        raise Malformed(f"rows: {rows}")
    if (columns_sent := len(batch.features) + len(batch.outputs)) > MAX_COLUMNS:
        raise Malformed(f"columns: {columns_sent}", "too_many_columns")
    times = take_times(batch.times, rows)
    ids, id_lengths = _ids(batch.ids, rows)
    features = [_column(column, FEATURE, rows) for column in batch.features]
    outputs = [_column(column, OUTPUT, rows) for column in batch.outputs]
    columns = [column for column, _ in (*features, *outputs)]
    return Rows(
        model=batch.model,
        version=batch.version,
        role=batch.role if batch.role in {0, 1, 2} else 0,
        times=times,
        ids=ids,
        latencies=take_block(batch.latencies, "<f4", rows, "latencies") if batch.latencies else None,
        errors=take_errors(batch.errors, rows) if batch.errors else None,
        columns=_once(columns),
        size=8 * rows * (4 + len(columns)) + id_lengths + sum(lengths for _, lengths in (*features, *outputs)),
    )


def decode_outcomes(outcomes: pb.Outcomes) -> Truths:
    rows = len(outcomes.ids)
    if not 0 < rows <= MAX_ROWS:
        raise Malformed(f"outcomes: {rows}")
    times = take_times(outcomes.times, rows)
    ids, id_lengths = _given(outcomes.ids, rows)
    numbers, texts, lengths = np.full(rows, np.nan), np.full(rows, None, object), 0
    labels = outcomes.labels
    if labels.kind == pb.TEXT:
        texts, lengths = take_categories(labels, rows)
    elif labels.numbers:
        numbers = take_numbers(labels, rows)
    values = take_numbers(outcomes.values, rows) if outcomes.values.numbers else np.full(rows, np.nan)
    return Truths(outcomes.model, ids, times, numbers, texts, values, 8 * rows * 5 + id_lengths + lengths)


def _once(columns: list[Values]) -> tuple[Values, ...]:
    """A column may come as numbers and as texts, but not twice as either."""
    seen = {(column.part, column.name, column.kind == "TEXT") for column in columns}
    if len(seen) != len(columns):
        raise Malformed("a column came twice")
    return tuple(columns)


def _column(column: pb.Column, part: str, rows: int) -> tuple[Values, int]:
    """A column, and the length of its texts."""
    kind = KINDS.get(column.kind)
    if kind is None:
        raise Malformed(f"column kind {column.kind}")
    values, lengths = take_categories(column, rows) if kind == "TEXT" else (take_numbers(column, rows), 0)
    return Values(column.name, part, kind, values), lengths


def _ids(ids: pb.Ids, rows: int) -> tuple[Array | Generated, int]:
    if ids.texts:
        return _given(ids.texts, rows)
    if len(ids.prefix) > MAX_PREFIX:
        raise Malformed(f"a prefix of {len(ids.prefix)}", "text_too_long")
    counters = take_block(ids.counters, "<u8", rows, "counters")
    return Generated(ids.prefix, counters), rows * len(ids.prefix)


def _given(texts: Sequence[str], rows: int) -> tuple[Array, int]:
    """Ids, and their length."""
    if len(texts) != rows:
        raise Malformed(f"ids: {len(texts)} of {rows}")
    ids, lengths = take_texts(texts)
    return ids, int(lengths.sum())
