"""Rows into summaries: by sorting a group or by looking rows up, the result is one."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenure_agent import tally
from tenure_agent.bins import CATEGORICAL, ColumnBins, Layout, build_column
from tenure_agent.summary import INTEGERS, Summary
from tenure_agent.tally import summarise

Array = npt.NDArray[Any]
LAWS = settings(deadline=None, derandomize=True, max_examples=100)
KEY = ("feature", "x")
VALUE = st.one_of(
    st.floats(),
    st.integers(-5, 5).map(float),
    st.sampled_from([0.0, -0.0, -1.0, 999.0, np.inf, -np.inf, np.nan, 5e-324, 1e-10, 2.0**31, -(2.0**31)]),
)


def layout(values: list[float]) -> Layout:
    column = build_column("x", "feature", np.array(values, float), "numeric")
    return Layout([column] if isinstance(column, ColumnBins) else [])


def tallied(whole: Layout, values: Array, groups: Array, long: int) -> list[Summary]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(tally, "LONG", long)
        return summarise(whole, {KEY: values}, groups, 4)


@LAWS
@given(st.lists(VALUE, min_size=1, max_size=60), st.lists(st.tuples(VALUE, st.integers(0, 3)), max_size=120))
def test_both_ways_agree(reference: list[float], rows: list[tuple[float, int]]) -> None:
    whole = layout(reference)
    values, groups = np.array([value for value, _ in rows], float), np.array([group for _, group in rows], int)

    sorted_, looked_up = (tallied(whole, values, groups, long) for long in (0, 10**9))

    for one, other in zip(sorted_, looked_up, strict=True):
        for name in ("counts", "magnitudes", *INTEGERS, "low", "high"):
            assert getattr(one, name).tolist() == getattr(other, name).tolist(), name
        assert one.hitters == other.hitters
        for name in ("total", "squares"):
            assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-9, abs=1e-9, nan_ok=True)


@LAWS
@given(
    st.lists(VALUE, min_size=1, max_size=60), st.lists(VALUE, min_size=20, max_size=120), st.sampled_from([0, 10**9])
)
def test_every_value_of_over_an_eighth_is_known(reference: list[float], rows: list[float], long: int) -> None:
    whole = layout(reference)
    if not len(whole):
        return
    [column] = whole.columns
    values = np.array(rows, float)
    made = tallied(whole, values, np.zeros(len(rows), int), long)[0]
    for value in set(values[np.isfinite(values)].tolist()):
        same = int((values == value).sum())
        bin_ = int(np.searchsorted(column.upper, value, "left"))
        if same * 8 > (~np.isnan(values)).sum():
            assert made.counts[bin_] == same if column.fenced[bin_] else made.hitters[0][value] == same


def test_many_groups_of_many_rows() -> None:
    rng = np.random.default_rng(1)
    values, groups = rng.normal(size=8000), rng.integers(0, 4, 8000)
    whole = layout(rng.normal(size=5000).tolist())
    for group, made in enumerate(summarise(whole, {KEY: values}, groups, 4)):
        [alone] = summarise(whole, {KEY: values[groups == group]}, np.zeros((groups == group).sum(), int), 1)
        assert made.counts.tolist() == alone.counts.tolist()
        assert made.total == pytest.approx(alone.total)


def texts(*values: str | None) -> Array:
    array = np.empty(len(values), object)
    array[:] = values
    return array


def test_values_of_the_other_type() -> None:
    whole = Layout(
        [ColumnBins("x", "feature", "numeric", 0.0, (1.0,)), ColumnBins("t", "feature", CATEGORICAL, categories=("7",))]
    )
    columns = {KEY: texts("eight", None, "9"), ("feature", "t"): np.array([7.0, np.nan, 8.0])}
    [made] = summarise(whole, columns, np.zeros(3, int), 1)
    assert (made.rows.tolist(), made.missing.tolist(), made.mistyped.tolist()) == ([0, 2], [3, 1], [2, 0])
    assert made.counts.tolist() == [0, 0, 1, 1]  # a number counts as its text


def test_a_column_that_did_not_come_is_all_missing_and_a_new_one_is_left_alone() -> None:
    [made] = summarise(layout([1.0, 2.0]), {("feature", "new"): np.ones(2)}, np.zeros(2, int), 1)
    assert (made.missing.tolist(), made.rows.tolist()) == ([2], [0])


def test_no_rows_and_no_groups() -> None:
    whole = layout([1.0])
    assert summarise(whole, {KEY: np.empty(0)}, np.empty(0, int), 0) == []
    assert [made.rows.tolist() for made in summarise(whole, {KEY: np.empty(0)}, np.empty(0, int), 2)] == [[0], [0]]
