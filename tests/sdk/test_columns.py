"""One column of anything a host may hold: its kind, its values, and what counts as missing."""

import datetime as dt
import math
import struct
from array import array
from collections import Counter
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.capture import is_missing, wire_text
from tenure.columns import encode_columns, micros, packed, present
from tenure.testing import column_values
from tenure_proto.v1 import monitoring_pb2 as pb

NAN, INF = math.nan, math.inf
MOMENT = dt.datetime(2024, 6, 17, 12, tzinfo=dt.UTC)
NAIVE = MOMENT.replace(tzinfo=None)
MICROS = 1_718_625_600_000_000
MIDNIGHT = MICROS - 12 * 3_600_000_000


def decoded(values: Any) -> dict[int, list[Any]]:
    """Kind → values of what is sent."""
    return {column.kind: column_values(column, len(values)) for column in encode_columns("c", values)}


NUMBERS = [
    pytest.param(np.ma.array([1.5, 2.0], mask=[False, True]), [1.5, None], id="numpy masked"),
    pytest.param([np.ma.masked, 2.0], [None, 2.0], id="masked scalar"),
    pytest.param(np.array([1500, "NaT"], "m8[ms]"), [1.5, None], id="numpy timedeltas"),
    pytest.param(pa.chunked_array([[1, None]]), [1.0, None], id="arrow"),
    pytest.param(pa.array([1, None]), [1.0, None], id="arrow array"),
    pytest.param(pa.array([1.5, None], pa.float16()), [1.5, None], id="arrow half floats"),
    pytest.param([1.5, -2.0], [1.5, -2.0], id="floats"),
    pytest.param([1.5, None, 2**63], [1.5, None, float(2**63)], id="numbers and missing"),
    pytest.param([None, 10**400], [None, INF], id="missing, and beyond float64"),
    pytest.param((1, 2), [1.0, 2.0], id="ints"),
    pytest.param([2**63, -(10**400), 10**400], [float(2**63), -INF, INF], id="ints beyond float64"),
    pytest.param([INF, -INF, NAN, None], [INF, -INF, None, None], id="infinite and missing"),
    pytest.param([None, None], [None, None], id="all missing"),
    pytest.param([True, 2.5], [1.0, 2.5], id="bools among numbers"),
    pytest.param([None, True, 2], [None, 1.0, 2.0], id="missing, then bools among numbers"),
    pytest.param([Decimal("0.1"), Fraction(1, 2)], [0.1, 0.5], id="decimal and fraction"),
    pytest.param([np.float32(0.5), np.int64(7)], [0.5, 7.0], id="numpy scalars"),
    pytest.param([pd.NA, 1, pd.NaT], [None, 1.0, None], id="pandas scalars"),
    pytest.param(np.array([1, 2], "uint8"), [1.0, 2.0], id="numpy uint8"),
    pytest.param(np.array([1.5, NAN], ">f4"), [1.5, None], id="numpy big-endian"),
    pytest.param(np.arange(6.0)[::3], [0.0, 3.0], id="numpy strided"),
    pytest.param(np.array([None, 1], object), [None, 1.0], id="numpy objects"),
    pytest.param(pd.Series([1, 2], index=[7, 7]), [1.0, 2.0], id="pandas int64"),
    pytest.param(pd.Series([1, None], dtype="Int64"), [1.0, None], id="pandas Int64"),
    pytest.param(pd.Series([1.5, None], dtype="Float32"), [1.5, None], id="pandas Float32"),
    pytest.param(pd.Series([1, None], dtype="object"), [1.0, None], id="pandas objects"),
    pytest.param(pl.Series([1, None]), [1.0, None], id="polars ints"),
    pytest.param(pl.Series([Decimal("0.5"), None]), [0.5, None], id="polars decimals"),
]
BOOLEANS = [
    pytest.param([True, False], [1.0, 0.0], id="bools"),
    pytest.param([None, True], [None, 1.0], id="bools and missing"),
    pytest.param([np.True_, False, NAN], [1.0, 0.0, None], id="numpy scalars"),
    pytest.param(np.array([True, False]), [1.0, 0.0], id="numpy"),
    pytest.param(pd.Series([True, None], dtype="boolean"), [1.0, None], id="pandas boolean"),
    pytest.param(pl.Series([True, None]), [1.0, None], id="polars"),
]
DATETIMES = [
    pytest.param([np.datetime64(NAIVE, "ns"), np.datetime64("NaT")], [MICROS, None], id="numpy scalars"),
    pytest.param([dt.date(1969, 12, 31)], [-86_400_000_000], id="before 1970"),
    pytest.param(np.ma.array(["2024-06-17T12"] * 2, "M8[ns]", mask=[False, True]), [MICROS, None], id="masked"),
    pytest.param(pa.chunked_array([pa.array([NAIVE, None], pa.timestamp("ns"))]), [MICROS, None], id="arrow"),
    pytest.param([MOMENT, NAIVE, None], [MICROS, MICROS, None], id="datetimes"),
    pytest.param([dt.date(2024, 6, 17)], [MIDNIGHT], id="dates"),
    pytest.param([pd.Timestamp(MOMENT), pd.NaT], [MICROS, None], id="timestamps"),
    pytest.param(np.array(["2024-06-17T12", "NaT"], "M8[ns]"), [MICROS, None], id="numpy ns"),
    pytest.param(np.array(["2024-06-17", "NaT"], "M8[D]"), [MIDNIGHT, None], id="numpy days"),
    pytest.param(pd.Series([NAIVE, None], dtype="datetime64[s]"), [MICROS, None], id="pandas naive"),
    pytest.param(pd.Series([MOMENT, None]).dt.tz_convert("Asia/Tokyo"), [MICROS, None], id="pandas zone"),
    pytest.param(pl.Series([NAIVE, None]), [MICROS, None], id="polars naive"),
    pytest.param(pl.Series([MOMENT, None]).dt.convert_time_zone("Asia/Tokyo"), [MICROS, None], id="polars zone"),
    pytest.param(pl.Series([dt.date(2024, 6, 17), None]), [MIDNIGHT, None], id="polars dates"),
]
TEXTS = [
    pytest.param(["a", "b", "a"], ["a", "b", "a"], id="texts"),
    pytest.param(["", "\0", "é"], ["", "\0", "é"], id="empty, NUL, accents"),
    pytest.param(["a", None, NAN, pd.NA], ["a", None, None, None], id="texts and missing"),
    pytest.param([NAN, "a"], [None, "a"], id="missing first"),
    pytest.param([None, NAN, "a"], [None, None, "a"], id="missing of two kinds"),
    pytest.param(pd.Series([10, None, 2], dtype="category"), ["10", None, "2"], id="pandas category of numbers"),
    pytest.param(pd.Series([True, 0.5], dtype="category"), ["True", "0.5"], id="pandas category of bools and numbers"),
    pytest.param(pa.array([7, None]).dictionary_encode(), ["7", None], id="arrow dictionary of numbers"),
    pytest.param([np.str_("a"), "a"], ["a", "a"], id="numpy scalars"),
    pytest.param(np.array(["a", "bb"]), ["a", "bb"], id="numpy"),
    pytest.param(pd.Series(["a", None]), ["a", None], id="pandas"),
    pytest.param(pd.Series(["a", None], dtype="object"), ["a", None], id="pandas objects"),
    pytest.param(pd.Series(["a", None, "a"], dtype="category"), ["a", None, "a"], id="pandas category"),
    pytest.param(pl.Series(["a", None]), ["a", None], id="polars"),
    pytest.param(pl.Series(["a", None], dtype=pl.Categorical), ["a", None], id="polars category"),
]


@pytest.mark.parametrize(("values", "expected"), NUMBERS)
def test_numbers(values: Any, expected: list[Any]) -> None:
    assert decoded(values) == {pb.NUMBER: expected}


@pytest.mark.parametrize(("values", "expected"), BOOLEANS)
def test_booleans(values: Any, expected: list[Any]) -> None:
    assert decoded(values) == {pb.BOOLEAN: expected}


@pytest.mark.parametrize(("values", "expected"), DATETIMES)
def test_datetimes(values: Any, expected: list[Any]) -> None:
    assert decoded(values) == {pb.DATETIME: expected}


@pytest.mark.parametrize(("values", "expected"), TEXTS)
def test_texts(values: Any, expected: list[Any]) -> None:
    assert decoded(values) == {pb.TEXT: expected}


def test_numbers_and_texts_go_to_two_columns_of_one_name() -> None:
    columns = encode_columns("c", [1, "one", None, True])

    assert [column.name for column in columns] == ["c", "c"]
    assert decoded([1, "one", None, True]) == {
        pb.NUMBER: [1.0, None, None, 1.0],
        pb.TEXT: [None, "one", None, None],
    }


def test_a_library_that_fails_is_read_value_by_value() -> None:
    class Failing(list[Any]):
        dtype = "float64"

        def astype(self, _: str) -> Any:
            raise NotImplementedError

        def tolist(self) -> list[Any]:
            return list(self)

    assert decoded(Failing([1.5, None])) == {pb.NUMBER: [1.5, None]}


@pytest.mark.parametrize(
    ("values", "rows"), [([1.5, None, NAN], 1), (["a", None, "a"] * 9, 18), (["a"] * 9, 9), ([None], 0)], ids=str
)
def test_how_many_rows_have_a_value(values: list[Any], rows: int) -> None:
    assert [present(column) for column in encode_columns("c", values)] == [rows]


@pytest.mark.parametrize("values", [[], ()])
def test_no_rows_are_no_column(values: Any) -> None:
    assert encode_columns("c", values) == []


def test_the_wire_is_little_endian() -> None:
    (number,) = encode_columns("c", [1.0, None])
    (text,) = encode_columns("c", ["b", "a", None, "b"])

    assert struct.unpack("<2d", number.numbers)[0] == 1.0
    assert list(text.texts) == ["b", "a", ""]
    assert struct.unpack("<4I", text.codes) == (0, 1, 2, 0)
    assert text.validity == bytes([0b1011])


@pytest.mark.parametrize("name", ["", "\0", "x" * 1000, "drop table; --", "a\ud800"])
@pytest.mark.parametrize("values", [[1.0], ["a"], [1.0, "a"], np.array([1.0]), pd.Series([MOMENT])])
def test_a_name_is_any_text(name: str, values: Any) -> None:
    columns = encode_columns(name, values)

    assert {column.name for column in columns} == {wire_text(name)[:256] or "_"}
    assert b"".join(column.SerializeToString() for column in columns)


def test_a_cell_that_cannot_be_read_is_missing_and_counted() -> None:
    class Broken:
        def __float__(self) -> float:
            raise RuntimeError("detached session")

    skipped: Counter[str] = Counter()
    (column,) = encode_columns("c", [1.0, Broken(), [2], b"3"], skipped)

    assert column_values(column, 4) == [1.0, None, None, None]
    assert skipped == {"c": 3}


@given(values=st.lists(st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters())))
def test_every_value_is_in_exactly_one_place(values: list[Any]) -> None:
    columns = decoded(values)

    assert len(columns) <= 2
    for i, value in enumerate(values):
        found = [column[i] for column in columns.values() if column[i] is not None]
        assert len(found) == (0 if is_missing(value) else 1)


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("plain é 🐟\0", "plain é 🐟\0"),
        ("\ud800", "�"),
        ("a\udfffb\ud83d", "a�b�"),
        ("\ud83d\udc1f", "🐟"),  # the two halves of a pair make the character they stand for
    ],
)
def test_lone_surrogates_are_replaced_one_by_one(text: str, sent: str) -> None:
    assert wire_text(text) == sent


@pytest.mark.parametrize("missing", [None, NAN, np.float32(NAN), pd.NA, pd.NaT, np.datetime64("NaT")])
def test_what_is_missing(missing: Any) -> None:
    assert is_missing(missing)


@pytest.mark.parametrize("present", [0, "", False, INF, "nan", (), np.float64(0)])
def test_what_is_not_missing(present: Any) -> None:
    assert not is_missing(present)


@pytest.mark.parametrize(
    "times",
    [
        [MOMENT],
        [NAIVE],
        [MICROS / 1e6],
        (int(MICROS // 1_000_000),),
        array("d", [MICROS / 1e6]),
        np.array([MICROS / 1e6]),
        np.array([NAIVE], "M8[s]"),
        pd.Series([MOMENT]).dt.tz_convert("Asia/Tokyo"),
        pd.DatetimeIndex([NAIVE]),
        pl.Series([MOMENT]),
        pl.Series([MICROS / 1e6]),
        pa.array([NAIVE], pa.timestamp("s")),
        pa.chunked_array([pa.array([MOMENT], pa.timestamp("ns", "Asia/Tokyo"))]),
        pa.array([MICROS / 1e6]),
    ],
)
def test_times_of_a_table(times: Any) -> None:
    assert micros(times, 0) == [MICROS]


@pytest.mark.parametrize(
    "times",
    [
        [None],
        [pd.NaT],
        ["tomorrow"],
        [MICROS],
        [-1],
        pd.Series([pd.NaT], dtype="datetime64[ns]"),
        np.array(["2200-01-01"], "datetime64[D]"),
    ],
)
def test_a_row_without_a_time_that_can_be_used_has_that_of_its_call(times: Any) -> None:
    assert micros(times, 7) == [7]


@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_packed_blocks_are_little_endian(values: list[int]) -> None:
    assert packed("q", values) == struct.pack(f"<{len(values)}q", *values)
