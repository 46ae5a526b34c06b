"""What the caller changes while predict runs, or afterwards, changes no row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse

from tenure import Monitor
from tenure.testing import MemoryTransport

DEADLINE = 60.0


@dataclass
class Order:
    amount: float
    country: str


def cleared(mapping: Any) -> None:
    mapping.clear()


def zeroed(array: Any) -> None:
    array[...] = 0


def zeroed_frame(frame: Any) -> None:
    frame.loc[:, "a"] = 0


def zeroed_polars(frame: Any) -> None:
    frame[0, "a"] = 0
    frame.insert_column(0, pl.Series("b", [0]))


def zeroed_fields(order: Any) -> None:
    order.amount, order.country = 0, "XX"


MUTABLE: list[Any] = [
    pytest.param(lambda: {"a": 1.5}, cleared, {"a": 1.5}, id="dict"),
    pytest.param(lambda: {"a": {"b": 1.5}}, lambda given: cleared(given["a"]), {"a.b": 1.5}, id="nested dict"),
    pytest.param(lambda: {"a": np.array(1.5)}, lambda given: zeroed(given["a"]), {"a": 1.5}, id="dict of 0-D arrays"),
    pytest.param(lambda: [{"a": 1.5}], lambda given: cleared(given[0]), {"a": 1.5}, id="list of dicts"),
    pytest.param(lambda: [[1.5]], lambda given: given[0].clear(), {"x0": 1.5}, id="list of lists"),
    pytest.param(lambda: [1.5], cleared, {"x0": 1.5}, id="list of numbers"),
    pytest.param(lambda: ["bad"], cleared, {"features": "bad"}, id="list of texts"),
    pytest.param(lambda: Order(1.5, "NL"), zeroed_fields, {"amount": 1.5, "country": "NL"}, id="dataclass"),
    pytest.param(lambda: np.array([1.5]), zeroed, {"x0": 1.5}, id="1-D numpy"),
    pytest.param(lambda: np.array([[1.5]]), zeroed, {"x0": 1.5}, id="2-D numpy"),
    pytest.param(lambda: np.array([(1.5,)], [("a", "f8")]), lambda given: zeroed(given["a"]), {"a": 1.5}, id="records"),
    pytest.param(lambda: pd.DataFrame({"a": [1.5]}), zeroed_frame, {"a": 1.5}, id="pandas"),
    pytest.param(lambda: pd.Series({"a": 1.5}), lambda given: given.update({"a": 0}), {"a": 1.5}, id="Series"),
    pytest.param(lambda: pl.DataFrame({"a": [1.5]}), zeroed_polars, {"a": 1.5}, id="polars"),
    pytest.param(lambda: sparse.csr_matrix([[1.5]]), lambda given: zeroed(given.data), {"x0": 1.5}, id="sparse"),
]


@pytest.mark.parametrize("fails", [False, True], ids=["predicts", "raises"])
@pytest.mark.parametrize(("make", "change", "features"), MUTABLE)
def test_what_the_caller_changes_meanwhile_changes_no_row(
    monitor: Monitor, transport: MemoryTransport, make: Any, change: Any, features: dict[str, Any], *, fails: bool
) -> None:
    transport.available = False  # so that nothing is read before it is changed

    @monitor.watch
    def predict(features: Any) -> Any:
        change(features)
        if fails:
            raise KeyError("country")
        return [0.5]

    given = make()
    if fails:
        with pytest.raises(KeyError):
            predict(given)
    else:
        predict(given)
    transport.available = True
    assert monitor.flush(DEADLINE)

    [found] = transport.predictions(monitor.model)
    assert (found["features"], found["error"]) == (features, "KeyError" if fails else None)
