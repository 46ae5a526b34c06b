"""The summary's laws: it adds as its rows do, and survives its own bytes."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenure_agent.bins import Layout
from tenure_agent.builder import Rows, build_reference
from tenure_agent.summary import HITTERS, INTEGERS, MAGNITUDES, MOMENTS, Summary, SummaryUnreadable, merge
from tenure_agent.tally import summarise

Array = npt.NDArray[Any]
LAWS = settings(deadline=None, derandomize=True, max_examples=60)
EXACT = ("counts", "magnitudes", *INTEGERS, "low", "high")
NUMBER, TEXT, LABEL = ("feature", "amount"), ("feature", "country"), ("output", "prediction")


def texts(values: list[str | None]) -> Array:
    array = np.empty(len(values), object)
    array[:] = values
    return array


def layout() -> Layout:
    rng = np.random.default_rng(0)
    columns = {
        NUMBER: np.concatenate([np.zeros(300), rng.normal(10, 5, size=2000)]),
        TEXT: texts(rng.choice(["NL", "DE"], 2300).tolist()),
        LABEL: rng.uniform(size=2300),
    }
    return build_reference("m", "1", Rows(columns)).layout


LAYOUT = layout()
Row = tuple[float, str | None, float]
ROW = st.tuples(
    st.one_of(st.floats(-50, 50), st.sampled_from([0.0, -0.0, -1.0, 1e9, np.nan, np.inf, -np.inf])),
    st.sampled_from(["NL", "DE", "new", "", None]),
    st.floats(0, 1),
)
ROWS = st.lists(ROW, max_size=40)


def columns(rows: list[Row]) -> dict[tuple[str, str], Array]:
    return {
        NUMBER: np.array([row[0] for row in rows], float),
        TEXT: texts([row[1] for row in rows]),
        LABEL: np.array([row[2] for row in rows], float),
    }


def summary(rows: list[Row]) -> Summary:
    [made] = summarise(LAYOUT, columns(rows), np.zeros(len(rows), int), 1)
    return made


def assert_same(one: Summary, other: Summary, *, hitters: bool = True) -> None:
    for name in EXACT:
        assert getattr(one, name).tolist() == getattr(other, name).tolist(), name
    for name in ("total", "squares"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-9, abs=1e-9)
    assert not hitters or one.hitters == other.hitters


@LAWS
@given(ROWS, ROWS)
def test_merged_is_pooled(first: list[Row], second: list[Row]) -> None:
    # What is heavy in both together need not be in each: so hitters are a lower bound.
    merged, pooled = summary(first) + summary(second), summary(first + second)
    assert_same(merged, pooled, hitters=False)
    for number, found in enumerate(merged.hitters):
        for value, rows in found.items():
            whole = [row[number] for row in first + second]
            assert rows <= whole.count(value)


@LAWS
@given(ROWS, ROWS, ROWS)
def test_associative_and_commutative(first: list[Row], second: list[Row], third: list[Row]) -> None:
    a, b, c = summary(first), summary(second), summary(third)
    assert_same((a + b) + c, a + (b + c))
    assert_same(a + b, b + a)


@LAWS
@given(ROWS)
def test_identity(rows: list[Row]) -> None:
    made = summary(rows)
    assert_same(made + Summary.empty(LAYOUT), made)
    assert_same(Summary.empty(LAYOUT) + made, made)
    assert_same(merge(LAYOUT, [made]), made)
    assert_same(merge(LAYOUT, []), Summary.empty(LAYOUT))


@LAWS
@given(ROWS)
def test_bytes_round_trip_exactly(rows: list[Row]) -> None:
    made = summary(rows)
    back = Summary.from_bytes(made.to_bytes(), LAYOUT)
    for name in (*EXACT, *MOMENTS):
        assert getattr(back, name).tolist() == getattr(made, name).tolist()
        assert getattr(back, name).dtype == getattr(made, name).dtype
    assert back.hitters == made.hitters
    assert_same(back + back, made + made)


@LAWS
@given(st.lists(st.tuples(ROW, st.integers(0, 4)), max_size=60))
def test_groups_are_summaries_of_their_rows(grouped: list[tuple[Row, int]]) -> None:
    rows = [row for row, _ in grouped]
    found = summarise(LAYOUT, columns(rows), np.array([group for _, group in grouped], int), 5)

    assert len(found) == 5
    for group, made in enumerate(found):
        assert_same(made, summary([row for row, of in grouped if of == group]))


@LAWS
@given(ROWS, st.randoms(use_true_random=False))
def test_order_of_rows_does_not_matter(rows: list[Row], shuffling: Any) -> None:
    shuffled = list(rows)
    shuffling.shuffle(shuffled)
    assert_same(summary(shuffled), summary(rows))


@LAWS
@given(ROWS)
def test_every_row_is_counted_once_per_column(rows: list[Row]) -> None:
    made = summary(rows)
    assert made.seen.tolist() == [len(rows)] * 3
    assert np.add.reduceat(made.counts, LAYOUT.offsets[:-1]).tolist() == made.rows.tolist()
    assert (made.magnitudes.sum(1) + made.zeros)[LAYOUT.ordered].tolist() == made.finite[LAYOUT.ordered].tolist()


def test_moments_by_hand() -> None:
    made = summary([(1.0, "NL", 0.5), (4.0, None, 0.5), (np.inf, "DE", 0.5), (np.nan, "DE", 0.5), (0.0, "DE", 0.5)])
    centre = LAYOUT.columns[0].centre

    assert (made.rows.tolist(), made.missing.tolist()) == ([4, 4, 5], [1, 1, 0])
    assert (made.below[0], made.above[0], made.zeros[0], made.finite[0]) == (0, 1, 1, 3)
    assert (made.low[0], made.high[0]) == (0.0, 4.0)
    assert made.total[0] == pytest.approx(5 - 3 * centre)
    assert made.squares[0] == pytest.approx(sum((value - centre) ** 2 for value in (1, 4, 0)))
    assert (made.total[1], made.low[1], made.high[1]) == (0.0, np.inf, -np.inf)


@pytest.mark.parametrize(
    ("value", "number"),
    [(1.0, 97), (1.999, 97), (0.999, 96), (-1.0, 33), (-0.75, 32), (1e300, 127), (5e-324, 64), (-1e300, 63)],
)
def test_magnitudes_are_by_sign_and_power_of_two(value: float, number: int) -> None:
    made = summary([(value, None, 0.5)])
    assert np.flatnonzero(made.magnitudes[0]).tolist() == [number]
    assert made.magnitudes.shape == (3, MAGNITUDES)


def test_what_many_rows_share_is_named_if_it_has_no_bin() -> None:
    rows: list[Row] = [(-1.0, "new", 0.5) if i < 30 else (-2.0, "other", 0.5) for i in range(40)]
    rows += [(10.0 + i / 97, "NL", 0.1) for i in range(60)]
    made = summary(rows)
    assert made.hitters[0] == {-1.0: 30, -2.0: 10}
    assert made.hitters[1] == {"new": 30, "other": 10}
    assert 0.0 not in summary([(0.0, "NL", 0.5)] * 9).hitters[0]  # it has a bin of its own


def test_bytes_keep_the_heaviest_hitters() -> None:
    made = merge(LAYOUT, [summary([(1000.0 + i, f"c{i}", 0.5)] * (i + 2)) for i in range(12)])
    assert len(made.hitters[0]) == len(made.hitters[1]) == 12

    back = Summary.from_bytes(made.to_bytes(), LAYOUT)

    assert len(back.hitters[0]) == HITTERS
    assert back.hitters[0] == {1000.0 + i: i + 2 for i in range(4, 12)}
    assert back.hitters[1] == {f"c{i}": i + 2 for i in range(4, 12)}


@pytest.mark.parametrize(
    "damage",
    [
        lambda blob: b"",
        lambda blob: blob[:7],
        lambda blob: blob[:-3],
        lambda blob: blob[:40] + bytes([blob[40] ^ 0xFF]) + blob[41:],
        lambda blob: bytes([9]) + blob[1:],
        lambda blob: blob[:1] + b"\xff" + blob[2:],
        lambda blob: blob[:2] + struct.pack("<II", 3, 3) + blob[10:],
        lambda blob: blob[:10],
    ],
)
def test_damaged_bytes_are_told(damage: Callable[[bytes], bytes]) -> None:
    blob = summary([(1.0, "NL", 0.5), (-1.0, "new", 0.25), (-1.0, "new", 0.25)]).to_bytes()
    with pytest.raises(SummaryUnreadable):
        Summary.from_bytes(damage(blob), LAYOUT)


@pytest.mark.parametrize("said", [b"3", b"[3]", b"[[[1]], [], []]", b"[[], []]", b"[[], [", b"\xff"])
def test_hitters_that_are_none_are_told(said: bytes) -> None:
    blob = summary([(1.0, "NL", 0.5)]).to_bytes()
    packed = zlib.compressobj(6, zlib.DEFLATED, -15, 9)
    with pytest.raises(SummaryUnreadable):
        Summary.from_bytes(blob[:10] + packed.compress(zlib.decompress(blob[10:], -15) + said) + packed.flush(), LAYOUT)


@LAWS
@given(st.binary(max_size=200), st.integers(0, 400), st.integers(1, 255))
def test_damaged_bytes_raise_nothing_else(noise: bytes, at: int, flip: int) -> None:
    blob = bytearray(summary([(1.0, "NL", 0.5), (-1.0, "new", 0.25), (-1.0, "new", 0.25)]).to_bytes())
    blob[at % len(blob)] ^= flip
    for damaged in (bytes(blob), bytes(blob[:10]) + noise):
        try:
            found = Summary.from_bytes(damaged, LAYOUT)
        except SummaryUnreadable:
            continue
        assert found.counts.shape == (LAYOUT.bins,)


def test_bytes_are_few_for_few_rows() -> None:
    assert len(summary([(1.0, "NL", 0.5)]).to_bytes()) < 300
    whole = {NUMBER: np.random.default_rng(2).normal(10, 5, 100_000)}
    [made] = summarise(LAYOUT, whole, np.zeros(100_000, int), 1)
    assert len(made.to_bytes()) < 4 * LAYOUT.bins + 500


def test_no_columns() -> None:
    nothing = Layout([])
    [made] = summarise(nothing, {}, np.zeros(3, int), 1)
    assert Summary.from_bytes(made.to_bytes(), nothing).counts.tolist() == []


def test_moments_beyond_the_largest_float_add_without_a_word() -> None:
    huge = summary([(1.7e308, None, 0.5)])
    assert (huge + huge).total[0] == np.inf
    assert (huge + summary([(-1.7e308, None, 0.5)])).rows[0] == 2
