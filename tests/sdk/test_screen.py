"""What may leave the process: samples that agree, names shown and hidden, values redacted and cut."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure import Monitor, SettingError, Settings
from tenure.screen import Screen, bucket_of_number
from tenure.testing import MemoryTransport

DEADLINE = 60.0
IDS = [f"id {i}" for i in range(400)]
Make = Callable[..., Monitor]


@pytest.fixture
def make(transport: MemoryTransport) -> Make:
    def make(**options: Any) -> Monitor:
        limits = options.pop("limits", {})
        return Monitor("m", settings=Settings(flush_interval=0.001, **limits), transport=transport, **options)

    return make


def sent(monitor: Monitor, transport: MemoryTransport, key: str = "features") -> list[Any]:
    assert monitor.flush(DEADLINE)
    return [found[key] for found in transport.predictions("m")]


TABLES: list[Callable[[dict[str, list[Any]]], Any]] = [
    lambda columns: [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)],
    pd.DataFrame,
    pl.DataFrame,
    pa.table,
]


@pytest.mark.parametrize("table", TABLES, ids=["list", "pandas", "polars", "arrow"])
def test_a_sample_is_the_same_for_rows_tables_shadows_and_outcomes(
    make: Make, transport: MemoryTransport, table: Callable[..., Any]
) -> None:
    monitor = make(sample=0.25)
    kept = [id_ for id_ in IDS if Screen(0.25).keeps(id_)]
    for id_ in IDS:
        monitor.record({"x": 1}, 0.5, id=id_)
    monitor.record(table({"id": IDS, "x": list(range(len(IDS)))}), IDS, id="id", role="shadow")
    monitor.outcome(IDS, label=1)

    found = sent(monitor, transport, "id")
    assert sorted(found) == sorted(kept * 2)
    assert [truth["id"] for truth in transport.outcomes("m")] == kept
    shadows = [row for row in transport.predictions("m") if row["role"] == "shadow"]
    assert [(row["id"], row["outputs"]["prediction"]) for row in shadows] == [(id_, id_) for id_ in kept]
    assert [row["features"]["x"] for row in shadows] == [IDS.index(id_) for id_ in kept]
    stats = monitor.stats()
    assert stats.emitted == 3 * len(IDS)
    assert (stats.acked, stats.dropped) == (3 * len(kept), {"sampled_out": 3 * (len(IDS) - len(kept))})
    assert 50 < len(kept) < 150


@pytest.mark.parametrize(("sample", "rows"), [(0.0, 0), (1.0, 5)])
def test_generated_ids_are_sampled_too(make: Make, transport: MemoryTransport, sample: float, rows: int) -> None:
    monitor = make(sample=sample)
    predict = monitor.watch(lambda features: [0.5] * 4 if isinstance(features, np.ndarray) else 0.5)
    predict({"x": 1})
    predict(np.zeros((4, 2)))

    assert len(sent(monitor, transport)) == rows
    assert monitor.stats().dropped == ({} if rows else {"sampled_out": 5})
    assert monitor.stats().emitted == 5


@given(id=st.text(st.characters(exclude_categories=[])), low=st.floats(0, 1), high=st.floats(0, 1))
def test_a_smaller_sample_is_part_of_a_larger_one(id: str, low: float, high: float) -> None:
    low, high = sorted((low, high))

    assert Screen(low).keeps(id) <= Screen(high).keeps(id)


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, {"a", "user.name", "user.email"}),
        ({"include": ["a"]}, {"a"}),
        ({"include": ["user"]}, {"user.name", "user.email"}),
        ({"exclude": ["user.email"]}, {"a", "user.name"}),
        ({"exclude": ["user"]}, {"a"}),
        ({"include": ["user"], "exclude": ["user.name"]}, {"user.email"}),
        ({"redact": {"user": "drop"}}, {"a"}),
    ],
)
def test_names(make: Make, transport: MemoryTransport, options: dict[str, Any], names: set[str]) -> None:
    monitor = make(**options)
    monitor.record({"a": 1, "user": {"name": "n", "email": "e"}}, 0.5)

    assert set(sent(monitor, transport)[0]) == names


@pytest.mark.parametrize("table", TABLES, ids=["list", "pandas", "polars", "arrow"])
def test_hashes(make: Make, transport: MemoryTransport, table: Callable[..., Any]) -> None:
    monitor = make(redact={"email": "hash", "n": "hash"}, limits={"redact_key": "k"})
    monitor.record(table({"email": ["a@b.c", None, "a@b.c"], "n": [1, 2, None]}), [0.1, 0.2, 0.3])
    monitor.record({"email": 1.0, "n": "a@b.c"}, 0.5)
    first, second, third, fourth = sent(monitor, transport)

    assert first["email"] == third["email"] == fourth["n"]
    assert first["n"] == fourth["email"] != second["n"]
    assert (second["email"], third["n"]) == (None, None)
    assert all(len(text) == 16 for text in (first["email"], first["n"]))
    assert b"a@b.c" not in b"".join(report.SerializeToString() for report in transport.reports)
    assert Screen.of(Settings(redact_key="k")).hashed("a@b.c") == first["email"]
    assert Screen.of(Settings(redact_key="other")).hashed("a@b.c") != first["email"]


def test_buckets(make: Make, transport: MemoryTransport) -> None:
    monitor = make(redact={"x": "bucket", "flag": "bucket"})
    monitor.record({"x": 1234, "flag": True}, 0.5)
    monitor.record({"x": "Amsterdam", "flag": None}, 0.5)
    first, second = sent(monitor, transport)

    assert first == {"x": 1000.0, "flag": 1.0}
    assert second["x"].startswith("bucket-")


@pytest.mark.parametrize(
    ("number", "bucket"), [(0.0567, 0.06), (-96.0, -100.0), (0.0, 0.0), (math.inf, math.inf), (-5e-9, -5e-9)]
)
def test_numbers_to_one_significant_digit(number: float, bucket: float) -> None:
    assert bucket_of_number(number) == bucket


def test_a_redacted_output_does_not_leave_as_the_prediction(make: Make, transport: MemoryTransport) -> None:
    monitor = make(redact={"email": "hash"}, exclude=["note"])
    monitor.record({"x": 1}, {"email": "a@b.c", "note": "call a@b.c", "label": "fraud"})

    assert sent(monitor, transport, "outputs") == [{"prediction": "fraud", "label": "fraud"}]


def test_limits(make: Make, transport: MemoryTransport) -> None:
    monitor = make(limits={"max_columns": 2, "max_text": 3})
    monitor.record({"a": "abcdef", "b": 1, "c": 2}, "a long answer")

    assert sent(monitor, transport) == [{"a": "abc", "b": 1.0}]
    assert sent(monitor, transport, "outputs") == [{"prediction": "a l"}]
    assert monitor.stats().skipped == {"c": 1}


@pytest.mark.parametrize(
    "options",
    [{"sample": -0.1}, {"sample": 1.1}, {"sample": math.nan}, {"sample": True}, {"redact": {"x": "blur"}},
     {"exclude": "email"}, {"include": "email"}],
    ids=str,
)  # fmt: skip
def test_what_makes_no_sense_is_refused(make: Make, options: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match="cannot be used"):
        make(**options)


def test_an_id_that_is_redacted_is_refused(make: Make) -> None:
    with pytest.raises(SettingError, match="id: 'email' cannot be used"):
        make(redact={"email": "hash"}).watch(id="email")(lambda features: 0.5)
