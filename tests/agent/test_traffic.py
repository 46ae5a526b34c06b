"""Rows in a real store, counted by the hour: of all versions together, once, also after a restart, and when none come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest
from tests.agent.served import DAY, Array, served, weekly

from tenure.testing import ManualClock
from tenure_agent.config import parse_config
from tenure_agent.metrics import Metrics
from tenure_agent.records import HOUR, ROLES, Level, Verdict
from tenure_agent.review import Reviewer
from tenure_agent.store import Database, hours, verdicts
from tenure_agent.store.catalogue import Catalogue, Model
from tenure_agent.store.database import Cursor
from tenure_agent.traffic import Traffic

OK, WARNING, UNKNOWN = Level.OK, Level.WARNING, Level.INSUFFICIENT_DATA
COUNTS = served(weekly(21), 1, mean=60)
NOON = 20 * DAY + 9  # of a working day
SECOND = 1_000_000
CHAMPION, CHALLENGER, SHADOW = range(len(ROLES))


class Desk:
    """A model `fraud` with versions 1 and 2."""

    def __init__(self, database: Database, clock: str) -> None:
        self.database, self.batch = database, 0
        self.config = parse_config({"clock": clock}, "a test")

        def begin(cursor: Cursor) -> Model:
            catalogue = Catalogue(cursor)
            model = catalogue.model(cursor, "fraud", 0)
            for name in ("1", "2"):
                catalogue.version(cursor, model, name, 0)
            return model

        self.model = database.write(begin).result()
        self.traffic = Traffic(database, self.config)

    def serve(self, counts: Mapping[int, int], *, version: int = 1, role: int = CHAMPION) -> None:
        """Rows by hour, under one ingest number."""
        self.batch += 1
        rows = [[hour, int(n)] for hour, n in counts.items() if n]
        self.database.write(
            lambda cursor: cursor.execute(
                f"INSERT INTO {self.model.table} (batch, time, version, role, id) "
                "SELECT ?, h * ? + unnest(range(n)) * 1000, ?, ?, 'x' FROM (SELECT unnest(?::BIGINT[]) AS h, unnest(?::BIGINT[]) AS n)",
                [self.batch, HOUR, version, role, [hour for hour, _ in rows], [n for _, n in rows]],
            )
        ).result()

    def judge(self, now: int, version: int = 1) -> list[Verdict]:
        """What is new at a time, kept as a review keeps it."""
        looked = asyncio.run(self.traffic.judge(self.model, version, now, self.batch))

        def keep(cursor: Cursor) -> None:
            verdicts.append(cursor, self.model.number, version, looked.said)
            self.traffic.save(cursor, self.model)

        self.database.write(keep).result()
        self.traffic.saved(self.model)
        return [verdict for verdict, _ in looked.said]

    def restart(self) -> None:
        self.traffic = Traffic(self.database, self.config)


def by_hour(counts: Array, first: int, last: int, factor: float = 1.0) -> dict[int, int]:
    return {hour: round(counts[hour] * factor) for hour in range(first, last)}


@pytest.fixture
def desk(database: Database) -> Callable[..., Desk]:
    return lambda clock="wall": Desk(database, clock)


def test_silence_is_seen_though_nothing_comes(desk: Callable[..., Desk]) -> None:
    one = desk()
    one.serve(by_hour(COUNTS, 0, NOON))
    said = [one.judge((NOON + i) * HOUR + 60 * SECOND) for i in range(3)]
    assert [[verdict.level for verdict in some] for some in said] == [[OK], [OK], [WARNING]]
    [last] = said[-1]
    assert (last.model, last.version, last.check, last.rows) == ("fraud", "1", "volume", 0)
    assert one.judge((NOON + 2) * HOUR + 120 * SECOND) == []  # not over yet, and said already
    standing = asyncio.run(one.traffic.judge(one.model, 1, (NOON + 2) * HOUR + 180 * SECOND, one.batch)).standing
    assert standing == last


def test_rows_on_their_way_when_an_hour_ends_count(desk: Callable[..., Desk]) -> None:
    one = desk()
    one.serve(by_hour(COUNTS, 0, NOON))
    assert one.judge(NOON * HOUR + SECOND)[-1].window.end == (NOON - 1) * HOUR
    one.serve({NOON - 1: 5})
    [verdict] = one.judge(NOON * HOUR + 11 * SECOND)
    assert verdict.rows == COUNTS[NOON - 1] + 5


@pytest.mark.parametrize(
    ("version", "role"), [(2, CHAMPION), (2, CHALLENGER)], ids=["promoted", "a canary that takes all of them"]
)
def test_rows_that_another_version_serves_are_not_missed(desk: Callable[..., Desk], version: int, role: int) -> None:
    one = desk("event")
    one.serve(by_hour(COUNTS, 0, NOON))
    one.serve(by_hour(COUNTS, NOON, len(COUNTS)), version=version, role=role)
    assert {verdict.level for verdict in one.judge(len(COUNTS) * HOUR, version)} == {UNKNOWN, OK}


def test_only_the_newest_word_of_a_model_stands(desk: Callable[..., Desk]) -> None:
    one = desk()
    one.serve(by_hour(COUNTS, 0, NOON))
    for i in range(3):
        one.judge((NOON + i) * HOUR + 60 * SECOND)
    one.serve(by_hour(COUNTS, NOON + 3, NOON + 9), version=2)
    for i in range(4, 9):
        one.judge((NOON + i) * HOUR + 60 * SECOND, version=2)
    [standing] = one.database.read(verdicts.newest).result()
    assert (standing["version"], standing["level"]) == ("2", "OK")


def test_shadows_are_no_traffic(desk: Callable[..., Desk]) -> None:
    one = desk("event")
    one.serve(by_hour(COUNTS, 0, NOON))
    one.serve(by_hour(COUNTS, 0, NOON + 3), version=2, role=SHADOW)
    said = one.judge((NOON + 3) * HOUR)
    assert [verdict.rows for verdict in said[-4:]] == [COUNTS[NOON - 1], 0, 0, 0]
    assert [verdict.level for verdict in said[-3:]] == [OK, WARNING, WARNING]


@pytest.mark.parametrize("cut", [NOON - 30, NOON + 1, NOON + 2])
def test_a_restart_changes_nothing(desk: Callable[..., Desk], cut: int) -> None:
    one = desk("event")
    one.serve(by_hour(COUNTS, 0, NOON) | {NOON + 5: 1})
    one.judge(cut * HOUR)
    one.restart()
    said = one.judge((NOON + 4) * HOUR)
    assert [verdict.window.start // HOUR for verdict in said] == list(range(cut, NOON + 4))
    assert [verdict.level for verdict in said if verdict.window.start >= (NOON - 1) * HOUR] == (
        [OK, OK, WARNING, WARNING, WARNING][max(cut - NOON + 1, 0) :]
    )


def test_a_silence_is_told_across_restarts_and_known_as_one(desk: Callable[..., Desk]) -> None:
    one = desk("event")
    one.serve(by_hour(COUNTS, 0, NOON))
    for day in range(1, 20):
        said = one.judge((NOON + day * DAY) * HOUR)
        one.restart()
        assert {verdict.level for verdict in said[-DAY + 2 :]} == {WARNING}
    kept = one.database.read(lambda cursor: hours.load(cursor, one.model.number)).result()
    missed = [hour for hour, rows in kept.rows.items() if rows is None]
    assert sorted(missed) == list(range(21 * DAY, (NOON // DAY + 19) * DAY))
    assert set(missed) <= kept.judged


def test_rows_are_counted_once_and_known_for_longer_than_they_are_kept(desk: Callable[..., Desk]) -> None:
    one = desk("event")
    one.serve(by_hour(COUNTS, 0, NOON))
    one.judge((NOON - 5) * HOUR)
    one.database.write(lambda cursor: cursor.execute(f"DELETE FROM {one.model.table}")).result()
    one.restart()
    one.serve(by_hour(COUNTS, NOON, NOON + 1))
    assert [verdict.rows for verdict in one.judge((NOON + 1) * HOUR)] == COUNTS[NOON - 5 : NOON + 1].tolist()
    kept = one.database.read(lambda cursor: hours.load(cursor, one.model.number)).result()
    assert kept.rows == by_hour(COUNTS, 0, NOON + 1)
    assert kept.upto == 2


def test_reports_that_waited_while_the_agent_was_away_raise_no_alarm(desk: Callable[..., Desk]) -> None:
    one = desk()
    one.serve(by_hour(COUNTS, 0, NOON))
    one.judge(NOON * HOUR + 60 * SECOND)
    one.restart()
    back = NOON + 6
    [verdict] = one.judge(back * HOUR + 60 * SECOND)
    assert (verdict.level, verdict.rows) == (OK, 0)  # not confirmed
    one.serve(by_hour(COUNTS, NOON, back + 1))
    [verdict] = one.judge((back + 1) * HOUR + 60 * SECOND)
    assert (verdict.level, verdict.rows) == (OK, COUNTS[back])


def test_times_far_ahead_fill_no_store(desk: Callable[..., Desk]) -> None:
    one = desk()
    one.serve(dict.fromkeys(range(NOON, NOON + 5000, 40), 1))
    one.judge(NOON * HOUR + 60 * SECOND)
    kept = one.database.read(lambda cursor: hours.load(cursor, one.model.number)).result()
    assert len(kept.rows) <= 2


def test_a_review_tells_it_beside_drift_and_never_decides(
    desk: Callable[..., Desk], metrics: Metrics, value: Callable[..., float]
) -> None:
    one = desk()
    one.serve(by_hour(COUNTS, 0, NOON))
    config = parse_config({"models": {"fraud": {"reference": {"first_rows": 10**9}}}}, "a test")
    catalogue = one.database.read(Catalogue).result()
    reviewer = Reviewer(one.database, catalogue, config, metrics, ManualClock(5))

    async def review(now: int) -> Level:
        found = await reviewer.review("fraud", now)
        assert found is not None
        assert found.decision is None
        return found.volume.level

    async def run() -> list[Level]:
        return [await review((NOON + i) * HOUR + 60 * SECOND) for i in range(3)]

    assert asyncio.run(run()) == [OK, OK, WARNING]
    assert value("verdict_level", model="fraud", version="1", check="volume") == 1
    found = one.database.read(lambda cursor: verdicts.recent(cursor, 1, 1, "volume", 5)).result()
    assert found == [(OK, OK), (WARNING, OK), (WARNING, WARNING)]
    kept = one.database.read(lambda cursor: hours.load(cursor, one.model.number)).result()
    assert kept.judged == {NOON - 1, NOON, NOON + 1}


def test_a_silence_is_told_also_when_all_rows_are_gone(
    desk: Callable[..., Desk], metrics: Metrics, value: Callable[..., float]
) -> None:
    one = desk()
    one.serve(by_hour(COUNTS, 0, NOON))
    catalogue = one.database.read(Catalogue).result()
    config = parse_config({"models": {"fraud": {"reference": {"first_rows": 10**9}}}}, "a test")

    def review(hour: int) -> bool:
        reviewer = Reviewer(one.database, catalogue, config, metrics, ManualClock(5))  # also after a restart
        return asyncio.run(reviewer.review("fraud", hour * HOUR + 60 * SECOND)) is None

    assert not any(review(NOON + i) for i in range(3))
    assert value("verdict_level", model="fraud", version="1", check="volume") == 1
    one.database.write(lambda cursor: cursor.execute(f"DELETE FROM {one.model.table}")).result()
    for hour in range(NOON + 3, NOON + 90):
        assert review(hour)
    [standing] = [row for row in one.database.read(verdicts.newest).result() if row["check"] == "volume"]
    assert (standing["version"], standing["level"], standing["time"]) == ("1", "WARNING", (NOON + 89) * HOUR)


def test_what_never_served_is_told_of_by_nobody(desk: Callable[..., Desk], metrics: Metrics) -> None:
    one = desk()
    catalogue = one.database.read(Catalogue).result()
    reviewer = Reviewer(one.database, catalogue, one.config, metrics, ManualClock(5))
    assert asyncio.run(reviewer.review("fraud", NOON * HOUR)) is None
    assert one.database.read(verdicts.newest).result() == []


def test_a_check_that_cannot_run_is_an_error(desk: Callable[..., Desk]) -> None:
    one = desk()
    one.serve(by_hour(COUNTS, 0, 5))
    one.database.write(lambda cursor: cursor.execute("DROP TABLE hours")).result()
    looked = asyncio.run(one.traffic.judge(one.model, 1, 6 * HOUR, one.batch))
    assert looked.standing.level is Level.ERROR
    assert [alone for _, alone in looked.said] == [Level.ERROR]
