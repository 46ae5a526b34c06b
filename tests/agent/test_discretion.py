"""A reference names nothing that fewer than 5 rows share."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenure_agent.bins import PRIVATE, SHARES, quantile_edges
from tenure_agent.builder import Rows, build_reference
from tenure_agent.reference import Reference

Array = npt.NDArray[Any]
RNG = np.random.default_rng(3)
SECRETS = {
    "normal": RNG.normal(5e4, 1e4, 3000),
    "few": RNG.lognormal(10, 1, 40),
    "many": RNG.uniform(1e6, 1e7, 100_000),
    "tiny": RNG.uniform(size=500) * 1e-200,
    "huge": RNG.normal(size=500) * 1e300,
    "a lone giant": np.append(RNG.normal(size=2000), 1.23456789e9),
    "zeros and a tail": np.append(np.zeros(900), RNG.exponential(size=100)),
}


def built(values: Array, name: str = "x") -> Reference:
    return build_reference("m", "1", Rows({("feature", name): values}))


def figures(document: Any) -> set[float]:
    """All numbers in a document."""
    if isinstance(document, dict):
        return figures(list(document.values()))
    if isinstance(document, list):
        return set().union(*map(figures, document)) if document else set()
    return {float(document)} if isinstance(document, int | float) else set()


@pytest.mark.parametrize("values", SECRETS.values(), ids=SECRETS)
def test_no_number_of_the_file_is_one_row_s_value(values: Array) -> None:
    reference = built(values)
    unique, counts = np.unique(values, return_counts=True)
    secrets = set(unique[counts < PRIVATE].tolist())
    summary = reference.summary
    told = figures(json.loads(reference.dumps())) | {float(summary.low[0]), float(summary.high[0])}
    assert not told & secrets
    assert summary.low[0] <= values.min() <= values.max() <= summary.high[0]


def test_ends_that_many_share_stay_and_others_are_rounded_outwards() -> None:
    zeros = built(SECRETS["zeros and a tail"]).summary
    assert zeros.low[0] == 0.0
    assert zeros.high[0] - SECRETS["zeros and a tail"].max() < np.ptp(SECRETS["zeros and a tail"]) / 10
    infinite = built(np.repeat([np.inf, -np.inf], 20)).summary
    assert (infinite.low[0], infinite.high[0]) == (math.inf, -math.inf)


def test_rare_texts_are_not_named() -> None:
    values = np.empty(1000, object)
    values[:] = ["NL"] * 600 + ["DE"] * 391 + ["Alice"] * 4 + ["Bob"] * 5
    text = built(values).dumps()
    assert built(values).columns[0].categories == ("NL", "DE", "Bob")
    assert "Alice" not in text


def test_rare_heavy_hitters_are_forgotten() -> None:
    # In its last chunk of 60 rows, 4 rows share a text (a number) that the bins do not name.
    first, last = ["a"] * 9940, ["a"] * 56 + ["Alice"] * 4
    values = np.empty(10_000, object)
    values[:] = first + last
    numbers = np.concatenate([RNG.normal(size=9996), np.full(4, 77.7)])
    reference = build_reference("m", "1", Rows({("feature", "t"): values, ("feature", "n"): numbers}))
    assert all(rows >= PRIVATE for found in reference.summary.hitters for rows in found.values())


@given(st.lists(st.integers(-50, 50) | st.floats(-1e6, 1e6), min_size=1, max_size=400))
@settings(deadline=None, derandomize=True, max_examples=80)
def test_edges_part_the_values_and_bins_are_light_or_one_value_s(found: list[float]) -> None:
    values = np.array(found, np.float64)
    edges = quantile_edges(values)
    unique, counts = np.unique(values, return_counts=True)
    bins = np.searchsorted(edges, unique, "left")
    mass = np.bincount(bins, counts, minlength=len(edges) + 1)
    kinds = np.bincount(bins, minlength=len(edges) + 1)
    most = max(len(values) / SHARES, PRIVATE)
    assert (np.diff(edges) > 0).all()
    assert ((mass <= most) | (kinds == 1)).all()
    assert values.min() > edges[0]
    assert values.max() <= edges[-1]
