"""Summaries that were packed are what they were, and few are not packed."""

from __future__ import annotations

import numpy as np
import pytest
from tests.agent.live import built, columns, summaries

from tenure_agent.bundle import Bundle
from tenure_agent.reference import Reference
from tenure_agent.shelf import LEAST, Shelf
from tenure_agent.summary import INTEGERS, MOMENTS, Summary

BLOCKS = 3 * LEAST


@pytest.fixture(scope="module")
def reference() -> Reference:
    return built(columns(1800))


@pytest.fixture(scope="module")
def made(reference: Reference) -> list[Summary]:
    values = columns(BLOCKS * 30, 3)
    values["x0"] = 1e6 + np.arange(len(values["x0"])) % 12  # twelve values that many rows have
    return summaries(reference, values)[:BLOCKS]


def plain(summary: Summary) -> list[object]:
    return [
        summary.hitters,
        *(getattr(summary, name).tolist() for name in ("counts", "magnitudes", *INTEGERS, *MOMENTS)),
    ]


def test_a_shelf_keeps_all_and_holds_few(reference: Reference, made: list[Summary]) -> None:
    assert max(len(hitters) for summary in made for hitters in summary.hitters) > 8
    shelf = Shelf(reference.layout)
    for block, summary in enumerate(made):
        shelf[block] = summary
    assert sorted(shelf) == list(range(BLOCKS))
    assert (len(shelf), len(shelf._held)) == (BLOCKS, LEAST)
    assert 0 in shelf
    assert BLOCKS not in shelf
    assert shelf.get(BLOCKS) is None
    for block in (0, BLOCKS - 1, 1, 0):
        assert plain(shelf[block]) == plain(made[block])
    assert len(shelf._held) == LEAST
    shelf[2] += made[3]
    assert plain(shelf[2]) == plain(made[2] + made[3])
    for block in (0, 4):
        del shelf[block]
        assert block not in shelf
    assert sorted(shelf) == [1, 2, 3, *range(5, BLOCKS)]


def test_a_bundle_adds_what_it_holds_and_packs_the_rest(reference: Reference, made: list[Summary]) -> None:
    bundle: Bundle[str] = Bundle(reference.layout)
    bundle.add([(("a", 0), made[0]), (("b", 0), made[1]), (("a", 0), made[2])])
    assert len(bundle) == 2
    bundle.pack()
    bundle.add([(("a", 0), made[3])])
    assert (len(bundle), len(bundle.packed)) == (1, 2)
    assert [(name, time, plain(summary)) for name, time, summary in bundle] == [
        ("a", 0, plain(made[0] + made[2])),
        ("b", 0, plain(made[1])),
        ("a", 0, plain(made[3])),
    ]
    assert [one.to_bytes() for _, _, one in bundle.kept()] == [summary.to_bytes() for _, _, summary in bundle]
