"""Summaries, references, verdicts and last runs: what a restart must not forget."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tenure_agent.records import Level, Reading, Verdict, Window
from tenure_agent.reference import Reference, build_reference
from tenure_agent.store import Database, jobs, references, summaries, verdicts
from tenure_agent.store.catalogue import Catalogue
from tenure_agent.store.database import Cursor
from tenure_agent.summary import Summary, merge, summarise

MINUTE = 60_000_000
KEY = ("feature", "x")
Run = Callable[[Callable[[Cursor], Any]], Any]


def reference(seed: int = 0) -> Reference:
    return build_reference("fraud", "1", {KEY: np.random.default_rng(seed).normal(size=500)}, source="a test")


def summary(built: Reference, rows: int, seed: int = 1) -> Summary:
    [made] = summarise(built, {KEY: np.random.default_rng(seed).normal(size=rows)}, np.zeros(rows, int), 1)
    return made


@pytest.fixture
def write(database: Database) -> Run:
    return lambda work: database.write(work).result()


@pytest.fixture
def read(database: Database) -> Run:
    return lambda work: database.read(work).result()


def test_summaries_of_a_window_add_up(write: Run, read: Run) -> None:
    built = reference()
    parts = [(0, minute * MINUTE, summary(built, 10 + minute, minute)) for minute in range(6)]
    write(lambda c: summaries.append(c, 1, 1, built.hash, 7, parts[:4]))
    write(lambda c: summaries.append(c, 1, 1, built.hash, 9, [*parts[4:], (2, 2 * MINUTE, summary(built, 500))]))
    write(lambda c: summaries.append(c, 1, 2, built.hash, 3, [(0, 2 * MINUTE, summary(built, 400))]))

    def rows(start: int, end: int, **other: Any) -> int:
        key: dict[str, Any] = {"version": 1, "role": 0, "hash": built.hash} | other
        window = Window(start * MINUTE, end * MINUTE)
        blobs = read(lambda c: summaries.between(c, 1, key["version"], key["role"], key["hash"], window))
        bins = int(built.offsets[-1])
        return int(merge(built, (Summary.from_bytes(blob, bins) for blob in blobs)).rows.sum())

    assert rows(0, 6) == sum(range(10, 16))
    assert rows(2, 4) == 12 + 13
    assert rows(0, 6, role=2) == 500
    assert rows(0, 6, version=2) == 400
    assert rows(0, 6, hash="of other bins") == 0
    assert rows(6, 60) == 0


def test_late_rows_of_a_bucket_add_to_it(write: Run, read: Run) -> None:
    built = reference()
    for _ in range(2):
        write(lambda c: summaries.append(c, 1, 1, built.hash, 1, [(0, 0, summary(built, 5))]))
    assert len(read(lambda c: summaries.between(c, 1, 1, 0, built.hash, Window(0, MINUTE)))) == 2


def test_watermark_moves_with_its_summaries(database: Database, write: Run, read: Run) -> None:
    built = reference()

    def fail(cursor: Cursor) -> None:
        summaries.append(cursor, 1, 1, built.hash, 5, [(0, 0, summary(built, 5))])
        raise RuntimeError("on purpose")

    assert read(lambda c: summaries.watermark(c, 1, 1)) == 0
    with pytest.raises(RuntimeError):
        write(fail)
    assert read(lambda c: summaries.watermark(c, 1, 1)) == 0
    write(lambda c: summaries.append(c, 1, 1, built.hash, 5, []))
    assert read(lambda c: summaries.watermark(c, 1, 1)) == 5
    assert read(lambda c: summaries.watermark(c, 1, 2)) == 0
    write(lambda c: summaries.reset(c, 1, 1))
    assert read(lambda c: summaries.watermark(c, 1, 1)) == 0
    assert read(lambda c: summaries.between(c, 1, 1, 0, built.hash, Window(0, MINUTE))) == []


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


OK, WARNING, CRITICAL = Level.OK, Level.WARNING, Level.CRITICAL


def verdict(end: int, level: Level = OK, **changes: Any) -> Verdict:
    reading = Reading("amount", "ks", 0.3, 1e-9, 0.1, 500, WARNING)
    measures = {"auc_roc": float("nan"), "brier": 0.2}
    made = Verdict("fraud", "1", "drift", level, "because", Window(end - MINUTE, end), 500, (reading,), measures)
    return dataclasses.replace(made, **changes)


@pytest.fixture
def said(database: Database, catalogue: Catalogue, write: Run) -> Callable[..., None]:
    """Keep a verdict with the level it had by itself."""
    model = write(lambda c: catalogue.model(c, "fraud", 1))
    write(lambda c: catalogue.version(c, model, "1", 1))

    def keep(one: Verdict, alone: Level = OK) -> None:
        write(lambda c: verdicts.append(c, 1, 1, [(one, alone)]))

    return keep


def test_recent_verdicts_oldest_first_and_only_those_with_data(said: Callable[..., None], read: Run) -> None:
    said(verdict(1 * MINUTE, OK), CRITICAL)
    said(verdict(2 * MINUTE, Level.INSUFFICIENT_DATA), Level.INSUFFICIENT_DATA)
    said(verdict(3 * MINUTE, WARNING), WARNING)
    said(verdict(4 * MINUTE, Level.ERROR), Level.ERROR)
    said(verdict(5 * MINUTE, CRITICAL), OK)
    said(verdict(5 * MINUTE, OK, check="performance"), OK)

    assert read(lambda c: verdicts.recent(c, 1, 1, "drift", 9)) == [(CRITICAL, OK), (WARNING, WARNING), (OK, CRITICAL)]
    assert read(lambda c: verdicts.recent(c, 1, 1, "drift", 2)) == [(WARNING, WARNING), (OK, CRITICAL)]
    assert read(lambda c: verdicts.recent(c, 1, 2, "drift", 2)) == []
    assert read(lambda c: verdicts.last_critical(c, 1, 1, "drift")) == 5 * MINUTE
    assert read(lambda c: verdicts.last_critical(c, 1, 1, "performance")) is None
    assert read(verdicts.counts) == {"OK": 2, "WARNING": 1, "CRITICAL": 1, "INSUFFICIENT_DATA": 1, "ERROR": 1}


def test_newest_verdicts_with_their_readings(said: Callable[..., None], read: Run) -> None:
    said(verdict(1 * MINUTE, CRITICAL))
    said(verdict(2 * MINUTE, WARNING))

    [newest] = read(verdicts.newest)

    assert (newest["model"], newest["version"], newest["check"], newest["level"]) == ("fraud", "1", "drift", "WARNING")
    assert (newest["start"], newest["time"], newest["reason"]) == (MINUTE, 2 * MINUTE, "because")
    assert newest["measures"] == {"brier": 0.2}
    assert newest["readings"][0]["column"] == "amount"


def test_changes_of_level(said: Callable[..., None], read: Run) -> None:
    for minute, level in enumerate([OK, OK, WARNING, WARNING, CRITICAL, OK], 1):
        said(verdict(minute * MINUTE, level))

    def changes(after: int) -> list[tuple[int, str, str | None]]:
        found = read(lambda c: verdicts.changes(c, after))
        return [(one["time"] // MINUTE, one["level"], one["previous"]) for one in found]

    assert changes(0) == [(1, "OK", None), (3, "WARNING", "OK"), (5, "CRITICAL", "WARNING"), (6, "OK", "CRITICAL")]
    assert changes(3 * MINUTE) == [(5, "CRITICAL", "WARNING"), (6, "OK", "CRITICAL")]
