"""Summaries, references, verdicts and last runs: what a restart must not forget."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tenure_agent.builder import Rows, build_reference
from tenure_agent.past import Step
from tenure_agent.records import DAY, HOUR, MINUTE
from tenure_agent.reference import Reference
from tenure_agent.rollup import roll_up
from tenure_agent.store import Database, jobs, references, steps, summaries
from tenure_agent.store.catalogue import Catalogue
from tenure_agent.store.database import Cursor
from tenure_agent.summary import Summary, merge
from tenure_agent.tally import summarise

KEY = ("feature", "x")
Run = Callable[[Callable[[Cursor], Any]], Any]


def reference(seed: int = 0) -> Reference:
    return build_reference("fraud", "1", Rows({KEY: np.random.default_rng(seed).normal(size=500)}), told="a test")


def summary(built: Reference, rows: int, seed: int = 1) -> Summary:
    [made] = summarise(built.layout, {KEY: np.random.default_rng(seed).normal(size=rows)}, np.zeros(rows, int), 1)
    return made


def test_summaries_from_a_time_on_add_up(write: Run, read: Run) -> None:
    built = reference()
    parts = [(0, minute * MINUTE, summary(built, 10 + minute, minute)) for minute in range(6)]
    write(lambda c: summaries.append(c, 1, 1, built.hash, MINUTE, 7, parts[:4]))
    write(
        lambda c: summaries.append(c, 1, 1, built.hash, MINUTE, 9, [*parts[4:], (2, 2 * MINUTE, summary(built, 500))])
    )
    write(lambda c: summaries.append(c, 1, 2, built.hash, MINUTE, 3, [(0, 2 * MINUTE, summary(built, 400))]))

    def rows(start: int, **other: Any) -> int:
        key: dict[str, Any] = {"version": 1, "role": 0, "hash": built.hash} | other
        found = read(lambda c: summaries.since(c, 1, key["version"], key["role"], key["hash"], start * MINUTE))
        assert all(time >= start * MINUTE for time, _ in found)
        return int(merge(built.layout, (Summary.from_bytes(blob, built.layout) for _, blob in found)).rows.sum())

    assert rows(0) == sum(range(10, 16))
    assert rows(4) == 14 + 15
    assert rows(0, role=2) == 500
    assert rows(0, version=2) == 400
    assert rows(0, hash="of other bins") == 0
    assert rows(6) == 0


def test_late_rows_of_a_bucket_add_to_it(write: Run, read: Run) -> None:
    built = reference()
    for _ in range(2):
        write(lambda c: summaries.append(c, 1, 1, built.hash, MINUTE, 1, [(0, 0, summary(built, 5))]))
    assert len(read(lambda c: summaries.since(c, 1, 1, 0, built.hash, 0))) == 2


def test_watermark_moves_with_its_summaries(database: Database, write: Run, read: Run) -> None:
    built = reference()

    def fail(cursor: Cursor) -> None:
        summaries.append(cursor, 1, 1, built.hash, MINUTE, 5, [(0, 0, summary(built, 5))])
        raise RuntimeError("on purpose")

    assert read(lambda c: summaries.watermark(c, 1, 1)) == 0
    with pytest.raises(RuntimeError):
        write(fail)
    assert read(lambda c: summaries.watermark(c, 1, 1)) == 0
    write(lambda c: summaries.append(c, 1, 1, built.hash, MINUTE, 5, []))
    assert read(lambda c: summaries.watermark(c, 1, 1)) == 5
    assert read(lambda c: summaries.watermark(c, 1, 2)) == 0
    write(lambda c: summaries.reset(c, 1, 1))
    assert read(lambda c: summaries.watermark(c, 1, 1)) == 0
    assert read(lambda c: summaries.since(c, 1, 1, 0, built.hash, 0)) == []


def spans(read: Run) -> dict[int, int]:
    """How many summaries cover how many microseconds."""
    return dict(
        read(lambda c: c.execute("SELECT span, count(*) FROM summaries GROUP BY span ORDER BY span").fetchall())
    )


def test_minutes_roll_up_into_hours_and_hours_into_days(
    database: Database, catalogue: Catalogue, write: Run, read: Run
) -> None:
    built = reference()
    model = write(lambda c: catalogue.model(c, "fraud", 1))
    write(lambda c: references.save(c, 1, 1, built, 1))
    minutes = [(role, at * MINUTE, summary(built, 3, at)) for at in range(0, 20 * 60, 10) for role in (0, 2)]
    write(lambda c: summaries.append(c, 1, 1, built.hash, MINUTE, 7, minutes))
    before = total(read, built)
    for _ in range(2):
        write(lambda c: roll_up(c, model, 1, 90 * DAY))
        assert spans(read) == {MINUTE: 2 * 7 * 6, HOUR: 2 * 13}  # the newest is of 19:50: six hours before, to the hour
        assert total(read, built) == before
    late = [(0, 10 * MINUTE, summary(built, 5))]
    write(lambda c: summaries.append(c, 1, 1, built.hash, MINUTE, 8, [*late, (0, 30 * DAY, summary(built, 1))]))
    for _ in range(3):
        write(lambda c: roll_up(c, model, 1, 90 * DAY))
    assert spans(read) == {MINUTE: 1, DAY: 2}
    assert total(read, built) == before + 5 + 1


def total(read: Run, built: Reference) -> int:
    blobs = [bytes(blob) for (blob,) in read(lambda c: c.execute("SELECT summary FROM summaries").fetchall())]
    return int(merge(built.layout, (Summary.from_bytes(blob, built.layout) for blob in blobs)).rows[0])


def test_what_comes_from_the_future_makes_nothing_old(
    database: Database, catalogue: Catalogue, write: Run, read: Run
) -> None:
    built = reference()
    model = write(lambda c: catalogue.model(c, "fraud", 1))
    write(lambda c: references.save(c, 1, 1, built, 1))
    parts = [(0, at, summary(built, 3)) for at in (HOUR, 2 * HOUR, 4000 * DAY)]
    write(lambda c: summaries.append(c, 1, 1, built.hash, MINUTE, 7, parts))
    assert write(lambda c: roll_up(c, model, 1, 3 * HOUR)) == 0
    assert spans(read) == {MINUTE: 3}


def test_windows_of_any_length_keep_their_minutes(
    database: Database, catalogue: Catalogue, write: Run, read: Run
) -> None:
    built = reference()
    model = write(lambda c: catalogue.model(c, "fraud", 1))
    write(lambda c: references.save(c, 1, 1, built, 1))
    unjudged = Step.unjudged(1, np.zeros(int(built.coarse.starts[-1]), np.int64), False)
    write(lambda c: steps.append(c, 1, 1, built.hash, HOUR // 2, [unjudged]))
    parts = [(0, at * HOUR, summary(built, 3)) for at in range(24)]
    write(lambda c: summaries.append(c, 1, 1, built.hash, MINUTE, 7, parts))
    write(lambda c: roll_up(c, model, 1, DAY))
    assert spans(read) == {MINUTE: 11, HOUR: 13}  # two windows of five hours before the newest


def test_steps_come_back_as_they_were(write: Run, read: Run) -> None:
    draw = np.random.default_rng(0)
    kept = []
    for block in range(5):
        a, b, c, d, e = (draw.uniform(size=2).astype(np.float32).astype(float) for _ in range(5))
        score = float("nan") if block == 2 else float(block)
        step = Step(block, draw.integers(0, 99, 12), a, b, c, d, e, np.array([0.25, 0.5]), score, block == 4)
        kept.append(Step.unjudged(block, step.counts, False) if block == 2 else step)
    write(lambda c: steps.append(c, 1, 1, "h", 60, kept[:3]))
    write(lambda c: steps.append(c, 1, 1, "h", 60, kept[3:]))
    back = read(lambda c: steps.newest(c, 1, 1, "h", 60))
    for one, other in zip(kept, back, strict=True):
        for field in dataclasses.fields(Step):
            assert np.array_equal(getattr(one, field.name), getattr(other, field.name), equal_nan=True), field.name
    assert read(lambda c: steps.length(c, 1, 1, "h")) == 60
    assert read(lambda c: steps.newest(c, 1, 1, "other bins", 60)) == []
    write(lambda c: steps.append(c, 1, 1, "other bins", 90, kept[4:]))
    assert read(lambda c: steps.newest(c, 1, 1, "h", 60)) == []
    assert read(lambda c: steps.longest(c, 1)) == 90
    write(lambda c: steps.reset(c, 1, 1))
    assert read(lambda c: steps.longest(c, 1)) == 0


def test_references_are_replaced(write: Run, read: Run) -> None:
    first, second = reference(1), reference(2)
    assert read(lambda c: references.newest(c, 1, 1)) is None
    write(lambda c: references.save(c, 1, 1, first, 10))
    assert read(lambda c: references.newest(c, 1, 1)) == first
    write(lambda c: references.save(c, 1, 1, second, 10))
    assert read(lambda c: references.newest(c, 1, 1)) == second
    assert read(lambda c: references.newest(c, 1, 2)) is None


def test_last_runs(write: Run, read: Run) -> None:
    assert read(jobs.last_runs) == {}

    def run(cursor: Cursor) -> None:
        for name, time in (("a", 1), ("b", 2), ("a", 3)):
            jobs.ran(cursor, name, time)

    write(run)
    assert read(jobs.last_runs) == {"a": 3, "b": 2}
