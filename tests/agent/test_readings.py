"""How far windows lie apart: shares of what is missing, and a scale that leaves room at its end."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.agent import recipe
from tests.agent.live import built, columns, summaries

from tenure_agent.readings import MOST, missing_moves, stretched, unstretched

SHARE = st.floats(0, 1)


@settings(deadline=None, derandomize=True, max_examples=200)
@given(st.lists(SHARE, min_size=1, max_size=9))
def test_stretched_as_it_is_defined_and_back(distances: list[float]) -> None:
    found = stretched(np.array(distances))
    assert found.tolist() == pytest.approx([recipe.g(x) for x in distances], abs=1e-12)
    assert unstretched(found) == pytest.approx(np.minimum(distances, MOST), abs=1e-9)


@settings(deadline=None, derandomize=True, max_examples=200)
@given(SHARE, SHARE)
def test_stretching_keeps_the_order_and_is_never_less(one: float, other: float) -> None:
    low, high = sorted([one, other])
    assert stretched(np.array(low)) <= stretched(np.array(high))
    assert stretched(np.array(high)) >= min(high, MOST)


def test_where_all_bins_differ_it_is_large_and_finite() -> None:
    assert stretched(np.array([0.0, 0.6, 1.0])).tolist() == pytest.approx([0, 0.75, 22.34], abs=0.01)
    assert math.isfinite(stretched(np.array(7.0)))


def test_missing_shares() -> None:
    reference = built({"a": np.array([1.0, 2.0, np.nan, 4.0] * 50), "b": np.arange(200.0) % 7})
    coarse = reference.coarse
    [window] = summaries(reference, {"a": np.array([np.nan] * 3 + [1.0]), "b": np.array([np.nan, 1, 2, 3])}, 4)
    nothing = np.zeros(int(coarse.starts[-1]), np.int64)
    first, second = coarse.counts(reference.summary), coarse.counts(window)

    first, second, nothing = coarse.shares(first), coarse.shares(second), coarse.shares(nothing)
    assert missing_moves(first, second, coarse).tolist() == [0.5, 0.25]
    assert missing_moves(second, first, coarse).tolist() == [0.5, 0.25]
    assert missing_moves(second, second, coarse).tolist() == [0.0, 0.0]
    assert missing_moves(first, nothing, coarse).tolist() == [0.25, 0.0]
    assert missing_moves(np.stack([first, second]), first, coarse).tolist() == [[0.0, 0.0], [0.5, 0.25]]


def test_as_slowly_counted() -> None:
    reference = built()
    coarse = reference.coarse
    parts = np.stack([coarse.counts(one) for one in summaries(reference, columns(600, 7), 60)])
    found = missing_moves(coarse.shares(parts), coarse.shares(coarse.counts(reference.summary)), coarse)
    for i, part in enumerate(parts.tolist()):
        for c, edges in enumerate(zip(coarse.starts[:-1].tolist(), coarse.starts[1:].tolist(), strict=True)):
            whole = coarse.counts(reference.summary).tolist()
            assert found[i, c] == pytest.approx(recipe.missing_move(part[slice(*edges)], whole[slice(*edges)]))
