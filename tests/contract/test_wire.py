"""What the SDK encodes, the agent decodes to the same values."""

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tenure.backlog import Parcel
from tenure.capture import ROLES, Capture, Row, Stream, Table, Truth
from tenure.report import encode
from tenure_agent.wire import Generated, Rows, Truths, decode_batch, decode_outcomes
from tenure_proto.v1 import monitoring_pb2 as pb

MODEL, OTHER = Stream("m", "1"), Stream("other", "2", "shadow")
PAIR, ALONE = re.compile("([\ud800-\udbff])([\udc00-\udfff])"), re.compile("[\ud800-\udfff]")

texts = st.text(st.characters(exclude_categories=[]), max_size=20)
numbers = st.floats() | st.integers(-(2**70), 2**70) | st.sampled_from([2**63, -(2**63), 2**53 + 1, 10**400])
scalars = st.none() | st.booleans() | numbers | texts | st.sampled_from(["", "\0", "\ud800", "a\udfff", "nan"])
names = st.sampled_from(["a", "b", "_", "\0", "prediction"])
features = st.dictionaries(names, scalars)
times = st.integers(0, 4_102_444_800_000_000)
errors = st.none() | st.sampled_from(["KeyError", "ValueError"])
ids = st.none() | texts
latencies = st.integers(-1, 10**12)
rows = st.builds(
    Row, st.sampled_from([MODEL, OTHER]), features, scalars, times, st.integers(0, 2**64 - 1), ids, latencies, errors
)


def encoded(captures: Sequence[Capture]) -> pb.ReportRequest:
    (parcel,) = encode(captures, "p", 4 << 20)
    assert isinstance(parcel, Parcel)
    return pb.ReportRequest.FromString(parcel.body)


def number_in(value: Any) -> float | None:
    """The number a value is sent as."""
    if value is None or isinstance(value, str):
        return None
    try:
        number = float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
    return None if math.isnan(number) else number


def text_in(value: Any) -> str | None:
    """The text a value is sent as: what UTF-8 cannot carry is replaced."""
    if not isinstance(value, str):
        return None
    whole = PAIR.sub(lambda pair: chr(0x10000 + (ord(pair[1]) - 0xD800) * 0x400 + ord(pair[2]) - 0xDC00), value)
    return ALONE.sub("\ufffd", whole)


def cells(decoded: Rows, part: str, row: int) -> dict[str, list[Any]]:
    """Name → what a row has of it: at most one number and one text."""
    found: dict[str, list[Any]] = {}
    for column in decoded.columns:
        if column.part == part:
            value = column.values[row]
            missing = value is None or (column.kind != "TEXT" and math.isnan(value))
            assert isinstance(value, str) == (column.kind == "TEXT" and not missing)
            found.setdefault(column.name, []).extend([] if missing else [value])
    return found


def expected(values: Iterable[Any]) -> list[list[Any]]:
    return [[part for part in (number_in(value), text_in(value)) if part is not None] for value in values]


def ids_of(rows: Rows) -> list[str]:
    if isinstance(rows.ids, Generated):
        return [f"{rows.ids.prefix}-{counter}" for counter in rows.ids.counters.tolist()]
    return rows.ids.tolist()  # type: ignore[no-any-return]


@given(captures=st.lists(rows, min_size=1, max_size=30))
@example([Row(MODEL, {"a": value}, value, 0, 0) for value in (2**63, 10**400, math.nan, -math.inf, True, None)])
@example([Row(MODEL, {"a": value}, value, 0, 0) for value in (True, False)])
@example([Row(MODEL, {"a": value}, value, 0, 0) for value in (None, "\ud83d\udc1f", "\udc1f\ud83d", "\0", "", 1)])
def test_rows(captures: list[Row]) -> None:
    report = encoded(captures)

    for stream in dict.fromkeys(row.stream for row in captures):
        sent = [row for row in captures if row.stream == stream]
        (batch,) = (b for b in report.batches if b.model == stream.model)
        decoded = decode_batch(batch)
        assert (decoded.model, decoded.version, ROLES[decoded.role]) == (stream.model, stream.version, stream.role)
        assert decoded.times.tolist() == [row.time for row in sent]
        assert ids_of(decoded) == [text_in(row.id) or f"p-{row.counter}" for row in sent]
        errors = [None] * len(sent) if decoded.errors is None else decoded.errors.tolist()
        assert errors == [row.error for row in sent]
        measured = [row.latency * 1e-9 if row.latency >= 0 else math.nan for row in sent]
        found = np.full(len(sent), np.nan) if decoded.latencies is None else decoded.latencies
        np.testing.assert_allclose(found, measured, rtol=1e-6)
        columns = dict.fromkeys(name for row in sent for name in row.features)
        for i, row in enumerate(sent):
            values = dict(zip(columns, expected(row.features.get(name) for name in columns), strict=True))
            assert cells(decoded, "feature", i) == values
            assert cells(decoded, "output", i) == {"prediction": expected([row.output])[0]}


@given(data=st.data(), height=st.integers(1, 20))
def test_tables(data: st.DataObject, height: int) -> None:
    columns = data.draw(st.dictionaries(names, st.lists(scalars, min_size=height, max_size=height)))
    outputs = data.draw(st.none() | st.lists(st.none() | numbers | texts, min_size=height, max_size=height))
    given_ids = data.draw(st.none() | st.lists(ids, min_size=height, max_size=height))
    table = Table(MODEL, columns, outputs, 7, 2**40, height, given_ids, latency=5)

    decoded = decode_batch(encoded([table]).batches[0])

    assert decoded.times.tolist() == [7] * height
    assert ids_of(decoded) == [
        text_in(known) or f"p-{2**40 + i}" for i, known in enumerate(given_ids or [None] * height)
    ]
    for i in range(height):
        values = expected(column[i] for column in columns.values())
        assert cells(decoded, "feature", i) == dict(zip(columns, values, strict=True))
        if outputs is not None:
            assert cells(decoded, "output", i) == {"prediction": expected([outputs[i]])[0]}


@given(values=st.lists(st.none() | st.floats() | st.booleans() | texts, min_size=1))
def test_a_frame_and_its_rows_are_the_same_to_the_agent(values: list[Any]) -> None:
    frame = pd.DataFrame({"a": pd.Series(values, dtype=object)})
    table = Table(MODEL, frame, None, 7, 0, len(values))
    alone = [Row(MODEL, {"a": value}, None, 7, i) for i, value in enumerate(values)]

    decoded = [decode_batch(encoded(captures).batches[0]) for captures in ([table], alone)]

    for i in range(len(values)):
        assert cells(decoded[0], "feature", i) == cells(decoded[1], "feature", i)
    assert ids_of(decoded[0]) == ids_of(decoded[1])


truths = st.builds(Truth, st.sampled_from(["m", "n"]), texts, scalars, st.none() | numbers, times)


@given(captures=st.lists(truths, min_size=1, max_size=30))
@example([Truth("m", "A", 2**63, None, 0), Truth("m", "B", None, 12.5, 1)])
def test_outcomes(captures: list[Truth]) -> None:
    report = encoded(captures)

    for model in dict.fromkeys(truth.model for truth in captures):
        sent = [truth for truth in captures if truth.model == model]
        (outcomes,) = (o for o in report.outcomes if o.model == model)
        decoded = decode_outcomes(outcomes)
        assert len(decoded) == len(sent)
        assert decoded.ids.tolist() == [text_in(truth.id) for truth in sent]
        assert decoded.times.tolist() == [truth.time for truth in sent]
        np.testing.assert_array_equal(decoded.values, [_or_nan(number_in(truth.value)) for truth in sent])
        assert labels(decoded) == expected_labels([truth.label for truth in sent])


def _or_nan(number: float | None) -> float:
    return math.nan if number is None else number


def labels(decoded: Truths) -> list[Any]:
    pairs = zip(decoded.numbers.tolist(), decoded.texts.tolist(), strict=True)
    return [text if text is not None else None if math.isnan(number) else number for number, text in pairs]


def expected_labels(given_labels: Sequence[Any]) -> list[Any]:
    """Where numbers and texts are mixed, all labels are texts."""
    mixed = any(number_in(label) is not None for label in given_labels) and any(
        isinstance(label, str) for label in given_labels
    )
    if mixed:
        return [text_in(label) if isinstance(label, str) else _written(label) for label in given_labels]
    return [text_in(label) if isinstance(label, str) else number_in(label) for label in given_labels]


def _written(label: Any) -> str | None:
    number = number_in(label)
    if number is None or isinstance(label, bool):
        return None if number is None else str(label)
    return str(int(number)) if number.is_integer() else repr(number)


@pytest.mark.parametrize("role", ROLES)
def test_roles(role: str) -> None:
    decoded = decode_batch(encoded([Row(Stream("m", "1", role), {}, 0.5, 7, 0)]).batches[0])

    assert ROLES[decoded.role] == role
    assert len(decoded) == 1
