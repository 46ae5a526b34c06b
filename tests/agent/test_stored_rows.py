"""Rows of a store as values, and how many of them are summarised at once."""

from __future__ import annotations

import numpy as np
import pytest

from tenure_agent.stored_rows import fitting


@pytest.mark.parametrize(
    ("times", "features", "most", "upto"),
    [
        ([0, 1, 2, 3, 4, 5], 0, 1, 9),  # all in one summary
        ([0, 10, 20, 30, 40, 50], 0, 4, 4),
        ([0, 10, 20, 30, 40, 50], 4, 12, 2),  # two rows of five summaries fit
        ([0, 10, 20, 30, 40, 50], 4, 1, 2),  # an ingest number is whole
        ([0, 10, 20, 30, 40, 50], 4, 99, 9),
    ],
)
def test_a_chunk_makes_no_more_summaries_than_there_is_room_for(
    times: list[int], features: int, most: int, upto: int
) -> None:
    arrived = np.array([2, 2, 4, 4, 7, 7]), np.array(times)
    assert fitting(arrived, (10, 10), features, most, 9) == upto
