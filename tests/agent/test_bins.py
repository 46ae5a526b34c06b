"""A column's bins: whatever the data, none too heavy, every common value fenced, and few."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenure_agent.bins import PRIVATE, SHARES, ColumnBins, Layout, as_texts, build_column, category_bins, quantile_edges

Array = npt.NDArray[Any]
LAWS = settings(deadline=None, derandomize=True, max_examples=80)


def runs(*counts: int) -> Array:
    """Rising values, each as often as told."""
    return np.repeat(np.arange(len(counts), dtype=float), counts)


def assert_binned_well(values: Array) -> None:
    """No bin over 1/1024 of the rows, or 5, but a value's own; every such value fenced on both sides; few enough bins."""
    finite = values[np.isfinite(values)]
    edges = quantile_edges(values)
    assert (edges[1:] > edges[:-1]).all()
    assert len(edges) + 1 <= 2 * SHARES + 3
    unique, counts = np.unique(finite, return_counts=True)
    bins = np.searchsorted(edges, unique, side="left")
    mass = np.bincount(bins, counts, minlength=len(edges) + 1)
    most = max(len(finite) / SHARES, PRIVATE)
    atoms = (counts > most) | ((len(unique) == 1) & (counts >= PRIVATE))
    for value, bin_ in zip(unique[atoms], bins[atoms], strict=True):
        assert edges[bin_] == value
        assert bin_ > 0
        assert edges[bin_ - 1] == math.nextafter(value, -math.inf)
    assert (mass[np.setdiff1d(np.arange(len(mass)), bins[atoms])] <= most).all()
    assert mass[0] == mass[-1] == 0 or not len(finite)  # the outer bins are for what is beyond all values


RNG = np.random.default_rng(0)
SHAPES = {
    "normal": RNG.normal(size=50_000),
    "lognormal": RNG.lognormal(sigma=3, size=20_000),
    "few rows": RNG.normal(size=37),
    "one row": np.array([3.0]),
    "constant": np.full(5000, 7.0),
    "constant in few rows": np.full(4, 7.0),
    "the least and the greatest float": np.repeat([-np.finfo(float).max, np.finfo(float).max], 3),
    "the same, often": np.repeat([-np.finfo(float).max, np.finfo(float).max], 30),
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


def column(values: Array, declared: str | None = None) -> ColumnBins:
    built = build_column("x", "feature", values, declared)
    assert isinstance(built, ColumnBins)
    return built


def test_numeric_column() -> None:
    built = column(np.array([*[1.0, 2.0, 2.0, 4.0] * 6, np.nan, np.inf, -np.inf]))
    assert (built.kind, built.key, built.centre, built.ordered) == ("numeric", ("feature", "x"), 2.0, True)
    below = [math.nextafter(value, -math.inf) for value in (1.0, 2.0, 4.0)]
    assert built.edges == (below[0], 1.0, below[1], 2.0, below[2], 4.0)
    assert built.fenced.tolist() == [False, True, False, True, False, True, False]
    assert [built.label(i) for i in (0, 1, 2, 6)] == ["under 1", "exactly 1", "between 1 and 2", "over 4"]


def test_few_rows_have_round_edges_that_are_none_of_them() -> None:
    built = column(np.array([1.5, 2.25, 2.25, 4.125, 7.375, 8.0625, 9.4375]))
    assert built.edges == (1.4, 7.4, 9.5)
    assert built.centre == 7.4
    assert not built.fenced.any()


def test_only_atoms_are_fenced_in_a_large_column() -> None:
    values = np.concatenate([np.zeros(1000), np.random.default_rng(1).normal(size=50_000)])
    built = column(values)
    assert [built.edges[i] for i in np.flatnonzero(built.fenced)] == [0.0]


def test_boolean_column_is_a_numeric_one_of_two_values() -> None:
    built = column(np.array([True, False, True]))
    assert (built.kind, built.ordered, built.width) == ("boolean", True, 5)
    assert column(np.array([1.0, 0.0, 1.0]), "boolean") == built
    assert [built.label(i) for i in (1, 3)] == ["exactly 0", "exactly 1"]
    rare = column(np.arange(10_000) == 7)
    assert rare.edges == built.edges
    assert column(np.array([0.0, 0.0]), "boolean").edges == built.edges[:2]
    assert column(np.array([0.0, 1.0, 2.0] * 9), "boolean").width == 7


def test_column_of_infinities_only_has_a_bin() -> None:
    built = column(np.array([np.inf, -np.inf]))
    assert (built.centre, built.edges, built.fenced.tolist()) == (0.0, (0.0,), [False, False])


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.arange(1000.0), "rising whole numbers, none of them twice: an id or a counter"),
        (np.array(["2024-01-01"], "datetime64[us]"), "a point in time, which always moves on"),
    ],
)
def test_what_always_moves_on_is_left_out(values: Array, reason: str) -> None:
    assert build_column("x", "feature", values) == reason


def test_a_counter_declared_numeric_is_kept() -> None:
    assert column(np.arange(1000.0), "numeric").kind == "numeric"
    assert column(np.arange(1000.0) / 2).kind == column(np.arange(999.0)).kind == "numeric"


@pytest.mark.parametrize("values", [np.full(10, np.nan), np.full(10, None, object), np.empty(0)])
def test_a_column_without_a_value_is_left_out(values: Array) -> None:
    assert build_column("x", "feature", values) == "no value in the reference"
    assert build_column("x", "feature", values, "ignore") == "ignored by configuration"


def texts(*values: str | None) -> Array:
    array = np.empty(len(values), object)
    array[:] = values
    return array


def test_categories_by_count_then_name_and_one_bin_for_others() -> None:
    names = ["b"] * 5 + ["a"] * 5 + ["c"] * 9 + ["rare"] * 4
    built = column(texts(*names, None))
    assert (built.categories, built.width, built.ordered) == (("c", "a", "b"), 4, False)
    bins, present = category_bins(built, texts("c", "new", None, "b", "rare"))
    assert (bins.tolist(), present.tolist()) == ([0, 3, 2, 3], [True, True, False, True, True])
    assert [built.label(i) for i in (0, 3)] == ["'c'", "any other category"]


def test_a_category_of_few_rows_is_not_named() -> None:
    assert column(texts(*["a"] * 100, *["somebody"] * 4)).categories == ("a",)
    assert build_column("x", "feature", texts("a", "a", "b", "b", "c")) == "no text that 5 rows share"


def test_many_categories_keep_the_most_frequent() -> None:
    names = [f"c{i:03}" for i in range(300) for _ in range(300 - i)]
    built = column(texts(*names))
    assert (len(built.categories), built.width) == (254, 255)
    bins, _ = category_bins(built, texts(*names))
    assert (bins == 254).sum() == sum(range(1, 47))


def test_an_id_is_no_category_unless_declared() -> None:
    ids = texts(*[f"order-{i}" for i in range(1000)])
    assert build_column("id", "feature", ids) == "1,000 different texts in 1,000 rows: an id or free text"
    assert build_column("id", "feature", ids, "categorical") == "no text that 5 rows share"
    assert column(texts(*ids, *["none"] * 5), "categorical").categories == ("none",)


def test_numbers_declared_categorical_read_as_a_person_writes_them() -> None:
    built = column(np.repeat([1.0, 2.5, np.nan, np.inf], 5), "categorical")
    assert set(built.categories) == {"1", "2.5", "inf"}
    assert as_texts(np.array([3.0, -0.5, np.nan])).tolist() == ["3", "-0.5", None]
    bins, present = category_bins(built, np.array([2.5, np.nan]))
    assert ([built.categories[i] for i in bins], present.tolist()) == (["2.5"], [True, False])


def test_layout_lays_columns_end_to_end() -> None:
    numbers, names = column(np.repeat([1.0, 2.0], 6)), column(texts(*"aaaaa"))
    layout = Layout([numbers, names])
    assert (len(layout), layout.bins, layout.offsets.tolist(), layout.widths.tolist()) == (2, 7, [0, 5, 7], [5, 2])
    assert (layout.ordered.tolist(), layout.centres.tolist()) == ([True, False], [2.0, 0.0])
    assert layout.stretch(1) == slice(5, 7)
    assert Layout([]).bins == 0
