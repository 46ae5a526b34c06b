"""A review from rows to decision, on a real store: what is said, kept and decided, and how often."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tenure.testing import ManualClock
from tenure_agent.builder import Rows, build_reference
from tenure_agent.config import parse_config
from tenure_agent.metrics import Metrics
from tenure_agent.records import Level, Trigger, Urgency
from tenure_agent.review import Review, Reviewer
from tenure_agent.store import Database, decisions, verdicts
from tenure_agent.store.catalogue import Catalogue
from tenure_agent.store.decisions import Letter
from tenure_proto.v1 import monitoring_pb2 as pb

SECOND = 1_000_000
MINUTE, HOUR, DAY = 60 * SECOND, 3600 * SECOND, 86_400 * SECOND
START = 19_000 * DAY  # a Saturday
Batch = Callable[..., pb.Batch]
Truths = Callable[..., pb.Outcomes]
Put = Callable[..., None]
OK, CRITICAL, UNKNOWN = Level.OK, Level.CRITICAL, Level.INSUFFICIENT_DATA


class Desk:
    """A reviewer of the model `fraud`."""

    def __init__(self, database: Database, catalogue: Catalogue, metrics: Metrics, **model: Any) -> None:
        document = {"models": {"fraud": {"mode": "act", "reference": {"first_rows": 2000}} | model}}
        self.database = database
        self.reviewer = Reviewer(database, catalogue, parse_config(document, "c"), metrics, ManualClock(5))

    def review(self, *times: int) -> list[tuple[Level, Level]]:
        """Levels of (drift, performance) at each time."""

        async def run() -> list[Review | None]:
            return [await self.reviewer.review("fraud", time) for time in times]

        return [(review.drift.level, review.performance.level) for review in asyncio.run(run()) if review is not None]

    def at_once(self, now: int, times: int) -> list[Review | None]:
        async def run() -> list[Review | None]:
            return await asyncio.gather(*(self.reviewer.review("fraud", now) for _ in range(times)))

        return asyncio.run(run())

    def decided(self) -> list[Letter]:
        return self.database.read(decisions.listed).result()


@pytest.fixture
def desk(database: Database, catalogue: Catalogue, metrics: Metrics) -> Callable[..., Desk]:
    return lambda **model: Desk(database, catalogue, metrics, **model)


@pytest.fixture
def serve(batch: Batch, truths: Truths, put: Put) -> Callable[..., None]:
    """Serve `rows` from a time on, one every `step`; each labelled after `delay` unless that is None."""

    def feed(
        rows: int, start: int, *, step: int = MINUTE, shift: float = 0.0, flipped: float = 0.0, delay: int | None = HOUR
    ) -> None:
        rng = np.random.default_rng(start // SECOND)
        score = 1 / (1 + np.exp(-3 * rng.normal(size=rows)))
        true = (rng.uniform(size=rows) < score) != (rng.uniform(size=rows) < flipped)
        ids = [f"{start}-{i}" for i in range(rows)]
        one = batch(
            {"x": (rng.normal(size=rows) + shift).tolist()},
            ids=ids,
            start=start,
            step=step,
            outputs={"prediction": score.tolist()},
        )
        told = []
        if delay is not None:
            times = [start + i * step + delay for i in range(rows)]
            told = [truths(dict(zip(ids, true.astype(float).tolist(), strict=True)), known=times)]
        put(one, truths=told)

    return feed


Serve = Callable[..., None]
OFTEN = {"drift": {"window": "24h", "every": "1h", "min_rows": 100}}
STEP, BLOCK, DENSE = 20 * SECOND, 6 * MINUTE, {"drift": {"window": "1h", "min_rows": 100}}


def test_nothing_served_nothing_said(desk: Callable[..., Desk], serve: Serve) -> None:
    serve(10, START)
    one = desk()

    assert one.at_once(START, 1) == [None]
    assert one.decided() == []


def test_too_little_is_never_ok(desk: Callable[..., Desk], serve: Serve) -> None:
    serve(50, START)
    assert desk().review(START + 2 * HOUR) == [(UNKNOWN, UNKNOWN)]


def test_quiet_is_ok_and_decides_nothing(desk: Callable[..., Desk], serve: Serve, value: Callable[..., float]) -> None:
    serve(20_000, START)
    one = desk(**OFTEN)
    end = START + 20_000 * MINUTE

    assert one.review(end - 2 * HOUR, end - HOUR, end) == [(OK, OK)] * 3

    assert one.decided() == []
    assert value("verdict_level", model="fraud", version="1", check="performance") == 0
    assert (
        value("checks_total", model="fraud", version="1", check="drift", level="OK") == 2
    )  # a block is a tenth of a day
    assert value("performance", model="fraud", version="1", metric="auc_roc") > 0.8


def test_proven_harm_is_decided_once_until_it_is_over(
    desk: Callable[..., Desk], serve: Serve, value: Callable[..., float]
) -> None:
    serve(10_000, START)
    harm = START + 10_000 * MINUTE
    serve(20_000, harm, flipped=0.3)
    one = desk(**OFTEN, performance={"window": "1d"}, retrain={"cooldown": "2h"})
    times = [harm + 5 * DAY + hour * HOUR for hour in range(6)]

    levels = [performance for _, performance in one.review(*times)]

    assert levels == [OK, OK, CRITICAL, CRITICAL, CRITICAL, CRITICAL]
    [letter] = one.decided()
    assert (letter.decision.trigger, letter.decision.urgency) == (Trigger.PERFORMANCE_DEGRADED, Urgency.URGENT)
    assert letter.decision.event_time == times[2]
    assert letter.state == "recorded"
    assert value("decisions_total", model="fraud", version="1", action="retrain", trigger="performance_degraded") == 1


def test_the_same_rows_give_the_same_decision(desk: Callable[..., Desk], serve: Serve, database: Database) -> None:
    serve(10_000, START)
    serve(10_000, START + 10_000 * MINUTE, flipped=0.3)
    times = [START + 15_000 * MINUTE + hour * HOUR for hour in range(4)]
    ids = []
    for _ in range(2):
        one = desk(**OFTEN, performance={"window": "1d"})
        one.review(*times)
        ids.append([letter.decision.id for letter in one.decided()])
        database.write(lambda c: [c.execute(f"DELETE FROM {table}") for table in ("decisions", "verdicts")]).result()
    assert ids[0] == ids[1] != []


def test_a_restart_goes_on_with_the_episode(desk: Callable[..., Desk], serve: Serve) -> None:
    serve(10_000, START)
    serve(10_000, START + 10_000 * MINUTE, flipped=0.3)
    times = [START + 15_000 * MINUTE + hour * HOUR for hour in range(3)]
    options: dict[str, Any] = OFTEN | {"performance": {"window": "1d"}}

    levels = [desk(**options).review(time)[0][1] for time in times]

    assert levels == [OK, OK, CRITICAL]


def test_past_the_emergency_value_at_once(desk: Callable[..., Desk], serve: Serve) -> None:
    serve(10_000, START, flipped=0.5)
    one = desk(**OFTEN, performance={"window": "1d", "metric": "accuracy", "minimum": 0.8, "emergency": 0.7})
    assert one.review(START + 9_000 * MINUTE)[0][1] is CRITICAL
    [letter] = one.decided()
    assert letter.decision.urgency is Urgency.EMERGENCY


def drifting(desk: Callable[..., Desk], serve: Serve, delay: int | None) -> Desk:
    """A desk that looks on once a block: rows of `x` move far from where they were."""
    serve(4000, START, step=STEP, delay=delay)
    serve(1000, START + 4000 * STEP, step=STEP, shift=3.0, delay=delay)
    one = desk(**DENSE)
    change = START + 4000 * STEP
    drift = [level for level, _ in one.review(*(START + i * BLOCK for i in range(120, 4900 * STEP // BLOCK)))]
    opened = START + (120 + drift.index(CRITICAL)) * BLOCK
    assert change + 7 * BLOCK <= opened <= change + 2 * 10 * BLOCK  # eight blocks of nine, within two windows
    assert set(drift[: drift.index(CRITICAL)]) == {OK}
    return one


def test_drift_alone_retrains_only_what_has_no_labels(desk: Callable[..., Desk], serve: Serve) -> None:
    [letter] = drifting(desk, serve, None).decided()
    assert letter.decision.trigger is Trigger.DATA_DRIFT
    assert letter.decision.reason.startswith("x: ")


def test_drift_beside_labels_only_notifies(desk: Callable[..., Desk], serve: Serve) -> None:
    assert drifting(desk, serve, HOUR).decided() == []


@pytest.mark.parametrize(("mode", "decided"), [("observe", 0), ("advise", 1), ("act", 1)])
def test_modes(desk: Callable[..., Desk], serve: Serve, mode: str, decided: int) -> None:
    serve(500, START)
    one = desk(mode=mode, retrain={"new_rows": 400})
    one.review(START + 500 * MINUTE)
    assert [letter.decision.mode for letter in one.decided()] == [mode] * decided


def test_scheduled_once_a_week_by_the_name_of_the_day(desk: Callable[..., Desk], serve: Serve) -> None:
    serve(20 * 24, START, step=HOUR)
    one = desk(**OFTEN, retrain={"schedule": "0 3 * * mon", "cooldown": "1h"})
    one.review(*(START + hour * HOUR for hour in range(1, 20 * 24, 6)))

    letters = one.decided()
    assert {letter.decision.trigger for letter in letters} == {Trigger.SCHEDULED}
    times = [(letter.decision.event_time - START) // HOUR for letter in letters]
    assert times == [2 * 24 + 7, 9 * 24 + 7, 16 * 24 + 7]  # the first review after Monday, three o'clock


def test_new_rows_are_counted_from_the_last_retraining(desk: Callable[..., Desk], serve: Serve) -> None:
    serve(100 * 24, START, step=HOUR)
    one = desk(**OFTEN, retrain={"new_rows": 1000, "cooldown": "1h"})
    one.review(*(START + hour * HOUR for hour in range(1, 100 * 24, 100)))
    times = [(letter.decision.event_time - START) // HOUR for letter in one.decided()]
    assert times == [1001, 2001]


def test_reviews_at_once_count_rows_once_and_decide_once(desk: Callable[..., Desk], serve: Serve) -> None:
    serve(4000, START)
    one = desk(**OFTEN, retrain={"new_rows": 100})

    said = one.at_once(START + 4000 * MINUTE, 5)

    assert [review and review.drift.rows for review in said] == [1440] * 5
    assert len(one.decided()) == 1


def test_a_broken_reference_is_an_error_and_never_silence(
    desk: Callable[..., Desk], serve: Serve, tmp_path: Path, value: Callable[..., float]
) -> None:
    serve(3000, START)
    path = tmp_path / "fraud.reference"
    path.write_bytes(b"not a reference")
    one = desk(**OFTEN, reference={"file": str(path)}, performance={"metric": "accuracy", "minimum": 0.1})
    end = START + 3000 * MINUTE

    [(drift, performance)] = one.review(end)
    assert drift is Level.ERROR
    assert performance is UNKNOWN  # it has no losses to compare with
    assert value("checks_total", model="fraud", version="1", check="drift", level="ERROR") == 1

    build_reference("fraud", "1", Rows({("feature", "x"): np.random.default_rng(0).normal(size=3000)})).save(path)
    assert one.review(end)[0][0] is OK


@pytest.mark.parametrize(
    ("check", "culprit"),
    [
        ("drift", "tenure_agent.track.check_drift"),
        ("performance", "tenure_agent.checks.performance.check_performance"),
        ("performance", "tenure_agent.losses.profile_losses"),
    ],
)
def test_a_check_that_fails_says_so_and_the_other_goes_on(
    desk: Callable[..., Desk], serve: Serve, monkeypatch: pytest.MonkeyPatch, check: str, culprit: str
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("on purpose")

    monkeypatch.setattr(culprit, fail)
    serve(20_000, START)
    one = desk(**OFTEN)
    [levels] = one.review(START + 20_000 * MINUTE)
    assert sorted(levels) == [Level.ERROR, OK]
    [said] = [row for row in one.database.read(verdicts.newest).result() if row["level"] == "ERROR"]
    assert (said["check"], said["reason"]) == (check, "the check failed: ZeroDivisionError, see the agent's log")


def test_a_fast_stream_is_judged_over_its_whole_window(desk: Callable[..., Desk], serve: Serve) -> None:
    # 40,000 labels in a window: the newest 16,000 do not span it.
    step = DAY // 20_000
    serve(40_000, START, step=step)
    serve(40_000, START + 2 * DAY, step=step, flipped=0.3)
    one = desk(**OFTEN, performance={"window": "2d"})

    [(_, performance)] = one.review(START + 1 * DAY + HOUR)
    assert performance is UNKNOWN
    assert [level for _, level in one.review(*(START + 4 * DAY + i * HOUR for i in range(3)))] == [OK, OK, CRITICAL]


def test_a_new_version_is_judged_by_itself(desk: Callable[..., Desk], serve: Serve, batch: Batch, put: Put) -> None:
    serve(3000, START)
    put(batch({"x": [0.0] * 50}, version="2", start=START + 3000 * MINUTE, step=MINUTE))
    one = desk(**OFTEN)

    def version(now: int) -> str:
        [review] = one.at_once(now, 1)
        assert review is not None
        return review.drift.version

    assert version(START + 3000 * MINUTE) == "1"
    assert version(START + 3001 * MINUTE) == "2"
