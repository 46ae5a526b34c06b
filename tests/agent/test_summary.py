"""The summary's laws: it adds as its rows do, and survives its own bytes."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenure_agent.reference import Reference, build_reference
from tenure_agent.summary import Summary, merge, summarise

Array = npt.NDArray[Any]
LAWS = settings(deadline=None, derandomize=True, max_examples=60)
EXACT = ("counts", "rows", "missing", "infinite", "zeros", "low", "high")
NUMBER, TEXT, LABEL = ("feature", "amount"), ("feature", "country"), ("output", "prediction")


def texts(values: list[str | None]) -> Array:
    array = np.empty(len(values), object)
    array[:] = values
    return array


def reference() -> Reference:
    rng = np.random.default_rng(0)
    return build_reference(
        "m",
        "1",
        {
            NUMBER: np.concatenate([np.zeros(300), rng.normal(10, 5, size=2000)]),
            TEXT: texts(rng.choice(["NL", "DE"], 2300).tolist()),
            LABEL: rng.uniform(size=2300),
        },
    )


REFERENCE = reference()
BINS = int(REFERENCE.offsets[-1])
Row = tuple[float, str | None, float]
ROW = st.tuples(
    st.one_of(st.floats(-50, 50), st.sampled_from([0.0, -0.0, np.nan, np.inf, -np.inf])),
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
    [made] = summarise(REFERENCE, columns(rows), np.zeros(len(rows), int), 1)
    return made


def assert_same(one: Summary, other: Summary) -> None:
    for name in EXACT:
        assert getattr(one, name).tolist() == getattr(other, name).tolist(), name
    assert one.total == pytest.approx(other.total, rel=1e-9, abs=1e-9)
    assert one.squares == pytest.approx(other.squares, rel=1e-9, abs=1e-9)


@LAWS
@given(ROWS, ROWS)
def test_merged_is_pooled(first: list[Row], second: list[Row]) -> None:
    assert_same(summary(first) + summary(second), summary(first + second))


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
    assert_same(made + Summary.empty(REFERENCE), made)
    assert_same(Summary.empty(REFERENCE) + made, made)
    assert_same(merge(REFERENCE, [made]), made)
    assert_same(merge(REFERENCE, []), Summary.empty(REFERENCE))


@LAWS
@given(ROWS)
def test_bytes_round_trip_exactly(rows: list[Row]) -> None:
    made = summary(rows)
    back = Summary.from_bytes(made.to_bytes(), BINS)
    for field in fields(Summary):
        assert getattr(back, field.name).tolist() == getattr(made, field.name).tolist()
        assert getattr(back, field.name).dtype == getattr(made, field.name).dtype
    assert_same(back + back, made + made)


@LAWS
@given(st.lists(st.tuples(ROW, st.integers(0, 4)), max_size=60))
def test_groups_are_summaries_of_their_rows(grouped: list[tuple[Row, int]]) -> None:
    rows = [row for row, _ in grouped]
    groups = np.array([group for _, group in grouped], int)

    found = summarise(REFERENCE, columns(rows), groups, 5)

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
    assert (made.rows + made.missing).tolist() == [len(rows)] * 3
    per_column = np.add.reduceat(made.counts, REFERENCE.offsets[:-1])
    assert per_column.tolist() == made.rows.tolist()


def test_the_references_own_rows_give_its_own_counts() -> None:
    rng = np.random.default_rng(1)
    values = {NUMBER: rng.poisson(3, 5000).astype(float), TEXT: texts(rng.choice(["a", "b", "c"], 5000).tolist())}
    built = build_reference("m", "1", values)
    [made] = summarise(built, values, np.zeros(5000, int), 1)
    assert made.counts.tolist() == built.counts.tolist()


def test_moments_by_hand() -> None:
    made = summary([(1.0, "NL", 0.5), (4.0, None, 0.5), (np.inf, "DE", 0.5), (np.nan, "DE", 0.5), (0.0, "DE", 0.5)])
    mean = REFERENCE.columns[0].mean

    assert made.rows.tolist() == [4, 4, 5]
    assert made.missing.tolist() == [1, 1, 0]
    assert (made.infinite[0], made.zeros[0]) == (1, 1)
    assert (made.low[0], made.high[0]) == (0.0, 4.0)
    assert made.total[0] == pytest.approx(5 - 3 * mean)
    assert made.squares[0] == pytest.approx(sum((value - mean) ** 2 for value in (1, 4, 0)))
    assert (made.total[1], made.low[1], made.high[1]) == (0.0, np.inf, -np.inf)


def test_infinities_fall_into_the_outer_bins() -> None:
    made = summary([(np.inf, "NL", 0.0), (-np.inf, "NL", 0.0)])
    first = made.counts[: REFERENCE.columns[0].bins]
    assert (first[0], first[-1]) == (1, 1)


def test_a_column_that_did_not_come_is_all_missing() -> None:
    [made] = summarise(REFERENCE, {LABEL: np.array([0.1, 0.2])}, np.zeros(2, int), 1)
    assert made.missing.tolist() == [2, 2, 0]
    assert made.rows.tolist() == [0, 0, 2]


def test_a_column_that_is_new_is_left_alone() -> None:
    [made] = summarise(REFERENCE, columns([]) | {("feature", "new"): np.empty(0)}, np.empty(0, int), 1)
    assert_same(made, Summary.empty(REFERENCE))


def test_no_groups() -> None:
    assert summarise(REFERENCE, columns([]), np.empty(0, int), 0) == []


def test_bytes_are_few_for_few_rows() -> None:
    assert len(summary([(1.0, "NL", 0.5)]).to_bytes()) < 300
    whole = {NUMBER: np.random.default_rng(2).normal(10, 5, 100_000)}
    [made] = summarise(REFERENCE, whole, np.zeros(100_000, int), 1)
    assert len(made.to_bytes()) < 4 * BINS + 500


def test_empty_reference() -> None:
    nothing = build_reference("m", "1", {})
    [made] = summarise(nothing, {}, np.zeros(3, int), 1)
    assert Summary.from_bytes(made.to_bytes(), 0).counts.tolist() == []
