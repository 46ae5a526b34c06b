"""Numbers passed over, against a plain set of them."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from tenure_agent.gaps import MOST, Gap, Gaps, filled, opened


@given(seqs=st.lists(st.integers(1, 60), max_size=80))
def test_what_comes_late_is_known_to_be_missing_once(seqs: Sequence[int]) -> None:
    gaps: Gaps = ()
    newest, missing = 0, set[int]()
    for seq in seqs:
        gaps, gap = filled(gaps, seq)
        assert (gap is not None) == (seq in missing)
        assert gap is None or seq in gap
        missing.discard(seq)
        if seq > newest:
            gaps = opened(gaps, newest + 1, seq - 1)
            missing |= set(range(newest + 1, seq))
            newest = seq
        assert {n for first, last, _ in gaps for n in range(first, last + 1)} == missing


def test_the_oldest_are_given_up() -> None:
    gaps: Gaps = ()
    for seq in range(3, 6 * MOST, 3):
        gaps = opened(gaps, seq, seq + 1, acked=seq % 2 == 0)
    assert len(gaps) == MOST
    gaps, first = filled(gaps, 3)
    assert first is None
    whole = Gap(10, 90, True)
    left, gap = filled((*gaps[:-1], whole), 40)
    assert gap == whole
    assert len(left) == MOST
    assert left[-2:] == ((10, 39, True), (41, 90, True))
