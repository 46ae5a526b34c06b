"""Verdicts as they are kept: what a restart must not forget, and what nobody asks for any more."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from tenure_agent.records import DAY, MINUTE, Level, Reading, Verdict, Window
from tenure_agent.store import Database, verdicts
from tenure_agent.store.catalogue import Catalogue
from tenure_agent.store.database import Cursor

Run = Callable[[Callable[[Cursor], Any]], Any]
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


def test_of_old_verdicts_the_ends_of_each_run_stay(said: Callable[..., None], read: Run, write: Run) -> None:
    levels = [OK, OK, OK, WARNING, WARNING, CRITICAL, CRITICAL, CRITICAL, OK, OK, OK, OK]
    for at, level in enumerate(levels, 1):
        said(verdict(at * DAY, level))
        said(verdict(at * DAY, OK, check="performance"))
    before = read(lambda c: verdicts.changes(c, 0))

    assert write(lambda c: verdicts.expire(c, 10 * DAY, 12 * DAY)) == 2 + 8
    assert read(lambda c: verdicts.changes(c, 0)) == before
    assert read(lambda c: verdicts.last_critical(c, 1, 1, "drift")) == 8 * DAY
    assert read(lambda c: verdicts.recent(c, 1, 1, "drift", 3)) == [(OK, OK)] * 3
    times = read(lambda c: c.execute("SELECT time FROM verdicts WHERE \"check\" = 'drift' ORDER BY time").fetchall())
    assert [time // DAY for (time,) in times] == [1, 3, 4, 5, 6, 8, 9, 10, 11, 12]
    assert write(lambda c: verdicts.expire(c, 10 * DAY, 12 * DAY)) == 0

    assert write(lambda c: verdicts.expire(c, 10 * DAY, 405 * DAY + 1)) == 4 + 1
    assert read(verdicts.newest)[0]["time"] == 12 * DAY


def test_what_the_multivariate_check_learns_from_stays(
    said: Callable[..., None], read: Run, write: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verdicts, "LEARNT", 6)
    monkeypatch.setattr(verdicts, "MOST", 2)
    for at in range(1, 11):
        said(verdict(at * DAY, OK, check="multivariate"))
        said(verdict(at * DAY, OK))
    write(lambda c: verdicts.expire(c, 10 * DAY, 12 * DAY))
    found = read(
        lambda c: c.execute("SELECT time FROM verdicts WHERE \"check\" = 'multivariate' ORDER BY time").fetchall()
    )
    assert [time // DAY for (time,) in found] == [5, 6, 7, 8, 9, 10]
    write(lambda c: verdicts.expire(c, 0, 405 * DAY + 1 * DAY + 1))
    assert read(lambda c: c.execute("SELECT min(time) FROM verdicts").fetchone()) == (7 * DAY,)


def test_verdicts_are_bounded_in_number(
    said: Callable[..., None], read: Run, write: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verdicts, "MOST", 4)
    for at in range(1, 21):
        said(verdict(at * MINUTE, OK))
    write(lambda c: verdicts.expire(c, 0, 20 * MINUTE))
    assert read(verdicts.counts)["OK"] == 4  # the first of the run was among those beyond twice as many
    for at in range(21, 41):
        said(verdict(at * MINUTE, (OK, WARNING)[at % 2]))
    write(lambda c: verdicts.expire(c, 0, 40 * MINUTE))
    assert sum(read(verdicts.counts).values()) == 8
