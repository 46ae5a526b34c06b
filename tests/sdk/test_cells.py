"""One value of every kind: what is sent of it, what is missing, and what is left out by name and counted."""

from __future__ import annotations

import datetime as dt
import enum
import math
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from scipy import sparse

from tenure import Monitor
from tenure.testing import MemoryTransport
from tenure_proto.v1 import monitoring_pb2 as pb

NAN, INF = math.nan, math.inf
MOMENT = dt.datetime(2024, 6, 17, 12, tzinfo=dt.UTC)
NAIVE = MOMENT.replace(tzinfo=None)
MICROS = 1_718_625_600_000_000.0

Features = dict[str, Any]
Send = Callable[..., list[Features]]


def kinds(transport: MemoryTransport) -> dict[str, int]:
    """The declared kind of every feature."""
    columns = (column for report in transport.reports for batch in report.batches for column in batch.features)
    return {column.name: column.kind for column in columns}


class Color(enum.Enum):
    RED = "red"
    TWO = 2


MISSING = [None, NAN, np.float32(NAN), np.datetime64("NaT"), np.timedelta64("NaT"), np.ma.masked, pd.NaT, pd.NA, pa.scalar(None, pa.float64()), Decimal("NaN")]  # fmt: skip


@pytest.mark.parametrize("missing", MISSING, ids=repr)
def test_what_is_missing_is_missing_wherever_it_stands(
    send: Send, monitor: Monitor, transport: MemoryTransport, missing: Any
) -> None:
    send({"a": missing, "b": 1})
    send([{"a": missing, "b": 1}])
    found = send(pd.DataFrame({"a": pd.Series([missing], dtype=object), "b": 1}), output=[0])

    assert found == [{"a": None, "b": 1.0}] * 3
    assert monitor.stats().skipped == {}


@pytest.mark.parametrize("infinite", [INF, -INF, np.float16(INF), Decimal("-Infinity")], ids=repr)
def test_infinite_is_no_missing(send: Send, infinite: Any) -> None:
    send({"a": infinite})
    assert send(np.array([[infinite]], "f8"), output=[0]) == [{"a": float(infinite)}, {"x0": float(infinite)}]


VALUES = [
    pytest.param(2**63, float(2**63), pb.NUMBER, id="2**63"),
    pytest.param(-(10**400), -INF, pb.NUMBER, id="beyond float64"),
    pytest.param(Fraction(1, 2), 0.5, pb.NUMBER, id="fraction"),
    pytest.param(np.longdouble(0.5), 0.5, pb.NUMBER, id="long double"),
    pytest.param(dt.timedelta(minutes=1), 60.0, pb.NUMBER, id="timedelta"),
    pytest.param(pd.Timedelta(minutes=1), 60.0, pb.NUMBER, id="pandas timedelta"),
    pytest.param(np.timedelta64(1500, "ms"), 1.5, pb.NUMBER, id="numpy timedelta"),
    pytest.param(pa.scalar(0.5), 0.5, pb.NUMBER, id="Arrow scalar"),
    pytest.param(Color.TWO, 2.0, pb.NUMBER, id="enum of a number"),
    pytest.param(True, 1.0, pb.BOOLEAN, id="bool"),
    pytest.param(np.True_, 1.0, pb.BOOLEAN, id="numpy bool"),
    pytest.param(MOMENT, MICROS, pb.DATETIME, id="datetime"),
    pytest.param(NAIVE, MICROS, pb.DATETIME, id="naive datetime"),
    pytest.param(dt.date(2024, 6, 17), MICROS - 43_200_000_000, pb.DATETIME, id="date"),
    pytest.param(pd.Timestamp(MOMENT).tz_convert("Asia/Tokyo"), MICROS, pb.DATETIME, id="pandas timestamp"),
    pytest.param(np.datetime64(NAIVE, "ns"), MICROS, pb.DATETIME, id="numpy datetime"),
    pytest.param(np.array(NAIVE, "M8[ns]"), MICROS, pb.DATETIME, id="0-D numpy datetime"),
    pytest.param(Color.RED, "red", pb.TEXT, id="enum of a text"),
    pytest.param(np.str_("x"), "x", pb.TEXT, id="numpy text"),
    pytest.param("a\ud800\0", "a\ufffd\0", pb.TEXT, id="lone surrogate, NUL"),
    pytest.param(UUID(int=7), str(UUID(int=7)), pb.TEXT, id="UUID"),
    pytest.param(dt.time(1), "01:00:00", pb.TEXT, id="time of day"),
]


@pytest.mark.parametrize(("value", "sent", "kind"), VALUES)
def test_values_by_kind(send: Send, transport: MemoryTransport, value: Any, sent: Any, kind: int) -> None:
    assert send({"a": value, "b": 1}) == [{"a": sent, "b": 1.0}]
    assert kinds(transport)["a"] == kind


DATETIMES = [
    pytest.param(pd.DataFrame({"a": [MOMENT, None]}), id="pandas"),
    pytest.param(pd.DataFrame({"a": pd.Series([MOMENT, None]).dt.tz_convert("Asia/Tokyo")}), id="pandas, a zone"),
    pytest.param(pd.DataFrame({"a": pd.array([NAIVE, None], dtype="timestamp[ms][pyarrow]")}), id="pandas, Arrow type"),
    pytest.param(pl.DataFrame({"a": [MOMENT, None]}), id="polars"),
    pytest.param(pa.table({"a": pa.array([MOMENT, None], pa.timestamp("ns", "Asia/Tokyo"))}), id="Arrow"),
    pytest.param(pa.RecordBatch.from_pydict({"a": pa.array([NAIVE, None], pa.timestamp("s"))}), id="Arrow batch"),
    pytest.param([{"a": MOMENT}, {"a": None}], id="list of dicts"),
]


@pytest.mark.parametrize("table", DATETIMES)
def test_datetimes_are_numbers_of_a_declared_unit(send: Send, transport: MemoryTransport, table: Any) -> None:
    assert send(table, output=[0, 1]) == [{"a": MICROS}, {"a": None}]
    assert kinds(transport) == {"a": pb.DATETIME}


class Unreadable(Mapping[str, Any]):
    """As an object of a database whose session has ended."""

    def __getitem__(self, name: str) -> Any:
        raise LookupError(name)

    def __iter__(self) -> Iterator[str]:
        raise LookupError("detached")

    def __len__(self) -> int:
        raise LookupError("detached")


class Hostile:
    """Raises at whatever it is asked."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)

    __float__ = __len__ = __eq__ = __iter__ = __hash__ = __bool__ = __getattribute__  # type: ignore[assignment]


class Secretive:
    def __float__(self) -> float:
        raise RuntimeError("detached")


UNFIT: dict[str, Callable[[], Any]] = {
    "list": lambda: [1, 2],
    "tuple": lambda: (1,),
    "set": lambda: {3},
    "bytes": lambda: b"raw",
    "bytearray": lambda: bytearray(b"raw"),
    "complex": lambda: 1j,
    "class": lambda: int,
    "object": object,
    "raises at a float": Secretive,
    "raises at anything": Hostile,
    "unreadable mapping": Unreadable,
    "array": lambda: np.zeros(1),
    "matrix": lambda: np.zeros((2, 2)),
    "pandas": lambda: pd.Series([1]),
    "polars": lambda: pl.Series([1]),
    "Arrow": lambda: pa.array([1]),
    "sparse": lambda: sparse.csr_matrix((1, 1)),
    "period": lambda: pd.Period("2024-01"),
}


@pytest.mark.parametrize("unfit", UNFIT)
def test_what_cannot_be_captured_is_left_out_by_name_and_counted(send: Send, monitor: Monitor, unfit: str) -> None:
    send({"a": UNFIT[unfit](), "b": 1})
    found = send([{"a": UNFIT[unfit](), "b": 1}, {"a": 2, "b": 1}], output=[0, 1])

    assert found == [{"a": None, "b": 1.0}, {"a": None, "b": 1.0}, {"a": 2.0, "b": 1.0}]
    assert monitor.stats().skipped == {"a": 2}
    assert monitor.stats().dropped == {}


def test_a_row_that_cannot_be_read_does_not_cost_its_table(send: Send, monitor: Monitor) -> None:
    found = send([{"a": 1}, Unreadable(), Hostile(), "text"], output=[0, 1, 2, 3])

    assert [row["a"] for row in found] == [1.0, None, None, None]
    assert [row["features"] for row in found] == [None, None, None, "text"]
    assert monitor.stats().skipped == {"features": 2}
