"""What predict is given, of every kind: the rows and features the agent gets of it."""

from __future__ import annotations

import datetime as dt
import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pydantic
import pytest
from scipy import sparse

from tenure import Monitor
from tenure.testing import MemoryTransport

DEADLINE = 60.0
NAN = math.nan
MOMENT = dt.datetime(2024, 6, 17, 12, tzinfo=dt.UTC)
MICROS = 1_718_625_600_000_000.0

Features = dict[str, Any]
Send = Callable[..., list[Features]]


@dataclass
class Order:
    amount: float
    country: str


@dataclass(slots=True)
class Nested:
    order: Order
    tags: Any


class Request(pydantic.BaseModel, extra="allow"):
    amount: float
    country: str


class Point(NamedTuple):
    amount: float
    country: str


class Tensor:
    """As torch's: numpy() shares the memory, and refuses gradients, other devices and bfloat16."""

    def __init__(self, values: Any, dtype: str = "float32", device: str = "cpu", *, grad: bool = False) -> None:
        self.array = np.asarray(values, "float32")
        self.dtype, self.device, self.grad = dtype, device, grad
        self.ndim, self.shape = self.array.ndim, self.array.shape

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, at: Any) -> Tensor:
        return Tensor(self.array[at], self.dtype, self.device, grad=self.grad)

    def detach(self) -> Tensor:
        return Tensor(self.array, self.dtype, self.device)

    def cpu(self) -> Tensor:
        return Tensor(self.array, self.dtype, grad=self.grad)

    def float(self) -> Tensor:
        return Tensor(self.array, device=self.device, grad=self.grad)

    def numpy(self) -> Any:
        if self.grad:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad")
        if self.device != "cpu" or self.dtype == "bfloat16":
            raise TypeError(f"can't convert {self.device} {self.dtype} to numpy")
        return self.array

    def item(self) -> Any:
        return self.array.item()


ROW = {"amount": 12.5, "country": "NL"}
ONE = [
    pytest.param(ROW, ROW, id="dict"),
    pytest.param(OrderedDict(ROW), ROW, id="ordered dict"),
    pytest.param(MappingProxyType(ROW), ROW, id="mapping"),
    pytest.param(Order(12.5, "NL"), ROW, id="dataclass"),
    pytest.param(Request(amount=12.5, country="NL"), ROW, id="pydantic"),
    pytest.param(Request.model_validate({**ROW, "more": 1}), {**ROW, "more": 1.0}, id="pydantic, with extras"),
    pytest.param(Point(12.5, "NL"), ROW, id="NamedTuple"),
    pytest.param({}, {}, id="empty dict"),
    pytest.param({"a": {"b": {"c": 1}, "d": None}, "e": 2}, {"a.b.c": 1.0, "a.d": None, "e": 2.0}, id="nested dict"),
    pytest.param(
        Nested(Order(1, "NL"), {"x": 2}), {"order.amount": 1.0, "order.country": "NL", "tags.x": 2.0}, id="nested"
    ),
    pytest.param({1: 1, (2, 3): 2, None: 3}, {"1": 1.0, "(2, 3)": 2.0, "None": 3.0}, id="odd keys"),
    pytest.param(np.array([1.5, NAN]), {"x0": 1.5, "x1": None}, id="1-D numpy"),
    pytest.param(np.array([1, None], object), {"x0": 1.0, "x1": None}, id="1-D numpy objects"),
    pytest.param(np.ma.array([1.5, 2.0], mask=[False, True]), {"x0": 1.5, "x1": None}, id="1-D numpy masked"),
    pytest.param(np.array(["2024-06-17T12", "NaT"], "M8[ns]"), {"x0": MICROS, "x1": None}, id="1-D numpy datetimes"),
    pytest.param(np.array([1500], "m8[ms]"), {"x0": 1.5}, id="1-D numpy timedeltas"),
    pytest.param(np.float32(1.5), {"features": 1.5}, id="numpy scalar"),
    pytest.param(np.array(1.5), {"features": 1.5}, id="0-D numpy"),
    pytest.param(pd.Series({"a": 1.5, "b": "x", "c": pd.NA}), {"a": 1.5, "b": "x", "c": None}, id="Series"),
    pytest.param(pd.Series(["x", "y"], index=["a", "b"]), {"a": "x", "b": "y"}, id="Series of texts by name"),
    pytest.param(pd.Series([1, None], ["a", "b"], dtype="Int64"), {"a": 1.0, "b": None}, id="nullable Series"),
    pytest.param(pd.Series(["x", None], ["a", "b"], dtype="category"), {"a": "x", "b": None}, id="categorical Series"),
    pytest.param(pd.Series([MOMENT], ["a"]).dt.tz_convert("Asia/Tokyo"), {"a": MICROS}, id="Series with a zone"),
    pytest.param(pl.Series([1.5, None]), {"x0": 1.5, "x1": None}, id="polars Series"),
    pytest.param(pa.array([1.5, None]), {"x0": 1.5, "x1": None}, id="Arrow array"),
    pytest.param(Tensor([1.5, NAN]), {"x0": 1.5, "x1": None}, id="1-D tensor"),
    pytest.param(
        Tensor([1.5], "bfloat16", "cuda", grad=True), {"x0": 1.5}, id="bfloat16 tensor with gradient elsewhere"
    ),
    pytest.param(Tensor(1.5), {"features": 1.5}, id="0-D tensor"),
    pytest.param([1, 2.5, None], {"x0": 1.0, "x1": 2.5, "x2": None}, id="list of numbers"),
    pytest.param((True, False), {"x0": 1.0, "x1": 0.0}, id="tuple of bools"),
    pytest.param([1, "NL"], {"x0": 1.0, "x1": "NL"}, id="list of numbers and texts"),
    pytest.param([np.float32(1), Decimal(2)], {"x0": 1.0, "x1": 2.0}, id="list of other numbers"),
    pytest.param("a text", {"features": "a text"}, id="text"),
    pytest.param(None, {"features": None}, id="None"),
]


@pytest.mark.parametrize(("given", "features"), ONE)
def test_one_row(send: Send, given: Any, features: Features) -> None:
    assert send(given) == [features]


ROWS = [ROW, {"amount": None, "country": None}]
FRAME = pd.DataFrame(ROWS)
X = [{"x0": 1.5, "x1": None}, {"x0": 2.0, "x1": 3.0}]
MATRIX = [[1.5, NAN], [2.0, 3.0]]
TEXTS = [{"features": "bad"}, {"features": None}, {"features": "good"}]
MANY = [
    pytest.param([ROW, {"country": "DE", "late": True}], [{**ROW, "late": None}, {"amount": None, "country": "DE", "late": 1.0}], id="list of dicts"),
    pytest.param((ROW,), [ROW], id="tuple of dicts"),
    pytest.param([Order(1, "NL"), None], [{"amount": 1.0, "country": "NL"}, {"amount": None, "country": None}], id="list of dataclasses and a None"),
    pytest.param([None, Point(1, "NL")], [{"amount": None, "country": None}, {"amount": 1.0, "country": "NL"}], id="None first"),
    pytest.param([Request(amount=1, country="NL")], [{"amount": 1.0, "country": "NL"}], id="list of pydantic models"),
    pytest.param([{"a": {"b": 1}}, {"a": {"b": 2}}], [{"a.b": 1.0}, {"a.b": 2.0}], id="list of nested dicts"),
    pytest.param([{}, {}], [{}, {}], id="list of empty dicts"),
    pytest.param(np.array(MATRIX), X, id="2-D numpy"),
    pytest.param(np.asfortranarray(MATRIX)[::-1], X[::-1], id="2-D numpy, strided"),
    pytest.param(np.array([[1.5, None], [2, 3]], object), X, id="2-D numpy objects"),
    pytest.param(np.array([[1, "NL"]], object), [{"x0": 1.0, "x1": "NL"}], id="2-D numpy of numbers and texts"),
    pytest.param(np.array([["a", "b"]]), [{"x0": "a", "x1": "b"}], id="2-D numpy texts"),
    pytest.param(np.ma.masked_invalid(MATRIX), X, id="2-D numpy masked"),
    pytest.param(np.array([(12.5, "NL")], [("amount", "f8"), ("country", "U2")]), [ROW], id="numpy records"),
    pytest.param(FRAME, ROWS, id="pandas"),
    pytest.param(FRAME.set_index(pd.Index([0.5, 0.5])), ROWS, id="pandas, duplicate labels of rows"),
    pytest.param(FRAME.convert_dtypes(), ROWS, id="pandas, nullable types"),
    pytest.param(FRAME.convert_dtypes(dtype_backend="pyarrow"), ROWS, id="pandas, Arrow types"),
    pytest.param(FRAME.astype({"country": "category"}), ROWS, id="pandas, a category"),
    pytest.param(pd.DataFrame({"c": pd.Categorical([1, 2, None])}), [{"c": "1"}, {"c": "2"}, {"c": None}], id="pandas, categories that are numbers"),
    pytest.param(pd.DataFrame({"s": pd.arrays.SparseArray([0.0, 1.0])}), [{"s": 0.0}, {"s": 1.0}], id="pandas, sparse"),
    pytest.param(pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", "x"), ("a", "y")])), [{"('a', 'x')": 1.0, "('a', 'y')": 2.0}], id="pandas, columns of two levels"),
    pytest.param(pl.DataFrame(ROWS), ROWS, id="polars"),
    pytest.param(pl.DataFrame({"c": pl.Series(["x", None], dtype=pl.Categorical)}), [{"c": "x"}, {"c": None}], id="polars, a category"),
    pytest.param(pa.Table.from_pylist(ROWS), ROWS, id="Arrow"),
    pytest.param(pa.RecordBatch.from_pylist(ROWS), ROWS, id="Arrow record batch"),
    pytest.param(pa.table({"c": pa.array(["x", None]).dictionary_encode()}), [{"c": "x"}, {"c": None}], id="Arrow dictionary"),
    pytest.param(Tensor(MATRIX, grad=True), X, id="2-D tensor"),
    pytest.param(sparse.csr_matrix([[0, 1.5], [2, 0]]), [{"x0": 0.0, "x1": 1.5}, {"x0": 2.0, "x1": 0.0}], id="sparse matrix"),
    pytest.param(sparse.coo_array([[0, 1.5], [2, 0]]), [{"x0": 0.0, "x1": 1.5}, {"x0": 2.0, "x1": 0.0}], id="sparse coordinates"),
    pytest.param([[1.5, None], (2, 3)], X, id="list of lists"),
    pytest.param([[1], [2, "x"], None], [{"x0": 1.0, "x1": None}, {"x0": 2.0, "x1": "x"}, {"x0": None, "x1": None}], id="ragged list"),
    pytest.param([np.array([1.5, NAN]), Tensor([2, 3])], X, id="list of arrays"),
    pytest.param([pd.Series({"a": 1}), pd.Series({"a": 2})], [{"a": 1.0}, {"a": 2.0}], id="list of Series"),
    pytest.param(["bad", None, "good"], TEXTS, id="list of texts"),
    pytest.param(["only"], [{"features": "only"}], id="list of one text"),
    pytest.param(np.array(["bad", None, "good"], object), TEXTS, id="1-D numpy texts"),
    pytest.param(pd.Series(["bad", NAN, "good"], name="review"), TEXTS, id="Series of texts"),
    pytest.param(pl.Series(["bad", None, "good"]), TEXTS, id="polars Series of texts"),
    pytest.param(pa.chunked_array([["bad", None], ["good"]]), TEXTS, id="Arrow column of texts"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "rows"), MANY)
def test_many_rows(send: Send, given: Any, rows: list[Features]) -> None:
    assert send(given, output=[0.5] * len(rows)) == rows


@pytest.mark.parametrize("empty", [[], (), np.empty((0, 3)), np.empty(0), pd.DataFrame(), pd.Series([], dtype=float), pl.DataFrame(), sparse.csr_matrix((0, 3))], ids=str)  # fmt: skip
def test_no_rows(send: Send, monitor: Monitor, empty: Any) -> None:
    assert send(empty, output=[]) == []
    assert monitor.stats().emitted == 0


def test_a_sparse_matrix_too_wide_has_rows_without_features(send: Send, monitor: Monitor) -> None:
    assert send(sparse.csr_matrix((3, 50_000)), output=[0, 1, 2]) == [{"features": None}] * 3
    assert monitor.stats().skipped == {"features": 3}


OPAQUE = [
    [b"jpeg", b"jpeg"],
    [object(), object()],
    [np.zeros((2, 2))] * 2,
    np.zeros((2, 3, 4)),
    Tensor(np.zeros((2, 3, 4))),
]


@pytest.mark.parametrize("images", OPAQUE, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize(("output", "predictions"), [(["cat", "dog"], ["cat", "dog"]), ("cat", ["cat"])], ids=str)
def test_of_what_holds_no_features_the_output_tells_the_rows(
    send: Send, monitor: Monitor, transport: MemoryTransport, images: Any, output: Any, predictions: list[str]
) -> None:
    send(images, output)

    assert [found["outputs"]["prediction"] for found in transport.predictions(monitor.model)] == predictions
    assert monitor.stats().skipped == {"features": len(predictions)}


@pytest.mark.parametrize("shape", [(2,), (1, 2)])
def test_a_tensor_is_copied(monitor: Monitor, transport: MemoryTransport, shape: tuple[int, ...]) -> None:
    tensor = Tensor(np.ones(shape))
    transport.available = False
    monitor.watch(lambda features: tensor.array.fill(0))(tensor)
    transport.available = True
    assert monitor.flush(DEADLINE)

    assert [found["features"] for found in transport.predictions(monitor.model)] == [{"x0": 1.0, "x1": 1.0}]


def test_texts_are_a_feature_by_their_arguments_name(monitor: Monitor, transport: MemoryTransport) -> None:
    @monitor.watch
    def classify(review: Any) -> Any:
        return "good" if isinstance(review, str) else ["good"] * len(review)

    classify("a")
    classify(["b", "c"])
    classify(review=["d"])
    monitor.record(["e"], ["good"])
    assert monitor.flush(DEADLINE)

    found = [row["features"] for row in transport.predictions(monitor.model)]
    assert found == [{"review": "a"}, {"review": "b"}, {"review": "c"}, {"review": "d"}, {"input": "e"}]


def test_rows_beside_other_arguments_are_rows(monitor: Monitor, transport: MemoryTransport) -> None:
    monitor.watch(lambda rows, threshold: [0, 1])([{"a": 1}, {"a": 2}], 0.5)
    assert monitor.flush(DEADLINE)

    assert [found["features"] for found in transport.predictions(monitor.model)] == [{"a": 1.0}, {"a": 2.0}]
