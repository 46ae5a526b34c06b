"""The policy as a table: which situation leads to which decision."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from tenure_agent.policy import Situation, decide
from tenure_agent.records import SURPRISE, Action, Decision, Level, Reading, Trigger, Urgency, Verdict, Window

Histogram = Mapping[str, Sequence[str | float]]
NOW = 1_700_000_000_000_000
WINDOW = Window(NOW - 3_600_000_000, NOW)


def verdict(check: str, level: Level, *, reason: str = "", readings: tuple[Reading, ...] = ()) -> Verdict:
    return Verdict("fraud", "3", check, level, reason or f"{check} says so", WINDOW, 1000, readings, {"f1": 0.5})


def situation(
    *,
    drift: Level = Level.OK,
    performance: Level = Level.OK,
    labels: int = 1000,
    mode: str = "act",
    schedule: bool = False,
    volume: bool = False,
    emergency: bool = False,
    open_: bool = False,
) -> Situation:
    return Situation(
        "fraud",
        "3",
        NOW,
        mode,
        verdict("drift", drift),
        verdict("performance", performance),
        labels,
        schedule_due=schedule,
        new_rows_due=volume,
        new_rows=1_234_567,
        emergency=emergency,
        open_retrain=open_,
    )


CRITICAL, WARNING, OK = Level.CRITICAL, Level.WARNING, Level.OK
UNKNOWN, ERROR = Level.INSUFFICIENT_DATA, Level.ERROR


@pytest.mark.parametrize(
    ("case", "trigger", "urgency"),
    [
        # consequence acts
        (situation(performance=CRITICAL), Trigger.PERFORMANCE_DEGRADED, Urgency.URGENT),
        (situation(performance=CRITICAL, emergency=True), Trigger.PERFORMANCE_DEGRADED, Urgency.EMERGENCY),
        (situation(performance=CRITICAL, drift=CRITICAL), Trigger.PERFORMANCE_DEGRADED, Urgency.URGENT),
        (situation(performance=CRITICAL, schedule=True, volume=True), Trigger.PERFORMANCE_DEGRADED, Urgency.URGENT),
        # drift notifies, and acts only where there are no labels
        (situation(drift=CRITICAL, labels=0), Trigger.DATA_DRIFT, Urgency.URGENT),
        (situation(drift=CRITICAL, labels=0, performance=UNKNOWN), Trigger.DATA_DRIFT, Urgency.URGENT),
        (situation(drift=CRITICAL, labels=0, schedule=True), Trigger.DATA_DRIFT, Urgency.URGENT),
        # the calendar and the volume
        (situation(schedule=True), Trigger.SCHEDULED, Urgency.ROUTINE),
        (situation(schedule=True, volume=True), Trigger.SCHEDULED, Urgency.ROUTINE),
        (situation(volume=True), Trigger.NEW_DATA_VOLUME, Urgency.ROUTINE),
        (situation(drift=CRITICAL, labels=1, schedule=True), Trigger.SCHEDULED, Urgency.ROUTINE),
        (situation(performance=ERROR, drift=ERROR, schedule=True), Trigger.SCHEDULED, Urgency.ROUTINE),
    ],
)
def test_retrains(case: Situation, trigger: Trigger, urgency: Urgency) -> None:
    decision = decide(case)
    assert decision is not None
    assert (decision.action, decision.trigger, decision.urgency) == (Action.RETRAIN, trigger, urgency)
    assert (decision.model, decision.version, decision.mode, decision.event_time) == ("fraud", "3", "act", NOW)


@pytest.mark.parametrize(
    "case",
    [
        situation(),
        situation(drift=CRITICAL),
        situation(drift=CRITICAL, labels=1),
        situation(drift=WARNING, labels=0),
        situation(performance=WARNING, drift=WARNING),
        situation(performance=UNKNOWN, drift=UNKNOWN, labels=0),
        situation(performance=ERROR, drift=ERROR, labels=0),
        situation(emergency=True),
        # one open decision per model and action
        situation(performance=CRITICAL, open_=True),
        situation(drift=CRITICAL, labels=0, open_=True),
        situation(schedule=True, volume=True, open_=True),
        # observe only looks
        situation(performance=CRITICAL, emergency=True, mode="observe"),
        situation(schedule=True, volume=True, mode="observe"),
    ],
)
def test_does_nothing(case: Situation) -> None:
    assert decide(case) is None


@pytest.mark.parametrize("mode", ["advise", "act"])
def test_mode_travels_with_the_decision(mode: str) -> None:
    decision = decide(situation(performance=CRITICAL, mode=mode))
    assert decision is not None
    assert decision.mode == mode


def reading(column: str, statistic: float, level: Level) -> Reading:
    return Reading(column, "ks", statistic, 1e-9, 0.1, 1000, level)


def performance_case(*readings: Reading, level: Level) -> Situation:
    return replace(situation(performance=CRITICAL), drift=verdict("drift", level, readings=readings))


def reason_of(case: Situation) -> str:
    decision = decide(case)
    assert decision is not None
    return decision.reason


def test_reason_names_what_moved_most_first() -> None:
    moved = reading("amount", 0.3, WARNING), reading("country", 0.6, CRITICAL), reading("hour", 0.01, OK)
    reason = reason_of(performance_case(*moved, level=OK))
    assert reason == "Performance says so; meanwhile country, amount moved."


@pytest.mark.parametrize("level", [WARNING, CRITICAL])
def test_reason_takes_over_what_an_open_episode_says(level: Level) -> None:
    reason = reason_of(performance_case(reading("amount", 0.3, level), level=level))
    assert reason == "Performance says so; meanwhile drift says so."


@pytest.mark.parametrize(("columns", "told"), [(3, "c0, c1, c2 moved."), (5, "c0, c1, c2 and 2 more moved.")])
def test_reason_names_three_columns_each_once_by_how_far_they_surprise(columns: int, told: str) -> None:
    moved = []
    for i in reversed(range(columns)):
        moved.append(reading(f"c{i}", 0.9, WARNING))
        # of two that moved as far, more surprising is what moves less by itself
        moved.append(Reading(f"c{i}", SURPRISE, 0.4, None, 0.1 + i / 100, 1000, WARNING))
    case = performance_case(*moved, level=OK)
    assert reason_of(case) == f"Performance says so; meanwhile {told}"
    decision = decide(case)
    assert decision is not None
    told_of = [(one["column"], one["detector"]) for one in decision.evidence["drift"]["readings"]]
    assert told_of[:columns] == [(f"c{i}", SURPRISE) for i in range(columns)]
    assert sorted(told_of[columns:]) == [(f"c{i}", "ks") for i in range(columns)]


@pytest.mark.parametrize("level", [OK, UNKNOWN, ERROR])
@pytest.mark.parametrize("own", [OK, UNKNOWN, ERROR])
def test_reason_says_when_nothing_explains_it(level: Level, own: Level) -> None:
    reason = reason_of(performance_case(reading("amount", 0.3, own), level=level))
    assert reason == "Performance says so; no input moved enough to explain it."


def test_evidence_names_the_columns_of_a_verdicts_histograms() -> None:
    case = performance_case(reading("amount", 0.3, CRITICAL), level=CRITICAL)
    histogram: Histogram = {"bins": ["exactly 0", "missing"], "reference": [0.4, 0.6], "window": [1.0, 0.0]}
    decision = decide(replace(case, drift=replace(case.drift, evidence={"amount": histogram})))
    assert decision is not None
    assert decision.evidence["drift"]["columns"] == ["amount"]
    assert "exactly 0" not in json.dumps(decision.evidence)


def test_reasons_of_the_others() -> None:
    assert "no labels to tell whether it does harm" in reason_of(situation(drift=CRITICAL, labels=0))
    assert reason_of(situation(schedule=True)) == "The scheduled retraining is due."
    assert reason_of(situation(volume=True)) == "1,234,567 new rows have come since the last retraining."


def test_evidence_is_json_that_any_parser_reads() -> None:
    undefined = replace(verdict("performance", UNKNOWN), measures={"auc_roc": float("nan"), "brier": 0.25})
    case = replace(situation(schedule=True), performance=undefined)
    case = replace(case, drift=verdict("drift", WARNING, readings=(reading("amount", 0.30004, WARNING),)))
    decision = decide(case)
    assert decision is not None

    evidence = json.loads(json.dumps(decision.evidence, allow_nan=False))

    assert evidence["performance"] == {"level": "INSUFFICIENT_DATA", "measures": {"brier": 0.25}}
    assert evidence["drift"]["readings"] == [{"column": "amount", "detector": "ks", "statistic": 0.3}]
    assert evidence["labels"] == 1000


def decision(**changes: object) -> Decision:
    made = Decision("fraud", "3", Action.RETRAIN, Trigger.SCHEDULED, Urgency.ROUTINE, "because", NOW)
    return replace(made, **changes)  # type: ignore[arg-type]


def test_id_is_that_of_the_cause() -> None:
    assert decision().id == "dec_04a4dd101a4ef572d517af89"
    assert decision().id == decision(reason="otherwise put", urgency=Urgency.URGENT, mode="act", evidence={"a": 1}).id
    different = [
        decision(),
        decision(model="other"),
        decision(version="4"),
        decision(action=Action.ROLLBACK),
        decision(trigger=Trigger.MANUAL),
        decision(event_time=NOW + 1),
        decision(model="fraud\x003", version=""),
    ]
    assert len({made.id for made in different}) == len(different)
