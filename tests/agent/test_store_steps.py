"""Blocks judged, kept: an outage, however long, makes nothing forgotten."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tenure_agent.past import KEPT, Past, Step
from tenure_agent.store import Database, steps
from tenure_agent.store.database import Cursor

Keep = Callable[[list[Step]], None]


@pytest.fixture
def keep(database: Database) -> Keep:
    return lambda found: database.write(lambda c: steps.append(c, 1, 1, "h", 60, found)).result()


def newest(database: Database) -> list[Step]:
    return database.read(lambda c: steps.newest(c, 1, 1, "h", 60)).result()


def step(block: int) -> Step:
    value = np.float32(np.random.default_rng(block).uniform(size=2)).astype(float)
    return Step(block, np.array([block + 1, 2, 0]), value, value, value, value, value, value, 0.5, False)


def outage(block: int) -> Step:
    return Step.unjudged(block, np.zeros(3, np.int64), False)


def test_of_an_outage_the_newest_block_is_kept(database: Database, keep: Keep) -> None:
    keep([step(1), step(2)])
    for block in range(3, 60):
        keep([outage(block)])
    assert [one.block for one in newest(database)] == [1, 2, 59]
    keep([*map(outage, range(60, 700)), step(700)])
    assert [one.block for one in newest(database)] == [1, 2, 700]

    past, again = Past(2, 3), Past(2, 3)
    for one in [step(1), step(2), *map(outage, range(3, 700)), step(700)]:
        past.append(one)
    for one in newest(database):
        again.append(one)
    assert past.next == again.next == 701
    assert past.recent(50, np.ones(3)).tolist() == again.recent(50, np.ones(3)).tolist()
    assert (past.judged, past.scores) == (again.judged, again.scores)


def test_a_judged_block_without_rows_is_kept(database: Database, keep: Keep) -> None:
    empty = dataclasses.replace(step(3), counts=np.zeros(3, np.int64), score=2.0)
    keep([empty, step(4)])
    [one, _] = newest(database)
    assert (one.block, one.score, one.moved.tolist()) == (3, 2.0, empty.moved.tolist())
    assert not one.counts.any()


def test_what_is_too_old_to_count_goes(database: Database, keep: Keep, monkeypatch: pytest.MonkeyPatch) -> None:
    assert steps.KEPT_STEPS == 2 * KEPT
    monkeypatch.setattr(steps, "KEPT_STEPS", 50)
    keep([step(block) for block in range(80)])
    blocks = [one.block for one in newest(database)]
    assert blocks == list(range(30, 80))

    def kept(cursor: Cursor) -> Any:
        return cursor.execute("SELECT count(*) FROM steps").fetchall()

    assert database.read(kept).result() == [(50,)]
