"""Surprise: beside a slow count of the same recipe, and what must hold whatever the data."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.agent import recipe
from tests.agent.live import built, columns, summaries
from tests.agent.test_null import by_column, restless

from tenure_agent.null import Nulls
from tenure_agent.past import WINDOW, Past
from tenure_agent.reference import Reference
from tenure_agent.surprise import UNCERTAIN, Surprise, episode, margin_of, surprise
from tenure_agent.units import Often

Array = npt.NDArray[Any]


def counted(reference: Reference, values: dict[str, Array], per_block: int) -> Array:
    """int64 (blocks, coarse bins)."""
    return np.stack([reference.coarse.counts(one) for one in summaries(reference, values, per_block)])


def shown(
    reference: Reference, nulls: Nulls, past: Past, blocks: Array, block: int, margin: float = 2.5, rows: int = 200
) -> Surprise:
    """The window that ends with a block, of those given."""
    window = blocks[block - WINDOW + 1 : block + 1]
    null = nulls.of(rows, round(rows * 0.3))
    total = nulls.total
    return surprise(window.sum(0), window[-3:].sum(0), window[-1], total, reference.coarse, null, past, margin)


def live(blocks: int, seed: int) -> dict[str, Array]:
    """Rows that wander farther than the reference did, lose a column, and pause."""
    values = restless(blocks * 20, seed)
    rows = np.arange(blocks * 20)
    values["x0"] += 2.0 * np.sin(rows / 900) + (rows > 1500) * 3
    values["amount"][(rows > 2600) & (rows < 3000)] = np.nan
    return values


@pytest.mark.parametrize(("seed", "margin"), [(1, 2.5), (2, 1.5)])
def test_as_slowly_counted(seed: int, margin: float) -> None:
    reference = built(restless(1600, 3))
    blocks = counted(reference, live(450, seed), 20)
    blocks[[60, 61, 140]] = 0
    nulls, past = Nulls(reference), Past(len(reference.columns), blocks.shape[1])
    own = [by_column(reference, block) for block in reference.blocks]
    slow = recipe.Recipe(own, recipe.own_movement(own, 10, 3), margin)
    plain = [by_column(reference, block) for block in blocks]
    alarming = 0
    for block in range(WINDOW - 1, len(blocks)):
        found = shown(reference, nulls, past, blocks, block, margin)
        expected = slow.judge(plain[block - WINDOW + 1 : block + 1])
        for name, values in expected.readings.items():
            assert getattr(found, name) == pytest.approx(values, abs=1e-9), (block, name)
        assert found.columns == pytest.approx(expected.columns, abs=1e-9)
        assert found.together == pytest.approx(expected.together, abs=1e-9)
        assert found.all_of_them == pytest.approx(expected.all_of_them, abs=1e-9)
        assert found.score == max(*found.columns.tolist(), found.all_of_them)
        past.append(found.step(block, blocks[block], False))
        alarming += found.score >= 1
    assert 5 < alarming < 150


def test_a_window_like_the_reference_never_surprises() -> None:
    reference = built()
    nulls, past = Nulls(reference), Past(4, int(reference.coarse.starts[-1]))
    same = nulls.total
    null = nulls.of(300, 90)
    found = surprise(same, same, same, same, reference.coarse, null, past, 1.5)
    assert found.score == pytest.approx(0.0, abs=1e-7)


def test_the_reference_lived_again_never_surprises() -> None:
    values = restless(3000, 8)
    reference = built(values)
    blocks = counted(reference, values, 20)
    nulls, past = Nulls(reference), Past(len(reference.columns), blocks.shape[1])
    for block in range(WINDOW - 1, len(blocks)):
        found = shown(reference, nulls, past, blocks, block)
        assert found.score < 1
        past.append(found.step(block, blocks[block], False))


def test_the_order_of_columns_does_not_matter() -> None:
    values, served = restless(1600, 3), live(60, 4)
    seen = []
    for names in (list(values), list(values)[::-1]):
        reference = built({name: values[name] for name in names})
        blocks = counted(reference, served, 20)
        nulls, past = Nulls(reference), Past(len(names), blocks.shape[1])
        scores = []
        for block in range(WINDOW - 1, len(blocks)):
            found = shown(reference, nulls, past, blocks, block)
            past.append(found.step(block, blocks[block], False))
            own = dict(zip(names, found.columns.tolist(), strict=True))
            scores.append([found.all_of_them, *(own[name] for name in sorted(own))])
        seen.append(scores)
    assert np.array(seen[0]) == pytest.approx(np.array(seen[1]), abs=1e-9)


def test_a_column_is_blind_where_it_would_have_to_move_too_far() -> None:
    rows = np.arange(3000)
    reference = built({"step": rows // 300 + 0.5 * np.sin(rows), "calm": np.sin(rows * 1.3)})
    past = Past(2, int(reference.coarse.starts[-1]))
    blocks = counted(reference, {"step": np.full(300, 99.0), "calm": np.sin(np.arange(300.0))}, 30)
    found = shown(reference, Nulls(reference), past, blocks, 9, rows=300)
    assert found.needed[0] > 0.9 > found.needed[1]
    assert found.blind.tolist() == [True, False]


def test_no_columns_no_surprise() -> None:
    reference = built({})
    nothing = np.zeros(0, np.int64)
    past = Past(0, 0)
    null = Nulls(reference).of(100, 30)
    assert surprise(nothing, nothing, nothing, nothing, reference.coarse, null, past, 2.0).score == 0.0


def test_what_may_be_chance_is_no_surprise() -> None:
    reference = built()
    blocks = counted(reference, {**columns(300, 1), "x0": np.full(300, 9.0), "x1": np.full(300, 9.0)}, 30)
    found = shown(reference, Nulls(reference), Past(4, blocks.shape[1]), blocks, 9, rows=300)
    only = found.only(np.array([True, False, False, False]))
    assert (found.columns[:2] > 1).all()
    assert only.columns[0] == found.columns[0]
    assert only.columns[1] == UNCERTAIN < 1
    assert only.columns[2:].tolist() == found.columns[2:].tolist()
    assert only.all_of_them == found.all_of_them > 1
    assert found.only(np.zeros(4, bool)).score == UNCERTAIN


@pytest.mark.parametrize(
    ("scores", "before", "open_"),
    [
        ([1.0] * 8, False, True),
        ([1.0] * 7, False, False),
        ([0.99] + [1.0] * 8, False, True),
        ([1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0], False, False),
        ([1.0, 1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0], False, True),
        ([1.0] * 8 + [0.0, 0.0], False, False),
        ([], False, False),
        ([0.69] * 5, True, False),
        ([0.69] * 4, True, True),
        ([0.0, 0.0, 0.7, 0.0, 0.0], True, True),
        ([0.9] * 9, True, True),
        ([1.0] * 5 + [0.6] * 5, True, False),
        ([], True, True),
    ],
)
def test_eight_of_nine_to_open_five_quiet_to_close(scores: list[float], before: bool, open_: bool) -> None:
    assert episode(scores, before) is open_


@settings(deadline=None, derandomize=True, max_examples=200)
@given(st.lists(st.sampled_from([0.0, 0.69, 0.7, 0.99, 1.0, 3.0]), max_size=60))
def test_episodes_need_surprise_to_open_and_quiet_to_close(scores: list[float]) -> None:
    open_ = False
    for end in range(1, len(scores) + 1):
        before, open_ = open_, episode(scores[max(end - WINDOW, 0) : end], open_)
        assert open_ == episode(scores[:end], before)  # what is older does not matter
        if open_ and not before:
            assert sum(score >= 1 for score in scores[max(end - 9, 0) : end]) >= 8
        if before and not open_:
            assert max(scores[end - 5 : end]) < 0.7


def test_the_margin_grows_with_the_run_length_asked_for() -> None:
    told = [margin_of(windows) for windows in (0, 1, 25, 250, 2500, 1e9)]
    assert told == sorted(told)
    assert (told[0], told[1], told[-1]) == (1.5, 1.5, 3.5)
    assert margin_of(10**2.4) == pytest.approx(2.5)
    assert margin_of(Often(1, timedelta(days=90)).windows(timedelta(hours=1))) == pytest.approx(3.434, abs=0.001)
