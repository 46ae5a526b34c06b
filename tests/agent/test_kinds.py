"""What a column is, told by its values: what can be compared is kept, what cannot is left out with a reason."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tenure_agent.bins import BOOLEAN, CATEGORICAL, NUMERIC, ColumnBins, build_column

Array = npt.NDArray[Any]
RNG = np.random.default_rng(7)


def texts(values: Any) -> Array:
    array = np.empty(len(values), object)
    array[:] = list(values)
    return array


KEPT = {
    "floats": (RNG.normal(size=3000), NUMERIC),
    "integers of few values": (RNG.integers(0, 5, 3000).astype(float), NUMERIC),
    "codes": (RNG.choice([110.0, 220.0, 9001.0], 3000), NUMERIC),
    "zero and one": (RNG.integers(0, 2, 3000).astype(float), BOOLEAN),
    "truth": (RNG.integers(0, 2, 3000).astype(bool), BOOLEAN),
    "zero and one, mostly missing": (np.where(np.arange(3000) % 10 > 0, np.nan, np.arange(3000) % 20 / 10), BOOLEAN),
    "always zero": (np.zeros(3000), NUMERIC),
    "cents": (RNG.integers(0, 10**7, 3000).astype(float), NUMERIC),
    "few rows that rise": (np.arange(999.0), NUMERIC),
    "rising floats": (np.sort(RNG.normal(size=3000)), NUMERIC),
    "countries": (texts(RNG.choice(["NL", "DE", "FR"], 3000)), CATEGORICAL),
    "shops": (texts([f"shop-{i}" for i in RNG.integers(0, 300, 3000).tolist()]), CATEGORICAL),
}
LEFT_OUT = {
    "counter": (np.arange(5000.0), "an id or a counter"),
    "epoch": (1.7e9 + np.arange(5000.0) // 10, "a point in time"),
    "epoch in milliseconds": (1.7e12 + np.arange(5000.0) * 10.5, "a point in time"),
    "moments": (np.arange(5000).astype("datetime64[s]"), "a point in time"),
    "days as text": (texts([f"2024-01-{i % 28 + 1:02}" for i in range(3000)]), "points in time"),
    "names": (texts([f"order-{i}" for i in range(3000)]), "3,000 different texts in 3,000 rows: an id or free text"),
    "customer_id": (RNG.permutation(10**6)[:3000].astype(float), "its name: an id"),
    "nothing": (np.full(3000, np.nan), "no value in the reference"),
    "no texts": (texts([None] * 3000), "no value in the reference"),
    "rare texts": (texts([f"t{i // 4}" for i in range(40)]), "no text that 5 rows share"),
}


@pytest.mark.parametrize("name", KEPT)
def test_what_can_be_compared_is_kept(name: str) -> None:
    values, kind = KEPT[name]
    column = build_column(name, "feature", values)
    assert isinstance(column, ColumnBins)
    assert column.kind == kind


@pytest.mark.parametrize("name", LEFT_OUT)
def test_what_cannot_is_left_out_with_a_reason(name: str) -> None:
    values, reason = LEFT_OUT[name]
    told = build_column(name, "feature", values)
    assert isinstance(told, str)
    assert reason in told


@pytest.mark.parametrize(
    ("name", "declared"),
    [("counter", NUMERIC), ("epoch", NUMERIC), ("customer_id", NUMERIC), ("days as text", CATEGORICAL)],
)
def test_a_declaration_rules(name: str, declared: str) -> None:
    column = build_column(name, "feature", LEFT_OUT[name][0], declared)
    assert isinstance(column, ColumnBins)
    assert column.kind == declared


def test_numbers_declared_categorical_are_told_as_a_person_writes_them() -> None:
    column = build_column("code", "feature", np.repeat([1.0, 2.5, np.nan], 10), CATEGORICAL)
    assert isinstance(column, ColumnBins)
    assert column.categories == ("1", "2.5")
