"""Captures to reports: what is sent in one call, encoded, and how many rows of which model it carries."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from operator import itemgetter
from typing import Any

from tenure.backlog import Parcel, Unencodable
from tenure.capture import ROLES, Capture, Row, Stream, Table, Tick, Truth, model_of, rows_in, wire_text
from tenure.columns import encode_columns, micros, packed
from tenure.features import columns_of
from tenure.outputs import encode_row_outputs, encode_table_outputs
from tenure.redaction import screened
from tenure.screen import SAMPLED_OUT, Screen
from tenure.tables import halves, sampled, table_ids
from tenure_proto.v1 import monitoring_pb2 as pb

CHUNK_ROWS = 4096


def encode(captures: Sequence[Capture], prefix: str, limit: int) -> Iterator[Parcel | Unencodable]:
    """Captures in their order as reports of at most `limit` bytes.

    What is too large is split; a single capture that is still too large, or cannot be encoded, is given back.
    """
    for chunk in _chunks(captures):
        yield from _encode_chunk(chunk, prefix, limit)


def envelope(producer: str, seq: int, acked: int, dropped: dict[tuple[str, str], int]) -> bytes:
    """A report's head. Protobuf messages concatenate, so the body is encoded once, before its number is known."""
    losses = [
        pb.Loss(model=model, reason=reason, rows=rows)
        for (model, reason), rows in dropped.items()
        if reason != SAMPLED_OUT
    ]
    return pb.ReportRequest(producer_id=producer, seq=seq, acked_seq=acked, losses=losses).SerializeToString()


def _chunks(captures: Sequence[Capture]) -> Iterator[Sequence[Capture]]:
    start = rows = 0
    for end, capture in enumerate(captures):
        rows += rows_in(capture)
        if rows >= CHUNK_ROWS:
            yield captures[start : end + 1]
            start, rows = end + 1, 0
    if start < len(captures):
        yield captures[start:]


def _encode_chunk(chunk: Sequence[Capture], prefix: str, limit: int) -> Iterator[Parcel | Unencodable]:
    error: Exception | None = None
    try:
        skipped: Counter[str] = Counter()
        kept, left_out = sampled(chunk, prefix)
        body = _report(kept, prefix, skipped).SerializeToString()
    except Exception as raised:  # noqa: BLE001  # a host's object may raise anything when it is read
        error = raised
    else:
        if len(body) <= limit:
            if left_out:
                yield Unencodable(SAMPLED_OUT, left_out)
            if kept or not left_out:
                yield Parcel(body, count(kept), skipped)
            return
    if len(chunk) > 1:
        middle = len(chunk) // 2
        yield from _encode_chunk(chunk[:middle], prefix, limit)
        yield from _encode_chunk(chunk[middle:], prefix, limit)
    elif error is None and isinstance(chunk[0], Table) and chunk[0].rows > 1:
        try:
            parts = halves(chunk[0])
        except Exception as raised:  # noqa: BLE001  # what predict returned need not have parts
            yield Unencodable("encode_error", count(chunk), raised)
        else:
            yield from _encode_chunk(parts, prefix, limit)
    else:
        yield Unencodable("too_large" if error is None else "encode_error", count(chunk), error)


def count(chunk: Sequence[Capture]) -> dict[str, int]:
    rows: Counter[str] = Counter()
    for capture in chunk:
        rows[model_of(capture)] += rows_in(capture)
    return dict(rows)


def _report(chunk: Sequence[Capture], prefix: str, skipped: Counter[str]) -> pb.ReportRequest:
    report = pb.ReportRequest()
    ticks: dict[Stream, list[Tick]] = {}
    rows: dict[Stream, list[Row]] = {}
    truths: dict[str, list[Truth]] = {}
    for capture in chunk:
        if isinstance(capture, Row):
            rows.setdefault(capture.stream, []).append(capture)
        elif isinstance(capture, Table):
            report.batches.append(_table_batch(capture, prefix, skipped))
        elif isinstance(capture, Truth):
            truths.setdefault(capture.model, []).append(capture)
        else:
            ticks.setdefault(capture[0], []).append(capture)
    for stream, made in ticks.items():
        report.batches.append(_tick_batch(stream, made, prefix, skipped))
    for stream, group in rows.items():
        report.batches.append(_row_batch(stream, group, prefix, skipped))
    for model, outcomes in truths.items():
        report.outcomes.append(_outcomes(model, outcomes))
    return report


def _tick_batch(stream: Stream, group: list[Tick], prefix: str, skipped: Counter[str]) -> pb.Batch:
    batch = _batch(stream, len(group))
    _, features, outputs, starts, ends, counters, errors = zip(*group, strict=True)
    wall = time.time_ns() - time.perf_counter_ns()  # what turns the host's ticks into times
    batch.times = packed("q", [(start + wall) // 1000 for start in starts])
    batch.ids.prefix = prefix
    batch.ids.counters = packed("Q", counters)
    batch.latencies = packed("f", [(end - start) * 1e-9 for start, end in zip(starts, ends, strict=True)])
    _fill(batch, features, outputs, errors, skipped, stream.screen)
    return batch


def _row_batch(stream: Stream, group: list[Row], prefix: str, skipped: Counter[str]) -> pb.Batch:
    batch = _batch(stream, len(group))
    _, features, outputs, times, counters, ids, latencies, errors = zip(*group, strict=True)
    batch.times = packed("q", times)
    if any(ids):
        batch.ids.texts.extend(
            wire_text(given) if given else f"{prefix}-{counter}" for given, counter in zip(ids, counters, strict=True)
        )
    else:
        batch.ids.prefix = prefix
        batch.ids.counters = packed("Q", counters)
    _set_latencies(batch, latencies)
    _fill(batch, features, outputs, errors, skipped, stream.screen)
    return batch


def _fill(
    batch: pb.Batch,
    features: Sequence[Any],
    outputs: Sequence[Any],
    errors: Sequence[str | None],
    skipped: Counter[str],
    screen: Screen | None,
) -> None:
    _add_features(batch, _transposed(features), skipped, screen)
    batch.outputs.extend(_passed(encode_row_outputs(_shown(outputs, screen)), screen))
    if any(errors):
        batch.errors.extend(pb.ErrorRow(row=i, type=error) for i, error in enumerate(errors) if error)


def _shown(outputs: Sequence[Any], screen: Screen | None) -> Sequence[Any]:
    """Outputs without the names that may not leave: before one of them could stand as the prediction."""
    if screen is None or not (screen.exclude or screen.redact):
        return outputs
    return [
        {name: one for name, one in output.items() if not screen.hides(str(name)) and _bare(screen, str(name))}
        if isinstance(output, dict)
        else output
        for output in outputs
    ]


def _bare(screen: Screen, name: str) -> bool:
    """Redacted names among outputs are left out altogether, but for the prediction, which is redacted."""
    return name == "prediction" or screen.rule(name) is None


def _passed(columns: list[pb.Column], screen: Screen | None) -> Iterable[pb.Column]:
    if screen is None:
        return columns
    by_name: dict[str, list[pb.Column]] = {}
    for column in columns:
        if not screen.hides(column.name):
            by_name.setdefault(column.name, []).append(column)
    names = list(by_name)[: screen.max_columns]
    return [column for name in names for column in screened(by_name[name], name, screen)]


def _add_features(
    batch: pb.Batch, named: Iterable[tuple[str, Any]], skipped: Counter[str], screen: Screen | None
) -> None:
    taken: set[str] = set()
    for name, values in named:
        if screen is not None and not screen.shows(name):
            continue
        if screen is not None and len(taken) >= screen.max_columns:
            skipped[name] += batch.rows
            continue
        columns = encode_columns(name, values, skipped)
        if columns and columns[0].name in taken:  # names that differ for the host only: 1 and "1", or past their length
            skipped[name] += batch.rows
            continue
        if screen is not None:
            columns = screened(columns, name, screen)
        taken.update(column.name for column in columns)
        batch.features.extend(columns)


def _transposed(features: Sequence[Any]) -> Iterator[tuple[str, Sequence[Any]]]:
    names = list(features[0])
    width = len(names)
    columns: list[Sequence[Any]] = []
    alike = all(len(row) == width for row in features)
    if alike and width > 1:
        with suppress(KeyError):
            columns = list(zip(*map(itemgetter(*names), features), strict=True))
    if not columns:  # rows with differing names: what a row lacks is missing
        names = list(dict.fromkeys(name for row in features for name in row))
        columns = [[row.get(name) for row in features] for name in names]
    return zip(map(str, names), columns, strict=True)


def _table_batch(table: Table, prefix: str, skipped: Counter[str]) -> pb.Batch:
    batch = _batch(table.stream, table.rows)
    times = [table.times] * table.rows if isinstance(table.times, int) else micros(table.times, table.now)
    batch.times = packed("q", times)
    if table.ids is not None:
        batch.ids.texts.extend(table_ids(table, prefix))
    else:
        batch.ids.prefix = prefix
        batch.ids.counters = packed("Q", range(table.counter, table.counter + table.rows))
    named = columns_of(table.columns).items()
    _add_features(
        batch, ((name, values) for name, values in named if name not in table.aside), skipped, table.stream.screen
    )
    if table.error is None:
        batch.outputs.extend(
            _passed(encode_table_outputs(table.output, table.rows, table.classes), table.stream.screen)
        )
    else:
        batch.errors.extend(pb.ErrorRow(row=i, type=table.error) for i in range(table.rows))
    _set_latencies(batch, [table.latency] * table.rows)
    return batch


def _batch(stream: Stream, rows: int) -> pb.Batch:
    role = ROLES.index(stream.role)  # the wire numbers them in this order
    return pb.Batch(
        model=wire_text(stream.model), version=wire_text(stream.version), role=pb.Role.Name(role), rows=rows
    )


def _set_latencies(batch: pb.Batch, latencies: Sequence[int]) -> None:
    if any(latency >= 0 for latency in latencies):
        batch.latencies = packed("f", (latency * 1e-9 if latency >= 0 else float("nan") for latency in latencies))


def _outcomes(model: str, truths: list[Truth]) -> pb.Outcomes:
    outcomes = pb.Outcomes(model=wire_text(model), times=packed("q", (truth.time for truth in truths)))
    outcomes.ids.extend(wire_text(truth.id) for truth in truths)
    labels = encode_columns("label", [truth.label for truth in truths])
    if len(labels) == 1:
        outcomes.labels.CopyFrom(labels[0])
    else:  # numbers and texts among the labels: all become text
        texts = [None if truth.label is None else str(truth.label) for truth in truths]
        outcomes.labels.CopyFrom(encode_columns("label", texts)[0])
    if any(truth.value is not None for truth in truths):
        outcomes.values.CopyFrom(encode_columns("value", [truth.value for truth in truths])[0])
    return outcomes
