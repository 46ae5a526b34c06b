"""What is remembered of live windows, and for how long; beside plain lists of the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenure_agent.past import KEPT, LAG, LONGEST, MEMORY, STRIDE, WINDOW, Past, Peaks, Ring, Step

Array = npt.NDArray[Any]
COLUMNS, BINS = 2, 5
TAIL = np.array([1.5, 0.5, 1.0, 0.0, 0.25])


def step(block: int, draw: np.random.Generator, *, judged: bool = True, rows: bool = True) -> Step:
    counts = draw.integers(1, 50, BINS) if rows else np.zeros(BINS, np.int64)
    if not judged:
        return Step.unjudged(block, counts, False)
    a, b, c, d, e = (draw.uniform(size=COLUMNS).astype(np.float32).astype(float) for _ in range(5))
    together = draw.uniform(size=2).astype(np.float32).astype(float)
    return Step(block, counts, a, b, c, d, e, together, draw.uniform(), bool(draw.uniform() < 0.5))


@settings(deadline=None, derandomize=True, max_examples=25)
@given(
    st.integers(0, 2 * KEPT),
    st.integers(50, LONGEST),
    st.integers(0, 99),
    st.sampled_from([0.0, 0.3, 0.9]),
)
def test_as_plain_lists_remember(blocks: int, length: int, seed: int, hollow: float) -> None:
    draw = np.random.default_rng(seed)
    past = Past(COLUMNS, BINS)
    kinds = draw.uniform(size=(blocks, 2)) >= hollow
    steps = [step(i, draw, judged=bool(kinds[i, 0]), rows=bool(kinds[i, 1])) for i in range(blocks)]
    for one in steps:
        past.append(one)
    lived = [one.counts for one in steps if one.counts.any()]
    known = [one for one in steps if one.judged]

    stretch = lived[: max(len(lived) - 2 * WINDOW + 1, 0)][-length:]
    expected = np.sum(stretch, axis=0) + TAIL * (length - len(stretch)) if stretch else TAIL * length
    assert past.recent(length, TAIL).tolist() == pytest.approx(expected.tolist())

    old = known[: max(len(known) - LAG + 1, 0)][-MEMORY * length :]
    largest, together = past.learnt(MEMORY * length)
    for row, name in enumerate(("moved", "missing", "moved_newest", "missing_newest", "absent")):
        assert largest[row].tolist() == [max((getattr(one, name)[c] for one in old), default=0.0) for c in range(2)]
    assert (
        together.tolist() == np.max([one.together for one in old], axis=0, initial=0.0).tolist() if old else [0.0, 0.0]
    )

    assert past.next == (blocks or None)
    assert past.judged == len(known)
    assert past.scores == [one.score for one in known][-WINDOW:]
    assert past.critical is (known[-1].critical if known else False)
    assert past.absent.tolist() == (known[-1].absent.tolist() if known else [0.0, 0.0])


def test_a_reading_is_learnt_after_three_windows_and_forgotten_after_the_memory() -> None:
    past, draw, length = Past(COLUMNS, BINS), np.random.default_rng(0), 50
    quiet = np.zeros(COLUMNS)
    heard = []
    for block in range(LAG + MEMORY * length + 20):
        loud = np.ones(COLUMNS) if block == 0 else quiet
        past.append(Step(block, draw.integers(1, 9, BINS), loud, quiet, quiet, quiet, quiet, quiet, 0.0, False))
        heard.append(bool(past.learnt(MEMORY * length)[0][0].any()))
    assert heard.index(True) == LAG - 1  # for the block after it
    assert sum(heard) == MEMORY * length


def test_what_is_recent_begins_as_the_reference_and_ends_a_window_before_this_one() -> None:
    past, draw = Past(COLUMNS, BINS), np.random.default_rng(0)
    steps = [step(i, draw) for i in range(100)]
    for one in steps[: 2 * WINDOW - 1]:
        past.append(one)
        assert past.recent(50, TAIL).tolist() == (TAIL * 50).tolist()
    past.append(steps[2 * WINDOW - 1])
    assert past.recent(50, TAIL).tolist() == (steps[0].counts + TAIL * 49).tolist()
    for one in steps[2 * WINDOW :]:
        past.append(one)
    assert past.recent(50, TAIL).tolist() == np.sum([one.counts for one in steps[31:81]], 0).tolist()


def test_an_outage_is_passed_over() -> None:
    draw = np.random.default_rng(0)
    one, other = Past(COLUMNS, BINS), Past(COLUMNS, BINS)
    for block in range(80):
        for past in (one, other):
            past.append(step(block, np.random.default_rng(block)))
    for block in range(80, 500):
        one.append(step(block, draw, judged=False, rows=False))
    other.skip(499)
    assert one.next == other.next == 500
    assert one.recent(50, TAIL).tolist() == other.recent(50, TAIL).tolist()
    assert one.learnt(200)[0].tolist() == other.learnt(200)[0].tolist()
    assert (one.scores, one.judged) == (other.scores, other.judged)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.integers(1, 9), st.integers(0, 60))
def test_a_ring_holds_the_newest(rows: int, appended: int) -> None:
    ring = Ring(rows, 1, np.int64)
    for number in range(appended):
        ring.append(np.array([number]))
    assert ring.newest().ravel().tolist() == list(range(appended))[-rows:]


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.integers(1, 3 * STRIDE), st.integers(1, 12 * STRIDE), st.data())
def test_peaks_are_the_largest_of_any_stretch(rows: int, appended: int, data: st.DataObject) -> None:
    values, peaks = np.random.default_rng(appended).uniform(size=(appended, 2)), Peaks(rows, 2, np.float64)
    for row in values:
        peaks.append(row)
    held = peaks.newest()
    assert held.tolist() == values[-len(held) :].tolist()
    assert len(held) == len(peaks) >= min(rows, appended)
    first = data.draw(st.integers(0, len(held) - 1))
    last = data.draw(st.integers(first + 1, len(held)))
    assert peaks.largest(first, last).tolist() == held[first:last].max(0).tolist()
