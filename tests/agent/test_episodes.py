"""Alarms to episodes: N of M to open, quiet checks to close."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenure_agent.episodes import settle
from tenure_agent.records import Level

LETTERS = {"o": Level.OK, "w": Level.WARNING, "c": Level.CRITICAL, "-": Level.INSUFFICIENT_DATA}
RANK = {Level.OK: 0, Level.WARNING: 1, Level.CRITICAL: 2}


@pytest.mark.parametrize(
    ("raw", "before", "shown"),
    [
        # one check by itself changes nothing
        ("c", "o", "o"),
        ("oooc", "o", "o"),
        ("cc", "o", "o"),
        # three of the last four open it
        ("ccc", "o", "c"),
        ("ccoc", "o", "c"),
        ("cocc", "o", "c"),
        ("cooc", "o", "o"),
        ("cccoo", "o", "o"),
        # a level is reached by what is at least as grave
        ("www", "o", "w"),
        ("wcw", "o", "w"),
        ("cwcc", "o", "c"),
        ("cwwc", "o", "w"),
        ("wccc", "w", "c"),
        # it closes after three quiet checks, not before
        ("ccco", "c", "c"),
        ("cccoo", "c", "c"),
        ("cccooo", "c", "o"),
        ("cccoco", "c", "c"),
        ("cccwww", "c", "w"),
        ("wwwoo", "w", "w"),
        ("wwwooo", "w", "o"),
        # after a time without data the story starts anew
        ("o", "-", "o"),
        ("ccc", "-", "c"),
        # nothing yet
        ("", "o", "o"),
        ("oo", "c", "c"),
    ],
)
def test_three_of_four_to_open_three_to_close(raw: str, before: str, shown: str) -> None:
    levels = [LETTERS[letter] for letter in raw]
    assert settle(levels, LETTERS[before], open_after=3, close_after=3) is LETTERS[shown]


@pytest.mark.parametrize(
    ("raw", "before", "open_after", "close_after", "shown"),
    [
        ("c", "o", 1, 1, "c"),
        ("co", "c", 1, 1, "c"),
        ("coo", "c", 1, 2, "o"),
        ("cc", "o", 2, 5, "c"),
        ("ccoooo", "c", 2, 5, "c"),
    ],
)
def test_other_settings(raw: str, before: str, open_after: int, close_after: int, shown: str) -> None:
    levels = [LETTERS[letter] for letter in raw]
    assert settle(levels, LETTERS[before], open_after=open_after, close_after=close_after) is LETTERS[shown]


LEVELS = st.sampled_from([Level.OK, Level.WARNING, Level.CRITICAL])


@settings(deadline=None, derandomize=True, max_examples=200)
@given(st.lists(LEVELS, max_size=40), st.integers(1, 5), st.integers(1, 5))
def test_laws(raw: list[Level], open_after: int, close_after: int) -> None:
    shown = Level.OK
    for end in range(1, len(raw) + 1):
        before, shown = shown, settle(raw[:end], shown, open_after=open_after, close_after=close_after)
        recent = raw[max(0, end - open_after - 1) : end]
        if RANK[shown] > RANK[before]:
            assert sum(RANK[one] >= RANK[shown] for one in recent) >= open_after
        if RANK[shown] < RANK[before]:
            assert all(RANK[one] < RANK[before] for one in raw[end - close_after : end])
            assert end >= close_after


@settings(deadline=None, derandomize=True, max_examples=100)
@given(st.lists(LEVELS, min_size=1, max_size=40), st.integers(1, 5), st.integers(1, 5))
def test_only_the_newest_checks_matter(raw: list[Level], open_after: int, close_after: int) -> None:
    depth = max(open_after + 1, close_after)
    whole = settle(raw, Level.CRITICAL, open_after=open_after, close_after=close_after)
    assert settle(raw[-depth:], Level.CRITICAL, open_after=open_after, close_after=close_after) is whole
