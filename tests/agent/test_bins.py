"""A column's bins: whatever the data, none too heavy, every common value fenced, and few."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenure_agent.bins import SHARES, ColumnReference, as_texts, bin_values, build_column, quantile_edges

Array = npt.NDArray[Any]
LAWS = settings(deadline=None, derandomize=True, max_examples=80)


def runs(*counts: int) -> Array:
    """Rising values, each as often as told."""
    return np.repeat(np.arange(len(counts), dtype=float), counts)


def assert_binned_well(values: Array) -> None:
    """No bin over 1/1024 of the rows but a value's own; every such value fenced on both sides; few enough bins."""
    finite = values[np.isfinite(values)]
    edges = quantile_edges(values)
    assert (np.diff(edges) > 0).all()
    assert len(edges) + 1 <= 2 * SHARES + 2
    unique, counts = np.unique(finite, return_counts=True)
    bins = np.searchsorted(edges, unique, side="left")
    mass = np.bincount(bins, counts, minlength=len(edges) + 1)
    atoms = counts * 1024 > len(finite)
    for value, bin_ in zip(unique[atoms], bins[atoms], strict=True):
        assert edges[bin_] == value
        assert bin_ == 0 or edges[bin_ - 1] == math.nextafter(value, -math.inf)
    assert (mass[np.setdiff1d(np.arange(len(mass)), bins[atoms])] * 1024 <= len(finite)).all()


RNG = np.random.default_rng(0)
SHAPES = {
    "normal": RNG.normal(size=50_000),
    "lognormal": RNG.lognormal(sigma=3, size=20_000),
    "few rows": RNG.normal(size=37),
    "one row": np.array([3.0]),
    "constant": np.full(5000, 7.0),
    "two values": runs(4999, 1),
    "zeros and a tail": np.concatenate([np.zeros(9000), RNG.exponential(size=1000)]),
    "integers": RNG.poisson(4, 30_000).astype(float),
    "ages": RNG.integers(18, 90, 30_000).astype(float),
    "cents": np.round(RNG.exponential(50, 30_000), 2),
    "as many values as bins": np.arange(2048.0),
    "one more value than bins": np.arange(2049.0),
    "small and large": np.concatenate([RNG.normal(size=5000) * 1e-300, RNG.normal(size=5000) * 1e300]),
    "neighbouring floats": np.repeat(np.nextafter(1.0, 2.0) - np.array([0.0, 2.0**-52]), 500),
    "infinities": np.concatenate([np.full(3000, np.inf), np.full(2000, -np.inf), RNG.normal(size=5000)]),
    "only infinities": np.array([np.inf, -np.inf, np.inf]),
    # Adversaries: a value just short of an atom beside a rare one, an atom beside a rare one.
    "heavy and light": runs(*[150, *[1] * 60] * 900),
    "atoms and singles": runs(*[201, 1] * 1013, *[1] * 174),
    "heavies": runs(*[101, 1] * 2007),
    "atoms side by side": runs(*[200] * 1023, 300),
}


@pytest.mark.parametrize("values", SHAPES.values(), ids=SHAPES)
def test_bins(values: Array) -> None:
    assert_binned_well(values)
    assert_binned_well(RNG.permutation(values))


@LAWS
@given(st.lists(st.integers(1, 60), min_size=1, max_size=3000), st.integers(0, 2**32 - 1))
def test_bins_whatever_the_ties(counts: list[int], seed: int) -> None:
    heavy = np.random.default_rng(seed).integers(0, 2, len(counts)) * np.array(counts) + 1
    assert_binned_well(runs(*heavy.tolist()))


@LAWS
@given(st.lists(st.floats(allow_nan=False) | st.sampled_from([0.0, -1.0, 999.0]), min_size=1, max_size=300))
def test_bins_whatever_the_floats(values: list[float]) -> None:
    array = np.array(values)
    assert_binned_well(array)
    finite = array[np.isfinite(array)]
    if len(finite):
        assert quantile_edges(array)[-1] == finite.max()


def column(values: Array, declared: str | None = None) -> ColumnReference:
    built = build_column("x", "feature", values, declared)
    assert isinstance(built, ColumnReference)
    return built


def test_numeric_column_counts_itself() -> None:
    values = np.array([1.0, 2.0, 2.0, 4.0, np.nan, np.inf, -np.inf])
    built = column(values)

    assert (built.kind, built.rows, built.missing) == ("numeric", 6, 1)
    assert (built.low, built.high) == (1.0, 4.0)
    assert built.mean == pytest.approx(2.25)
    assert built.std == pytest.approx(np.std([1, 2, 2, 4]))
    bins, present = bin_values(built, values)
    assert np.bincount(bins, minlength=built.bins).tolist() == list(built.counts)
    assert present.tolist() == [True] * 4 + [False, True, True]
    assert bins[present.nonzero()[0].tolist().index(5)] == built.bins - 1
    assert bins[-1] == 0


def test_column_of_infinities_only_has_a_bin() -> None:
    built = column(np.array([np.inf, -np.inf]))
    assert (built.rows, built.mean, built.low, built.high) == (2, 0.0, 0.0, 0.0)


@pytest.mark.parametrize("values", [np.full(10, np.nan), np.full(10, None, object), np.empty(0)])
def test_a_column_without_a_value_is_left_out(values: Array) -> None:
    assert build_column("x", "feature", values) == "no value in the reference"
    assert build_column("x", "feature", values, "ignore") == "ignored by configuration"


def texts(*values: str | None) -> Array:
    array = np.empty(len(values), object)
    array[:] = values
    return array


def test_categories_by_count_then_name_and_one_bin_for_others() -> None:
    built = column(texts("b", "a", "c", "c", None, "c", "a", "b"))
    assert (built.categories, built.counts, built.missing) == (("c", "a", "b"), (3, 2, 2, 0), 1)
    bins, present = bin_values(built, texts("c", "new", None, "b"))
    assert (bins.tolist(), present.tolist()) == ([0, 3, 2], [True, True, False, True])


def test_many_categories_keep_the_most_frequent() -> None:
    names = [f"c{i:03}" for i in range(300) for _ in range(300 - i)]
    built = column(texts(*names))
    assert (len(built.categories), built.bins) == (254, 255)
    assert built.counts[-1] == sum(range(1, 47))
    assert built.rows == len(names)


def test_an_id_is_no_category_unless_declared() -> None:
    ids = texts(*[f"order-{i}" for i in range(1000)])
    assert build_column("id", "feature", ids) == "1000 different texts in 1000 rows: an id or free text"
    assert column(ids, "categorical").kind == "categorical"


def test_numbers_declared_categorical_read_as_a_person_writes_them() -> None:
    built = column(np.array([1.0, 1.0, 2.5, np.nan, np.inf]), "categorical")
    assert set(built.categories) == {"1", "2.5", "inf"}
    assert built.missing == 1
    assert as_texts(np.array([3.0, -0.5, np.nan])).tolist() == ["3", "-0.5", None]


def test_text_in_a_numeric_column_counts_as_missing() -> None:
    _, present = bin_values(column(np.arange(10.0)), texts("7", "eight"))
    assert present.tolist() == [False, False]
