"""Captures to reports: what is sent in one call, encoded, and how many rows of which model it carries."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain, groupby
from operator import itemgetter
from typing import Any

from tenure.backlog import Parcel, Unencodable
from tenure.capture import ROLES, STREAM, Capture, Row, Stream, Table, Tick, Truth, rows_in, wire_text
from tenure.columns import as_text, encode_columns, micros, packed, present
from tenure.features import named_columns
from tenure.outputs import row_outputs
from tenure.redaction import screened
from tenure.screen import SAMPLED_OUT, Screen
from tenure.tables import MOST_ID, parted, said_of, sampled, table_ids, width_of, wire_id
from tenure_proto.v1 import monitoring_pb2 as pb

CHUNK_ROWS = 4096
NUMBER_BYTES = 8


def encode(captures: Sequence[Capture], prefix: str, limit: int) -> Iterator[Parcel | Unencodable]:
    """Captures in their order as reports of at most `limit` bytes.

    What is too large is split; a single capture that is still too large, or cannot be encoded, is given back.
    """
    if Table not in set(map(type, captures)):
        for start in range(0, len(captures), CHUNK_ROWS):
            yield from _encode_chunk(captures[start : start + CHUNK_ROWS], prefix, limit)
        return
    for chunk in _chunks([part for capture in captures for part in _fitting(capture, limit)]):
        yield from _encode_chunk(chunk, prefix, limit)


def envelope(producer: str, seq: int, acked: int, dropped: dict[tuple[str, str], int]) -> bytes:
    """A report's head. Protobuf messages concatenate, so the body is encoded once, before its number is known."""
    losses = [pb.Loss(model=model, reason=reason, rows=rows) for (model, reason), rows in dropped.items()]
    return pb.ReportRequest(producer_id=producer, seq=seq, acked_seq=acked, losses=losses).SerializeToString()


def _fitting(capture: Capture, limit: int) -> Iterable[Capture]:
    """A table known to be too large in its parts: to encode it whole, then its halves, would be work for nothing."""
    if isinstance(capture, Table):
        with suppress(Exception):  # what has no parts is found out when it is encoded
            size = (width_of(capture) + 4) * NUMBER_BYTES * capture.rows
            pieces = max(-(-size // limit), -(-capture.rows // CHUNK_ROWS))
            if 1 < pieces <= capture.rows:
                return [*parted(capture, pieces)]
    return (capture,)


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
            parts = [*parted(chunk[0], 2)]
        except Exception as raised:  # noqa: BLE001  # what predict returned need not have parts
            yield Unencodable("encode_error", count(chunk), raised)
        else:
            yield from _encode_chunk(parts, prefix, limit)
    else:
        yield Unencodable("too_large" if error is None else "encode_error", count(chunk), error)


def count(chunk: Sequence[Capture]) -> dict[str, int]:
    rows: Counter[str] = Counter()
    for (kind, of), group in _groups(chunk).items():
        model = of if isinstance(of, str) else of.model
        rows[model] += sum(map(rows_in, group)) if kind is Table else len(group)
    return dict(rows)


def _groups(chunk: Sequence[Capture]) -> dict[tuple[type, Stream | str], list[Any]]:
    """Captures of one kind, and of one stream or outcomes' model: each begins with it."""
    groups: dict[tuple[type, Stream | str], list[Any]] = {}
    for kind, alike in groupby(chunk, type):
        for of, captures in groupby(alike, itemgetter(STREAM)):
            groups.setdefault((kind, of), []).extend(captures)
    return groups


def _report(chunk: Sequence[Capture], prefix: str, skipped: Counter[str]) -> pb.ReportRequest:
    report = pb.ReportRequest()
    for (kind, of), group in _groups(chunk).items():
        if isinstance(of, str):
            _add_outcomes(report, of, group, skipped)
        elif kind is Table:
            for table in group:
                _fill_from_table(_batch(report, of, table.rows), table, prefix, skipped)
        else:
            fill = _fill_from_rows if kind is Row else _fill_from_ticks
            fill(_batch(report, of, len(group)), group, prefix, skipped)
    return report


def _fill_from_ticks(batch: pb.Batch, group: list[Tick], prefix: str, skipped: Counter[str]) -> None:
    _, features, outputs, starts, ends, counters, errors, _, ids = zip(*group, strict=True)
    wall = time.time_ns() - time.perf_counter_ns()  # what turns the host's ticks into times
    batch.times = packed("q", [(start + wall) // 1000 for start in starts])
    _set_ids(batch, ids, counters, prefix)
    batch.latencies = packed("f", [(end - start) * 1e-9 for start, end in zip(starts, ends, strict=True)])
    _fill(batch, features, outputs, errors, skipped, group[0][STREAM].screen)


def _fill_from_rows(batch: pb.Batch, group: list[Row], prefix: str, skipped: Counter[str]) -> None:
    _, features, outputs, times, counters, ids, latencies, errors = zip(*group, strict=True)
    batch.times = packed("q", times)
    _set_ids(batch, ids, counters, prefix)
    _set_latencies(batch, latencies)
    _fill(batch, features, outputs, errors, skipped, group[0].stream.screen)


def _set_ids(batch: pb.Batch, ids: Sequence[str | None], counters: Sequence[int], prefix: str) -> None:
    if any(ids):
        batch.ids.texts.extend(
            wire_id(given) if given else f"{prefix}-{counter}" for given, counter in zip(ids, counters, strict=True)
        )
    else:
        batch.ids.prefix = prefix
        batch.ids.counters = packed("Q", counters)


def _fill(
    batch: pb.Batch,
    features: Sequence[Any],
    outputs: Sequence[Any],
    errors: Sequence[str | None],
    skipped: Counter[str],
    screen: Screen | None,
) -> None:
    _add_features(batch, _transposed(features), skipped, screen)
    _add_outputs(batch, row_outputs(outputs, screen), skipped, screen)
    if any(errors):
        batch.errors.extend(pb.ErrorRow(row=i, type=error) for i, error in enumerate(errors) if error)


def _add_features(
    batch: pb.Batch, named: Iterable[tuple[str, Any]], skipped: Counter[str], screen: Screen | None
) -> None:
    shown = ((name, values) for name, values in named if screen is None or screen.shows(name))
    batch.features.extend(_columns(shown, batch.rows, skipped, screen))


def _add_outputs(batch: pb.Batch, named: Mapping[str, Any], skipped: Counter[str], screen: Screen | None) -> None:
    shown = ((name, values) for name, values in named.items() if screen is None or not screen.hides(name))
    batch.outputs.extend(_columns(shown, batch.rows, skipped, screen))


def _columns(
    named: Iterable[tuple[str, Any]], rows: int, skipped: Counter[str], screen: Screen | None
) -> Iterator[pb.Column]:
    """Encoded, as the screen lets them pass; what is too many or comes twice is left out and counted."""
    taken: set[str] = set()
    for name, values in named:
        if screen is not None and len(taken) >= screen.max_columns:
            skipped[name] += rows
            continue
        columns = encode_columns(name, values, skipped)
        if columns and columns[0].name in taken:  # names that differ for the host only: 1 and "1", or past their length
            skipped[name] += sum(map(present, columns))
            continue
        if screen is not None:
            columns = screened(columns, name, screen)
        taken.update(column.name for column in columns)
        yield from columns


def _transposed(features: Sequence[Any]) -> Iterable[tuple[str, Sequence[Any]]]:
    names = list(features[0])
    width = len(names)
    if width > 1 and set(map(len, features)) == {width}:
        with suppress(KeyError):
            cells = list(chain.from_iterable(map(itemgetter(*names), features)))
            return zip(map(str, names), (cells[i::width] for i in range(width)), strict=True)
    return named_columns(list(features))


def _fill_from_table(batch: pb.Batch, table: Table, prefix: str, skipped: Counter[str]) -> None:
    times = [table.times] * table.rows if isinstance(table.times, int) else micros(table.times, table.now)
    batch.times = packed("q", times)
    if table.ids is not None:
        batch.ids.texts.extend(table_ids(table, prefix))
    else:
        batch.ids.prefix = prefix
        batch.ids.counters = packed("Q", range(table.counter, table.counter + table.rows))
    named = named_columns(table.columns)
    _add_features(
        batch, ((name, values) for name, values in named if name not in table.aside), skipped, table.stream.screen
    )
    if table.error is None:
        _add_outputs(batch, said_of(table), skipped, table.stream.screen)
    else:
        batch.errors.extend(pb.ErrorRow(row=i, type=table.error) for i in range(table.rows))
    _set_latencies(batch, [table.latency] * table.rows)


def _batch(report: pb.ReportRequest, stream: Stream, rows: int) -> pb.Batch:
    """A batch in its place: to make it elsewhere would be to copy it there."""
    role = pb.Role.Name(ROLES.index(stream.role))  # the wire numbers them in this order
    return report.batches.add(model=wire_text(stream.model), version=wire_text(stream.version), role=role, rows=rows)


def _set_latencies(batch: pb.Batch, latencies: Sequence[int]) -> None:
    if any(latency >= 0 for latency in latencies):
        batch.latencies = packed("f", (latency * 1e-9 if latency >= 0 else float("nan") for latency in latencies))


def _add_outcomes(report: pb.ReportRequest, model: str, truths: list[Truth], skipped: Counter[str]) -> None:
    outcomes = report.outcomes.add(model=wire_text(model), times=packed("q", (truth.time for truth in truths)))
    outcomes.ids.extend(wire_id(truth.id) for truth in truths)
    given = [truth.label for truth in truths]
    labels = encode_columns("label", given, skipped)
    if len(labels) > 1:  # numbers and texts among the labels: all become text
        labels = encode_columns("label", [as_text(label) for label in given])
    outcomes.labels.CopyFrom(labels[0])
    outcomes.labels.texts[:] = [text[:MOST_ID] for text in labels[0].texts]
    for column in encode_columns("value", [truth.value for truth in truths], skipped):
        if column.kind == pb.TEXT:
            skipped["value"] += present(column)
        else:
            outcomes.values.CopyFrom(column)
