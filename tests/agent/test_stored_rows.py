"""Rows of a store as values, and how many of them are summarised at once."""

from __future__ import annotations

import numpy as np
import pytest

from tenure_agent.stored_rows import pieces


@pytest.mark.parametrize(
    ("times", "features", "most", "made"),
    [
        ([0, 3, 2, 1, 4, 5], 0, 1, [[0, 3, 2, 1, 4, 5]]),  # all in one summary: not even sorted
        ([10, 0, 30, 20, 50, 40], 0, 4, [[0, 10, 20, 30], [40, 50]]),
        ([0, 10, 20, 30, 40, 50], 4, 11, [[0, 10], [20, 30], [40, 50]]),  # two rows of five summaries
        ([0, 10, 20, 30, 40, 50], 4, 1, [[0], [10], [20], [30], [40], [50]]),
        ([0, 10, 20, 30, 40, 50], 4, 99, [[0, 10, 20, 30, 40, 50]]),
    ],
)
def test_no_piece_makes_more_summaries_than_there_is_room_for(
    times: list[int], features: int, most: int, made: list[list[int]]
) -> None:
    rows = {"time": np.array(times), "n1": np.array(times) / 2}
    found = list(pieces(rows, (10, 10), features, most))
    assert [part["time"].tolist() for part in found] == made
    assert [part["n1"].tolist() for part in found] == [[time / 2 for time in part] for part in made]
