"""Which of a call's arguments are features."""

from collections import OrderedDict
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from tenure.features import Rows
from tenure.signature import Binding


def predict(features: Any, country: str = "NL", *more: Any, **named: Any) -> None:
    """Take anything."""


class Model:
    def predict(self, features: Any) -> None:
        """Take one thing."""

    @classmethod
    def load(cls, features: Any) -> None:
        """Take one thing."""


DATA = {"amount": 12.5, "country": "DE"}


@pytest.mark.parametrize(
    ("function", "args", "kwargs", "features"),
    [
        pytest.param(predict, (DATA,), {}, DATA, id="a dict"),
        pytest.param(predict, (OrderedDict(DATA),), {}, DATA, id="a mapping"),
        pytest.param(predict, (MappingProxyType(DATA),), {}, DATA, id="a mapping that is no dict"),
        pytest.param(predict, (), {"features": DATA}, DATA, id="a dict by name"),
        pytest.param(predict, (), DATA, DATA, id="named"),
        pytest.param(predict, (12.5, "DE"), {}, {"features": 12.5, "country": "DE"}, id="positional"),
        pytest.param(predict, (12.5,), {}, {"features": 12.5}, id="one value"),
        pytest.param(predict, (1, "DE", 3), {}, {"features": 1, "country": "DE", "arg2": 3}, id="more than names"),
        pytest.param(predict, (DATA,), {"id": "A"}, {**DATA, "id": "A"}, id="a dict and a name"),
        pytest.param(
            predict,
            ({"a": 1}, {"a": 2}),
            {"c": {"d": 3}},
            {"features.a": 1, "country.a": 2, "c.d": 3},
            id="several dicts",
        ),
        pytest.param(predict, (np.array([1.5, 2.5]),), {}, {"x0": 1.5, "x1": 2.5}, id="a vector"),
        pytest.param(predict, (), {}, {}, id="nothing"),
        pytest.param(Model.predict, (Model(), DATA), {}, DATA, id="a method"),
        pytest.param(Model.predict, (Model(), 1), {}, {"features": 1}, id="a method and a value"),
        pytest.param(Model.predict, (Model(),), {"features": DATA}, DATA, id="a method by name"),
        pytest.param(Model().predict, (DATA,), {}, DATA, id="a bound method"),
        pytest.param(Model().predict, (1,), {}, {"features": 1}, id="a bound method and a value"),
        pytest.param(Model.load, (1,), {}, {"features": 1}, id="a class method"),
        pytest.param(partial(predict, 1), ("DE",), {}, {"country": "DE"}, id="a partial"),
        pytest.param(max, (1, 2), {}, {"arg0": 1, "arg1": 2}, id="a builtin without a signature"),
        pytest.param(lambda x, y: x, (1, 2), {}, {"x": 1, "y": 2}, id="a lambda"),
    ],
)
def test_one_row(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], features: dict[str, Any]) -> None:
    found = Binding(function, None, None).snapshot(args, kwargs)

    assert type(found) is dict
    assert found == features
    assert not any(found is given for given in (*args, *kwargs.values()))


@pytest.mark.parametrize("by_name", [False, True])
@pytest.mark.parametrize(
    ("table", "rows"),
    [
        pytest.param([DATA, DATA], 2, id="list of dicts"),
        pytest.param(pd.DataFrame([DATA, DATA]), 2, id="pandas"),
        pytest.param(pl.DataFrame([DATA, DATA, DATA]), 3, id="polars"),
        pytest.param(np.zeros((4, 2)), 4, id="matrix"),
        pytest.param(np.zeros((0, 2)), 0, id="matrix without rows"),
    ],
)
def test_many_rows(table: Any, rows: int, *, by_name: bool) -> None:
    args, kwargs = ((), {"features": table}) if by_name else ((table,), {})

    found = Binding(predict, None, None).snapshot(args, kwargs)

    assert isinstance(found, Rows)
    assert found.count == len(found.table) == rows
    assert found.table is not table
    assert type(found.table) is type(table)


def test_what_stands_beside_a_table_is_no_feature() -> None:
    found = Binding(predict, None, None).snapshot((pd.DataFrame([DATA]), "DE"), {"threshold": 0.5})

    assert isinstance(found, Rows)
    assert list(found.table.columns) == ["amount", "country"]


def test_it_holds_the_names_of_id_and_time() -> None:
    binding = Binding(predict, "order", "at")

    assert (binding.id, binding.time) == ("order", "at")
