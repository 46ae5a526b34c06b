"""How far a reference's own windows lie from the rest of it, beside a slow count of the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from tests.agent import recipe
from tests.agent.live import built, columns

from tenure_agent.null import ENOUGH, Nulls
from tenure_agent.reference import Reference

Array = npt.NDArray[Any]


def by_column(reference: Reference, counts: Array) -> list[list[int]]:
    """Counts over coarse bins as lists, one for each column."""
    return [counts[reference.coarse.stretch(c)].tolist() for c in range(len(reference.columns))]


def restless(rows: int, seed: int) -> dict[str, Array]:
    """Columns that wander, and one that is absent for a while."""
    found = columns(rows, seed, normal=1)
    found["x0"] += np.sin(np.arange(rows) * 2 * np.pi / 700) + np.random.default_rng(seed).normal(size=rows)
    found["amount"][rows // 2 : rows // 2 + 130] = np.nan
    return found


@pytest.mark.parametrize(
    ("rows", "window", "newest", "width", "part"),
    [(1600, 200, 60, 10, 3), (1600, 190, 30, 10, 2), (1600, 20, 6, 1, 1), (1600, 700, 210, 13, 10), (1600, 1, 0, 1, 1)],
)
def test_as_slowly_counted(rows: int, window: int, newest: int, width: int, part: int) -> None:
    reference = built(restless(rows, 3))
    blocks = [by_column(reference, block) for block in reference.blocks]
    assert len(blocks) == 80
    slow = recipe.own_movement(blocks, width, part)

    found = Nulls(reference).of(window, newest)

    assert found.moved == pytest.approx(slow.moved, abs=1e-9)
    assert found.missing == pytest.approx(slow.missing, abs=1e-9)
    assert found.moved_newest == pytest.approx(slow.moved_newest, abs=1e-9)
    assert found.missing_newest == pytest.approx(slow.missing_newest, abs=1e-9)
    assert found.together == pytest.approx(slow.together, abs=1e-9)
    assert found.absent == pytest.approx([run * 20 for run in slow.absent])
    assert found.windows == rows / window
    assert found.known == (rows / window >= ENOUGH)
    assert slow.absent[1] >= 5


def test_the_order_of_columns_does_not_matter() -> None:
    values = restless(1600, 5)
    found = Nulls(built(values)).of(200, 60)
    other = Nulls(built(dict(reversed(values.items())))).of(200, 60)
    for name in ("moved", "missing", "moved_newest", "missing_newest", "absent"):
        assert getattr(other, name)[::-1] == pytest.approx(getattr(found, name), abs=1e-12)
    assert other.together == pytest.approx(found.together)


@pytest.mark.parametrize(("rows", "known"), [(0, False), (30, False), (239, False), (240, True)])
def test_too_short_a_reference_knows_nothing(rows: int, known: bool) -> None:
    null = Nulls(built(rows=rows) if rows else built({})).of(30, 9)
    assert null.known is known
    assert (null.moved > 0).any() == known
    if not known:
        assert null.windows == 0


def test_of_a_short_reference_shorter_windows_stand_in() -> None:
    nulls = Nulls(built(rows=1200))
    long, longest = nulls.of(400, 120), nulls.of(800, 240)
    assert not long.known
    assert long.moved.tolist() == nulls.of(200, 120).moved.tolist()
    assert (long.windows, longest.windows) == (3.0, 1.5)
    assert longest.moved.tolist() == long.moved.tolist()


def test_a_constant_column_never_moves() -> None:
    null = Nulls(built({"x": np.full(1000, 7.0), "y": columns(1000)["x0"]})).of(100, 30)
    assert null.moved[0] == 0.0
    assert null.moved[1] > 0.0
    assert null.moved_newest[1] > null.moved[1]  # fewer rows, more chance


def test_all_of_the_reference_is_counted_once() -> None:
    reference = built()
    total = Nulls(reference).total
    assert total.tolist() == reference.blocks.sum(0).tolist()
    assert reference.coarse.sums(total).tolist() == [3000] * 4
