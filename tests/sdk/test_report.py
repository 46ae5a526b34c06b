"""Captures to reports: in order, within the limit, and each row accounted for."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.backlog import Parcel, Unencodable
from tenure.capture import CHALLENGER, Capture, Row, Stream, Table, Truth, model_of, rows_in
from tenure.report import CHUNK_ROWS, encode
from tenure.testing import MemoryTransport
from tenure_proto.v1 import monitoring_pb2 as pb

STREAM = Stream("m", "1")
MIB = 1 << 20


class Broken:
    """A host's object that cannot be read."""

    def __float__(self) -> float:
        raise RuntimeError("detached session")


def row(counter: int, features: dict[str, Any] | None = None, output: Any = 0.5, stream: Stream = STREAM) -> Row:
    return Row(stream, {"x": counter} if features is None else features, output, 1000 + counter, counter)


def table(columns: Any, output: Any, rows: int, **more: Any) -> Table:
    return Table(STREAM, columns, output, more.pop("times", 1000), more.pop("counter", 1 << 40), rows, **more)


def parts(captures: Sequence[Capture], limit: int = MIB) -> tuple[list[Parcel], list[Unencodable]]:
    results = list(encode(captures, "p", limit))
    parcels = [result for result in results if isinstance(result, Parcel)]
    return parcels, [result for result in results if isinstance(result, Unencodable)]


def received(parcels: Sequence[Parcel]) -> MemoryTransport:
    """An agent that took the parcels, each with its number."""
    transport = MemoryTransport()
    for seq, parcel in enumerate(parcels, 1):
        head = pb.ReportRequest(producer_id="p", seq=seq)
        transport.report(head.SerializeToString() + parcel.body, timeout=1)
    return transport


def test_one_row() -> None:
    capture = Row(STREAM, {"amount": 12.5, "country": "NL"}, 0.9, 1000, 7, latency=2_000_000)

    (parcel,), _ = parts([capture])
    (batch,) = pb.ReportRequest.FromString(parcel.body).batches

    assert parcel.rows == {"m": 1}
    assert (batch.model, batch.version, batch.role, batch.rows) == ("m", "1", pb.CHAMPION, 1)
    assert np.frombuffer(batch.latencies, "<f4").tolist() == [pytest.approx(0.002)]
    assert received([parcel]).predictions("m") == [
        {
            "id": "p-7",
            "time": 1000,
            "version": "1",
            "role": "champion",
            "features": {"amount": 12.5, "country": "NL"},
            "outputs": {"prediction": 0.9},
            "error": None,
        }
    ]


def test_rows_with_differing_features_lack_what_they_lack() -> None:
    parcels, _ = parts([row(0, {"a": 1}), row(1, {"b": "x", "a": None}), row(2, {}), row(3, {"b": 2})])

    assert [found["features"] for found in received(parcels).predictions("m")] == [
        {"a": 1.0, "b": None},
        {"a": None, "b": "x"},
        {"a": None, "b": None},
        {"a": None, "b": 2.0},
    ]


def test_given_and_generated_ids_mix() -> None:
    parcels, _ = parts([row(0), row(1)._replace(id="A17"), row(2)._replace(id="\ud800"), row(3)._replace(id="")])

    assert [found["id"] for found in received(parcels).predictions("m")] == ["p-0", "A17", "�", "p-3"]


@pytest.mark.parametrize("missing", [None, "", np.nan, pd.NA, pd.NaT, [1, 2], np.zeros(2)], ids=repr)
def test_a_table_row_without_an_id_gets_one(missing: Any) -> None:
    parcels, _ = parts([table({"x": [1, 2]}, [0, 1], 2, ids=["A17", missing], counter=5)])

    assert [found["id"] for found in received(parcels).predictions("m")] == ["A17", "p-6"]


def test_each_stream_has_its_own_batch() -> None:
    streams = [STREAM, Stream("m", "2", CHALLENGER), Stream("other", "1"), STREAM]

    parcels, _ = parts([row(i, stream=stream) for i, stream in enumerate(streams)])
    transport = received(parcels)

    assert [parcel.rows for parcel in parcels] == [{"m": 3, "other": 1}]
    assert [(f["id"], f["version"], f["role"]) for f in transport.predictions("m")] == [
        ("p-0", "1", "champion"),
        ("p-3", "1", "champion"),
        ("p-1", "2", "challenger"),
    ]
    assert [found["id"] for found in transport.predictions("other")] == ["p-2"]


def test_an_error_is_recorded_by_its_type_among_rows_without_one() -> None:
    parcels, _ = parts([row(0), row(1, output=None)._replace(error="KeyError")])

    found = received(parcels).predictions("m")
    assert [(f["error"], f["outputs"]["prediction"]) for f in found] == [(None, 0.5), ("KeyError", None)]


def test_an_error_of_a_table_is_every_rows() -> None:
    parcels, _ = parts([table({"x": [1, 2]}, None, 2, error="ValueError")])

    found = received(parcels).predictions("m")
    assert [(f["error"], f["features"], f["outputs"]) for f in found] == [
        ("ValueError", {"x": 1.0}, {}),
        ("ValueError", {"x": 2.0}, {}),
    ]


def test_outcomes() -> None:
    truths = [Truth("m", "A", 1, 12.5, 7), Truth("m", "B", None, None, 8), Truth("n", "C", "fraud", None, 9)]

    parcels, _ = parts(truths)

    assert [parcel.rows for parcel in parcels] == [{"m": 2, "n": 1}]
    assert received(parcels).outcomes("m") == [
        {"id": "A", "time": 7, "label": 1.0, "value": 12.5},
        {"id": "B", "time": 8, "label": None, "value": None},
    ]
    assert received(parcels).outcomes("n") == [{"id": "C", "time": 9, "label": "fraud", "value": None}]


def test_labels_of_mixed_kinds_all_become_text() -> None:
    parcels, _ = parts([Truth("m", str(i), label, None, i) for i, label in enumerate([1, "fraud", None, True])])

    assert [outcome["label"] for outcome in received(parcels).outcomes("m")] == ["1", "fraud", None, "True"]


def test_numbers_among_labels_become_the_text_they_have_at_the_agent() -> None:
    labels = [2.0, 0.5, "x" * 9000, float("nan"), [1], -(10**400)]

    (parcel,), _ = parts([Truth("m", str(i), label, None, i) for i, label in enumerate(labels)])

    sent = [outcome["label"] for outcome in received([parcel]).outcomes("m")]
    assert sent == ["2", "0.5", "x" * 4096, None, None, "-inf"]
    assert parcel.skipped == {"label": 1}


def test_a_business_value_that_is_no_number_is_counted() -> None:
    (parcel,), _ = parts([Truth("m", str(i), 1, value, i) for i, value in enumerate([12, "12", None, b"12"])])  # type: ignore[arg-type]

    assert [outcome["value"] for outcome in received([parcel]).outcomes("m")] == [12.0, None, None, None]
    assert parcel.skipped == {"value": 2}


def test_names_that_are_one_to_the_agent_are_one_feature() -> None:
    captures = [row(0, {1: "a"}), row(1, {"1": "b"}), row(2, {"1": "c", 1: "d", "x" * 300: 1}), row(3, {"x" * 299: 2})]  # type: ignore[dict-item]

    (parcel,), _ = parts(captures)

    found = [{n: v for n, v in f["features"].items() if v is not None} for f in received([parcel]).predictions("m")]
    assert found == [{"1": "a"}, {"1": "b"}, {"1": "d", "x" * 256: 1.0}, {"x" * 256: 2.0}]
    assert parcel.skipped == {"1": 1}


def test_an_id_too_long_is_cut_alike_wherever_it_stands() -> None:
    long = "x" * 100_000

    parcels, _ = parts([row(0)._replace(id=long), table({"x": [1]}, [0], 1, ids=[long]), Truth("m", long, 1, None, 0)])

    ids = [found["id"] for found in received(parcels).predictions("m") + received(parcels).outcomes("m")]
    assert ids == ["x" * 4096] * 3


def test_what_is_over_the_limit_is_split_in_order() -> None:
    captures = [row(i, {"x": "y" * (i % 50)}) for i in range(500)]

    parcels, lost = parts(captures, limit=2000)

    assert len(parcels) > 5
    assert max(len(parcel.body) for parcel in parcels) <= 2000
    assert [found["id"] for found in received(parcels).predictions("m")] == [f"p-{i}" for i in range(500)]
    assert sum(parcel.rows["m"] for parcel in parcels) == 500
    assert lost == []


def test_a_long_queue_is_encoded_in_chunks() -> None:
    parcels, _ = parts([row(i) for i in range(CHUNK_ROWS + 1)])

    assert [parcel.rows["m"] for parcel in parcels] == [CHUNK_ROWS, 1]


def test_a_row_too_large_is_given_back_and_its_neighbours_are_not() -> None:
    parcels, lost = parts([row(0), row(1, {"x": "y" * 2000}), row(2)], limit=1000)

    assert [found["id"] for found in received(parcels).predictions("m")] == ["p-0", "p-2"]
    assert lost == [Unencodable("too_large", {"m": 1}, None)]


def test_a_row_that_cannot_be_encoded_is_given_back_with_its_error() -> None:
    parcels, (lost,) = parts([row(0), table(None, 0.5, 1), row(2), Truth("m", "A", 1, None, 7)])

    assert [found["id"] for found in received(parcels).predictions("m")] == ["p-0", "p-2"]
    assert len(received(parcels).outcomes("m")) == 1
    assert (lost.reason, lost.rows) == ("encode_error", {"m": 1})
    assert isinstance(lost.error, AttributeError)


ROWS = 400
NAMES = [f"name {i}" for i in range(ROWS)]
FRAMES = [
    pytest.param([{"x": i, "s": NAMES[i]} for i in range(ROWS)], id="list of dicts"),
    pytest.param(pd.DataFrame({"x": range(ROWS), "s": NAMES}), id="pandas"),
    pytest.param(pd.DataFrame({"x": range(ROWS), "s": NAMES}, index=np.linspace(0, 1, ROWS)), id="pandas, float index"),
    pytest.param(pl.DataFrame({"x": range(ROWS), "s": NAMES}), id="polars"),
]
OUTPUTS = [
    pytest.param(np.arange(ROWS), id="array"),
    pytest.param(list(range(ROWS)), id="list"),
    pytest.param(pd.Series(range(ROWS), index=np.linspace(0, 1, ROWS)), id="pandas"),
    pytest.param(pl.Series(range(ROWS)), id="polars"),
]


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("frame", FRAMES)
def test_a_table_over_the_limit_is_halved(frame: Any, output: Any) -> None:
    given_ids = pd.Series(NAMES, index=np.linspace(0, 1, ROWS))
    capture = table(frame, output, ROWS, times=np.arange(ROWS) * 1e-6, ids=given_ids)

    parcels, lost = parts([capture], limit=2000)

    assert len(parcels) > 5
    assert max(len(parcel.body) for parcel in parcels) <= 2000
    assert [(f["id"], f["time"], f["features"], f["outputs"]) for f in received(parcels).predictions("m")] == [
        (NAMES[i], i, {"x": float(i), "s": NAMES[i]}, {"prediction": float(i)}) for i in range(ROWS)
    ]
    assert lost == []


def test_a_halved_matrix_keeps_its_generated_ids() -> None:
    parcels, _ = parts([table(np.arange(800.0).reshape(400, 2), None, 400, counter=1000)], limit=1500)

    found = received(parcels).predictions("m")
    assert len(parcels) > 1
    assert [f["id"] for f in found] == [f"p-{1000 + i}" for i in range(400)]
    assert [f["features"]["x1"] for f in found] == [2 * i + 1.0 for i in range(400)]


def test_a_large_table_without_parts_is_given_back() -> None:
    parcels, (lost,) = parts([table({"x": NAMES}, None, ROWS, ids=dict.fromkeys(NAMES)), row(0)], limit=1000)

    assert [found["id"] for found in received(parcels).predictions("m")] == ["p-0"]
    assert (lost.reason, lost.rows) == ("encode_error", {"m": ROWS})
    assert isinstance(lost.error, TypeError | KeyError)


values = st.none() | st.floats() | st.integers() | st.text(st.characters(), max_size=80) | st.builds(Broken)
features = st.dictionaries(st.sampled_from(["a", "b"]), values)
streams = st.builds(Stream, st.sampled_from(["m", "n"]), st.sampled_from(["1", "2"]))
rows = st.builds(Row, streams, features, values, st.integers(0, 10**15), st.integers(0, 99))
truths = st.builds(Truth, st.sampled_from(["m", "n"]), st.text(), values, st.none() | st.floats(), st.integers(0, 9))
tables = st.lists(features, min_size=1).map(lambda found: Table(STREAM, found, None, 1000, 1 << 40, len(found)))


@given(captures=st.lists(rows | truths | tables), limit=st.integers(1, 3000))
def test_every_row_is_in_a_parcel_or_given_back(captures: list[Capture], limit: int) -> None:
    counted: Counter[str] = Counter()
    for capture in captures:
        counted[model_of(capture)] += rows_in(capture)
    reported: Counter[str] = Counter()

    parcels, lost = parts(captures, limit)

    for found in [*(parcel.rows for parcel in parcels), *(given_back.rows for given_back in lost)]:
        reported.update(found)
    assert reported == counted
    assert all(len(parcel.body) <= limit for parcel in parcels)
    for parcel in parcels:
        report = pb.ReportRequest.FromString(parcel.body)
        assert sum(batch.rows for batch in report.batches) + sum(len(o.ids) for o in report.outcomes) == sum(
            parcel.rows.values()
        )
