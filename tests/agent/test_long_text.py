"""One long text among many rows takes the room of one."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from tests.agent.live import texts

from tenure_agent.bins import Layout, build_column, counted, numbered
from tenure_agent.builder import Rows, build_reference
from tenure_agent.hints import label_hints
from tenure_agent.losses import ZERO_ONE, loss_values
from tenure_agent.measures import measure
from tenure_agent.segment_builder import with_segments
from tenure_agent.segments import top_values
from tenure_agent.tally import summarise

KEY = ("feature", "country")
VALUES = texts(["DE", "FR", None, "IT"] * 500 + ["x" * 20_000])
LABEL = texts(["yes", "no"] * 1000 + ["y" * 20_000])
ROOM = 10_000_000  # fixed-width strings would take 160 MB


def bins() -> Layout:
    column = build_column("country", "feature", VALUES)
    assert not isinstance(column, str)
    return Layout([column])


def reference() -> None:
    source = Rows({KEY: VALUES})
    with_segments(build_reference("fraud", "1", source), source, ["country"])


@pytest.mark.parametrize(
    "work",
    [
        bins,
        reference,
        lambda: top_values(VALUES),
        lambda: summarise(bins(), {KEY: VALUES}, np.zeros(len(VALUES), np.int64), 1),
        lambda: label_hints(bins(), {KEY: VALUES}, LABEL, "multiclass"),
        lambda: loss_values(ZERO_ONE, VALUES, LABEL),
        lambda: measure("accuracy", VALUES, LABEL),
    ],
    ids=["bins", "reference", "segments", "summary", "hints", "losses", "accuracy"],
)
def test_a_long_text_takes_the_room_of_one(work: Callable[[], object]) -> None:
    tracemalloc.start()
    try:
        work()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < ROOM


def test_texts_are_counted_and_numbered_in_order() -> None:
    values = texts(["b", None, "a", "b", ""])
    names, rows = counted(values)
    assert (names.tolist(), rows.tolist()) == (["", "a", "b"], [1, 1, 2])
    found, codes = numbered(values)
    assert (found, codes.tolist()) == ([None, "", "a", "b"], [3, 0, 2, 3, 1])
    assert counted(texts([None]))[0].tolist() == numbered(texts([]))[0] == []
