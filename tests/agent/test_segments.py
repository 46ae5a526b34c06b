"""Which rows are in which segment, and which values have one."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from tests.agent.live import texts

from tenure_agent.segments import LONGEST, MOST_VALUES, OTHER, Segment, numbers, top_values
from tenure_agent.summary import Summary

Array = npt.NDArray[Any]


@pytest.mark.parametrize(
    ("values", "known", "found"),
    [
        (texts(["DE", "FR", None, "XX", "DE"]), ["FR", "DE"], [1, 0, 2, 2, 1]),
        (np.array([1.0, 2.5, np.nan, 7.0, -0.0]), ["1", "2.5", "0"], [0, 1, 3, 3, 2]),
        (np.array([np.inf, -np.inf]), ["inf"], [0, 1]),
        (np.array([True, False]), ["1"], [0, 1]),
        (texts(["1", "2.5"]), ["1"], [0, 1]),  # a number that came as text
        (texts([]), ["FR"], []),
    ],
)
def test_every_row_is_in_one_segment(values: Array, known: list[str], found: list[int]) -> None:
    assert numbers(values, known).tolist() == found


def test_the_most_frequent_values_have_segments() -> None:
    names = [f"v{i}" for i in range(20)]
    values = texts([name for i, name in enumerate(names) for _ in range(100 - i)])
    assert top_values(values) == tuple(names[:MOST_VALUES])
    assert top_values(texts(["b", "a", "a", "b", None])) == ("a", "b")
    assert top_values(np.array([3.0, 3.0, np.nan, 1.5])) == ("3", "1.5")
    assert top_values(texts([None, None])) == ()


@pytest.mark.parametrize("odd", ["", OTHER, "x" * (LONGEST + 1), "a\x1b[31m", "a\nb"])
def test_what_cannot_be_named_is_among_the_others(odd: str) -> None:
    assert top_values(texts([odd, odd, "DE"])) == ("DE",)


def test_names() -> None:
    nothing: Any = Summary((), *[np.zeros(0)] * 12)
    assert Segment("country", "DE", nothing, np.zeros((0, 0))).name == "country=DE"
    assert Segment("country", None, nothing, np.zeros((0, 0))).name == "country=(other)"
