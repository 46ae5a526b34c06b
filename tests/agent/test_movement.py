"""How much a reference moves on its own."""

from __future__ import annotations

import numpy as np
import pytest

from tenure_agent.movement import MIN_STRETCHES, own_movement
from tenure_agent.reference import build_reference


def test_movement_of_identical_blocks_is_nothing() -> None:
    built = build_reference("m", "1", {("feature", "x"): np.tile(np.arange(100.0), 64)})
    movement = own_movement(built, 100)
    assert movement.largest["ks"].tolist() == [0.0]
    assert movement.largest["psi"] == pytest.approx([0.0], abs=1e-3)


def test_movement_by_hand() -> None:
    # The second half of the reference lies above the first: a stretch of either half is as far as can be.
    built = build_reference("m", "1", {("feature", "x"): np.repeat([0.0, 1.0], 640)})
    movement = own_movement(built, 400)
    blocks = len(built.blocks)
    k = round(400 * blocks / 1280)
    assert movement.stretches == blocks // k
    assert movement.largest["ks"][0] == pytest.approx(640 / (1280 - 20 * k * 64 / blocks), rel=0.02)


def test_movement_without_blocks_is_unknown() -> None:
    movement = own_movement(build_reference("m", "1", {("feature", "x"): np.arange(10.0)}), 300)
    assert not movement.known
    assert movement.largest["ks"].tolist() == [0.0]


@pytest.mark.parametrize(
    ("rows", "stretches"), [(1, 64), (100, 64), (200, 32), (640, 10), (1000, 6), (1200, 5), (99_999, 0)]
)
def test_stretches_as_long_as_the_window(rows: int, stretches: int) -> None:
    built = build_reference("m", "1", {("feature", "x"): np.random.default_rng(0).normal(size=6400)})
    movement = own_movement(built, rows)
    assert movement.stretches == stretches
    assert movement.known is (stretches >= MIN_STRETCHES)


def test_longer_windows_move_less() -> None:
    built = build_reference("m", "1", {("feature", "x"): np.random.default_rng(0).normal(size=6400)})
    largest = [own_movement(built, rows).largest["ks"][0] for rows in (100, 400, 1600)]
    assert largest == sorted(largest, reverse=True)


def test_a_reference_of_no_columns_does_not_move() -> None:
    movement = own_movement(build_reference("m", "1", {}), 300)
    assert movement.largest["psi"].tolist() == []
    assert not movement.known
