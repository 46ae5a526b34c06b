"""A column's portrait and what is found in it: close to the rows it was made from, which it has not seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tenure_agent.builder import Rows, build_reference
from tenure_agent.findings import find, show
from tenure_agent.portrait import Portrait, portraits
from tenure_agent.reference import Reference

Array = npt.NDArray[Any]
RNG = np.random.default_rng(5)
N = 20_000


def built(values: Array) -> Reference:
    return build_reference("m", "1", Rows({("feature", "x"): values}))


def portrait(values: Array) -> Portrait:
    [found] = portraits(built(values))
    return found


def seldom(value: float, values: Array, share: float = 0.02) -> Array:
    return np.where(RNG.uniform(size=len(values)) < share, value, values)


SHAPES = {
    "normal": RNG.normal(50, 10, N),
    "lognormal": RNG.lognormal(sigma=2, size=N),
    "integers": RNG.integers(18, 91, N).astype(float),
    "few values": RNG.poisson(3, N).astype(float),
    "sentinel": seldom(-200, RNG.normal(20, 5, N)),
}


@pytest.mark.parametrize("values", SHAPES.values(), ids=SHAPES)
def test_figures_are_those_of_the_rows(values: Array) -> None:
    found = portrait(values)
    assert found.rows == N
    assert found.mean == pytest.approx(values.mean(), rel=1e-6)
    assert found.std == pytest.approx(values.std(), rel=1e-6)
    assert found.median == pytest.approx(np.median(values), rel=0.02)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= values.min() <= values.max() <= found.high
    assert len(found.histogram) <= 24
    assert N * 0.985 <= sum(found.histogram) <= N + 1


def test_the_histogram_is_that_of_the_rows() -> None:
    values = SHAPES["normal"]
    found = portrait(values)
    assert found.reach is not None
    expected = np.histogram(values, 24, found.reach)[0]
    assert np.abs(np.array(found.histogram) - expected).max() < N / 500


def test_whole_numbers_get_bars_of_equally_many() -> None:
    heights = np.array(portrait(SHAPES["integers"]).histogram)[:-1]
    assert heights.std() < 0.06 * heights.mean()


def test_few_values_are_told_with_their_shares() -> None:
    values = RNG.choice([1.0, 2.0, 9.0], N, p=[0.2, 0.7, 0.1])
    found = portrait(values)
    assert [value for value, _ in found.values] == [2.0, 1.0, 9.0]
    assert found.histogram == tuple(float((values == value).sum()) for value in (1, 2, 9))


def test_what_is_absent_infinite_or_other() -> None:
    texts = np.empty(1000, object)
    texts[:] = ["a"] * 500 + ["b"] * 300 + [None] * 100 + [f"r{i}" for i in range(100)]
    found = portrait(texts)
    assert (found.values, found.missing, found.others) == ((("a", 0.5), ("b", 0.3)), 0.1, 0.1)
    assert (found.mean, found.low, found.reach, found.histogram) == (None, None, None, ())

    found = portrait(np.concatenate([np.full(100, np.inf), np.full(200, np.nan), np.zeros(300), RNG.normal(size=400)]))
    assert (found.infinite, found.missing, found.zeros) == (0.1, 0.2, 0.3)
    assert sum(found.histogram) > 690
    assert portrait(np.full(50, np.inf)).histogram == ()


FINDINGS = {
    "constant": (np.full(N, 3.0), "constant"),
    "constant where there": (np.where(np.arange(N) % 3 > 0, 3.0, np.nan), "constant"),
    "mostly missing": (np.where(np.arange(N) % 10 > 0, np.nan, RNG.normal(size=N)), "mostly_missing"),
    "silent zeros": (np.where(np.arange(N) % 50 > 0, 0.0, RNG.normal(size=N)), "dominated"),
    "infinite": (np.where(np.arange(N) % 50 > 0, RNG.normal(size=N), np.inf), "infinite"),
    "-200": (SHAPES["sentinel"], "sentinel"),
    "-1 of counts": (seldom(-1.0, RNG.poisson(6, N).astype(float)), "sentinel"),
    "999 of ages": (seldom(999.0, SHAPES["integers"]), "sentinel"),
    "99 of few": (seldom(99.0, RNG.integers(0, 12, N).astype(float)), "sentinel"),
    "few rows": (RNG.normal(size=900), "few_rows"),
}
QUIET = {
    **{name: values for name, values in SHAPES.items() if name != "sentinel"},
    "boolean": RNG.integers(0, 2, N).astype(float),
    "percent": np.clip(RNG.normal(60, 30, N), 0, 100),
    "zeros and a tail": np.where(RNG.uniform(size=N) < 0.5, 0.0, RNG.exponential(size=N)),
    "negative and positive": RNG.integers(-5, 6, N).astype(float),
    "to 99": RNG.integers(0, 100, N).astype(float),
    "minus one, zero, one": RNG.integers(-1, 2, N).astype(float),
}


@pytest.mark.parametrize("name", FINDINGS)
def test_findings(name: str) -> None:
    values, kind = FINDINGS[name]
    assert [found.kind for found in find(built(values))] == [kind]


@pytest.mark.parametrize("values", QUIET.values(), ids=QUIET)
def test_nothing_is_found_in_sound_columns(values: Array) -> None:
    assert find(built(values)) == ()


@pytest.mark.parametrize(
    ("value", "told"),
    [(3.0, "3"), (1234567.0, "1,234,567"), (0.123456, "0.1235"), (1e12, "1e+12"), (None, "-"), ("a", "'a'")],
)
def test_show(value: float | str | None, told: str) -> None:
    assert show(value) == told
    assert show(float("inf")) == "inf"
