"""Of a call on more rows than may be captured, every second, third, … row is, and the rest is counted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from tenure import Monitor, Settings
from tenure.sharing import shared
from tenure.testing import MemoryTransport
from tenure.thinning import Thinning, thinning

ROWS, MOST = 25, 10
TAKEN = list(range(0, ROWS, 3))
COLUMNS: dict[str, list[Any]] = {"amount": [float(i) for i in range(ROWS)], "order": [f"o{i}" for i in range(ROWS)]}
FRAME = pd.DataFrame(COLUMNS, index=[7] * ROWS)
TABLES: list[Any] = [
    pytest.param(FRAME, id="pandas"),
    pytest.param(pl.DataFrame(COLUMNS), id="polars"),
    pytest.param(pa.table(COLUMNS), id="Arrow"),
    pytest.param(FRAME.to_dict("records"), id="dicts"),
]
BARE: list[Any] = [
    pytest.param(np.array([[float(i)] for i in range(ROWS)]), id="matrix"),
    pytest.param([[float(i)] for i in range(ROWS)], id="lists"),
]


@pytest.fixture
def monitor(transport: MemoryTransport) -> Iterator[Monitor]:
    settings = Settings(max_rows=MOST, flush_interval=0.001)
    with Monitor("fraud", "1", settings=settings, transport=transport) as monitor:
        yield monitor


def sent(monitor: Monitor, transport: MemoryTransport) -> list[dict[str, Any]]:
    assert monitor.flush(60.0)
    rows = transport.predictions(monitor.model)
    stats = monitor.stats()
    assert stats.dropped == {"too_many_rows": ROWS - len(TAKEN)}
    assert stats.emitted == ROWS == stats.acked + ROWS - len(TAKEN)
    return rows


@pytest.mark.parametrize(
    "identify", ["order", lambda table: [f"o{i}" for i in range(ROWS)]], ids=["column", "function"]
)
@pytest.mark.parametrize("table", TABLES)
def test_rows_outputs_and_ids_stay_together(
    monitor: Monitor, transport: MemoryTransport, table: Any, identify: Any
) -> None:
    predict = monitor.watch(id=identify)(lambda rows: np.arange(ROWS) / 100)
    assert len(predict(table)) == ROWS
    rows = sent(monitor, transport)
    assert [row["features"]["amount"] for row in rows] == TAKEN
    assert [row["id"] for row in rows] == [f"o{i}" for i in TAKEN]
    assert [row["outputs"]["prediction"] for row in rows] == [i / 100 for i in TAKEN]


@pytest.mark.parametrize("table", BARE)
def test_arrays_and_lists(monitor: Monitor, transport: MemoryTransport, table: Any) -> None:
    monitor.watch(lambda rows: [0.5] * ROWS)(table)
    assert [row["features"] for row in sent(monitor, transport)] == [{"x0": float(i)} for i in TAKEN]


def test_recorded_tables_too(monitor: Monitor, transport: MemoryTransport) -> None:
    ids = [f"o{i}" for i in range(ROWS)]
    monitor.record(FRAME[["amount"]], list(range(ROWS)), id=ids, time=np.arange(ROWS) + 1_718_625_600)
    rows = sent(monitor, transport)
    assert [row["id"] for row in rows] == [ids[i] for i in TAKEN]
    assert [row["time"] for row in rows] == [(1_718_625_600 + i) * 1_000_000 for i in TAKEN]
    assert [row["outputs"]["prediction"] for row in rows] == TAKEN


@pytest.mark.parametrize(
    "given",
    [np.arange(ROWS), [0.5] * ROWS, {str(i): i for i in range(ROWS)}, pd.Series(range(ROWS)), "x" * ROWS, None, 7],
    ids=lambda given: type(given).__name__,
)
def test_one_wide_row_is_one_row(given: Any) -> None:
    assert thinning([given], MOST) is None
    assert Thinning(99, 2).of(given) is given


def test_as_many_as_allowed_are_all_taken() -> None:
    assert thinning([FRAME], ROWS) is None
    assert thinning([FRAME], ROWS - 1) == Thinning(ROWS, 2)


def test_a_host_that_waits_has_every_row_sent_however_small_its_queue(transport: MemoryTransport) -> None:
    settings = Settings(queue_rows=MOST, when_full="block", flush_interval=0.001)
    monitor = Monitor("fraud", "1", settings=settings, transport=transport)
    monitor.watch(id="order")(lambda rows: np.arange(ROWS))(FRAME)
    assert monitor.flush(60.0)
    assert [row["id"] for row in transport.predictions("fraud")] == COLUMNS["order"]
    assert monitor.stats().dropped == {}
    monitor.close()


def test_a_host_that_does_not_wait_takes_what_there_is_room_for() -> None:
    assert Settings(queue_rows=5).most_rows == 5
    assert Settings(queue_rows=5, when_full="block").most_rows == Settings().max_rows
    assert shared.batcher(Settings()) is shared.batcher(Settings())
