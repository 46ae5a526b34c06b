"""Names of features: those that come twice, those of ids and times, and how many there may be."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from tenure import Monitor, Settings
from tenure.testing import MemoryTransport

DEADLINE = 60.0
MOMENT = dt.datetime(2024, 6, 17, 12, tzinfo=dt.UTC)
MICROS = 1_718_625_600_000_000

Send = Callable[..., list[dict[str, Any]]]


TWICE = [
    pytest.param(pd.DataFrame([[1, 2, 3]], columns=["a", "b", "a"]), id="pandas"),
    pytest.param(pd.Series([1, 2, 3], index=["a", "b", "a"]), id="Series"),
    pytest.param(pa.Table.from_arrays([pa.array([1]), pa.array([2]), pa.array([3])], names=["a", "b", "a"]), id="Arrow"),
]  # fmt: skip


@pytest.mark.parametrize("given", TWICE)
def test_of_a_label_that_comes_twice_the_first_is_kept(send: Send, monitor: Monitor, given: Any) -> None:
    assert send(given, output=[0]) == [{"a": 1.0, "b": 2.0}]
    assert monitor.stats().skipped == {"a": 1}


@pytest.mark.parametrize("given", [{"a.b": 1, "a": {"b": 2}, "c": 0}, {1: 1, "1": 2, "c": 0}], ids=str)
@pytest.mark.parametrize("many", [False, True])
def test_of_names_that_become_one_the_first_is_kept(send: Send, monitor: Monitor, given: Any, *, many: bool) -> None:
    [found] = send([given] if many else given, output=[0])

    assert sorted(found.values()) == [0.0, 1.0]
    assert sum(monitor.stats().skipped.values()) == 1


def test_a_mapping_that_holds_itself_ends(send: Send, monitor: Monitor) -> None:
    endless: dict[str, Any] = {"a": 1}
    endless |= {f"self {i}": endless for i in range(20)}

    [found] = send(endless)

    assert found["a"] == found["self 0.self 0.a"] == 1.0
    assert monitor.stats().dropped == {}


IDS = [
    pytest.param([{"order": "A", "at": MOMENT}, {"order": None, "at": None}], id="list of dicts"),
    pytest.param(pd.DataFrame({"order": ["A", None], "at": [MOMENT, None]}), id="pandas"),
    pytest.param(pl.DataFrame({"order": ["A", None], "at": [MOMENT, None]}), id="polars"),
    pytest.param(pa.table({"order": ["A", None], "at": [MOMENT, None]}), id="Arrow"),
    pytest.param(pa.RecordBatch.from_pydict({"order": ["A", None], "at": [MOMENT, None]}), id="Arrow batch"),
]


@pytest.mark.parametrize("table", IDS)
def test_ids_and_times_of_a_table(monitor: Monitor, transport: MemoryTransport, table: Any) -> None:
    monitor.watch(id="order", time="at")(lambda table: [0, 1])(table)
    assert monitor.flush(DEADLINE)

    first, second = transport.predictions(monitor.model)
    assert (first["id"], first["time"], first["features"]) == ("A", MICROS, {})
    assert second["id"] not in {"", "None", "nan", "A"}


@pytest.mark.parametrize("table", [np.zeros((2, 1)), pd.DataFrame({"a": [0, 0]}), pl.DataFrame({"a": [0, 0]}), ["a", "b"]], ids=str)  # fmt: skip
def test_rows_without_the_column_of_ids_get_ids_of_ours(
    monitor: Monitor, transport: MemoryTransport, table: Any
) -> None:
    monitor.watch(id="order", time="at")(lambda table: [0, 1])(table)
    assert monitor.flush(DEADLINE)

    assert len({found["id"] for found in transport.predictions(monitor.model)}) == 2


def test_limits_take_the_first_columns_and_count_the_rest(transport: MemoryTransport) -> None:
    with Monitor("fraud", settings=Settings(max_columns=2, max_text=3), transport=transport) as monitor:
        monitor.record(pd.DataFrame({"c": ["longer"], "b": [2], "a": [3]}), [0])
        assert monitor.flush(DEADLINE)

        assert transport.predictions("fraud")[0]["features"] == {"c": "lon", "b": 2.0}
        assert monitor.stats().skipped == {"a": 1}
