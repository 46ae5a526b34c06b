"""One version: the seed's table, the rollback hold, and what a step needs."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tenure.errors import SettingError, TenureError
from tenure.lifecycle import ALLOWED_TRANSITIONS, ModelVersion, Stage, Transition, TransitionRefused

NOW = datetime(2024, 6, 17, 9, tzinfo=UTC)
DAY = timedelta(days=1)

SEED = {
    "experimenting": {"evaluated"},
    "evaluated": {"shadow", "experimenting"},
    "shadow": {"staging", "experimenting"},
    "staging": {"production", "experimenting"},
    "production": {"retraining", "deprecated"},
    "retraining": {"evaluated"},
    "deprecated": {"retired"},
    "retired": set[str](),
}
ROLLBACK = ("deprecated", "production")


def at(stage: Stage, created_at: datetime = NOW) -> ModelVersion:
    return ModelVersion("fraud_detector", "3.2.1", stage, created_at=created_at)


def step(version: ModelVersion, target: Stage, now: datetime = NOW) -> ModelVersion:
    return version.transition(target, actor="ci", reason="all metrics above threshold", now=now)


def test_table_is_the_seeds_and_one_edge_more() -> None:
    ours = {(source.value, target.value) for source, targets in ALLOWED_TRANSITIONS.items() for target in targets}
    seeds = {(source, target) for source, targets in SEED.items() for target in targets}

    assert ours == seeds | {ROLLBACK}
    assert [stage.value for stage in Stage] == list(SEED) == [stage.value for stage in ALLOWED_TRANSITIONS]


@pytest.mark.parametrize("target", Stage)
@pytest.mark.parametrize("source", Stage)
def test_every_pair_of_stages(source: Stage, target: Stage) -> None:
    before = at(source)

    if target.value in SEED[source.value] or (source, target) == ROLLBACK:
        after = step(before, target, NOW + DAY)
        assert after.stage is target
        assert after.log == (Transition(source, target, "ci", "all metrics above threshold", NOW + DAY),)
    else:
        with pytest.raises(TransitionRefused):
            step(before, target, NOW + DAY)
    assert before == at(source)


def test_the_seeds_own_journey() -> None:
    version = replace(at(Stage.EXPERIMENTING), metrics={"precision": 0.912, "recall": 0.887, "auc_roc": 0.951})
    for target in (Stage.EVALUATED, Stage.SHADOW, Stage.STAGING, Stage.PRODUCTION):
        version = step(version, target)

    assert [entry.target.value for entry in version.log] == ["evaluated", "shadow", "staging", "production"]
    assert version.metrics["precision"] == 0.912


REFUSALS = [
    (Stage.EVALUATED, Stage.PRODUCTION, "(allowed: experimenting, shadow)", "Try: experimenting or shadow."),
    (Stage.PRODUCTION, Stage.SHADOW, "(allowed: retraining, deprecated)", "Try: retraining or deprecated."),
    (Stage.RETIRED, Stage.PRODUCTION, "(allowed: none)", "Try: a new version."),
    (Stage.SHADOW, Stage.SHADOW, "(allowed: experimenting, staging)", "Try: experimenting or staging."),
]


@pytest.mark.parametrize(("source", "target", "allowed", "remedy"), REFUSALS)
def test_refusal_names_the_step_and_a_way_out(source: Stage, target: Stage, allowed: str, remedy: str) -> None:
    with pytest.raises(TenureError) as refusal:
        step(at(source), target)

    assert str(refusal.value) == (
        f"fraud_detector 3.2.1 may not go from {source} to {target} {allowed}: target {target} is not allowed. {remedy}"
    )


HOLD = [
    (timedelta(0), True),
    (7 * DAY, True),
    (7 * DAY + timedelta(microseconds=1), False),
    (365 * DAY, False),
]


@pytest.mark.parametrize(("waited", "open_"), HOLD)
def test_way_back_to_production_is_open_for_seven_days(waited: timedelta, open_: bool) -> None:
    former = step(at(Stage.PRODUCTION), Stage.DEPRECATED, NOW + 30 * DAY)

    if open_:
        assert step(former, Stage.PRODUCTION, NOW + 30 * DAY + waited).stage is Stage.PRODUCTION
    else:
        with pytest.raises(TransitionRefused, match=r"\(allowed: retired\): .* 7-day rollback hold\. Try: retired"):
            step(former, Stage.PRODUCTION, NOW + 30 * DAY + waited)
    assert step(former, Stage.RETIRED, NOW + 30 * DAY + waited).stage is Stage.RETIRED


def test_hold_of_a_version_adopted_as_deprecated_counts_from_its_creation() -> None:
    with pytest.raises(TransitionRefused, match="7-day rollback hold"):
        step(at(Stage.DEPRECATED), Stage.PRODUCTION, NOW + 8 * DAY)


NAIVE = datetime(2024, 6, 18)  # noqa: DTZ001 - the fault under test
FAULTS = [
    ("", "a reason", NOW, "actor '' is blank. Try: "),
    (" \t\n", "a reason", NOW, "is blank. Try: "),
    ("ci", "", NOW, "reason '' is blank. Try: "),
    ("ci", "  ", NOW, "reason '  ' is blank. Try: "),
    ("ci", "a reason", NAIVE, "time 2024-06-18T00:00:00 has no zone. Try: "),
    ("ci", "a reason", NOW - timedelta(microseconds=1), "is before 2024-06-17T09:00:00+00:00. Try: "),
]


@pytest.mark.parametrize(("actor", "reason", "now", "fault"), FAULTS)
@pytest.mark.parametrize("edge", [(Stage.EXPERIMENTING, Stage.EVALUATED), (Stage.DEPRECATED, Stage.PRODUCTION)])
def test_step_without_actor_reason_or_time(
    edge: tuple[Stage, Stage], actor: str, reason: str, now: datetime, fault: str
) -> None:
    with pytest.raises(TransitionRefused) as refusal:
        at(edge[0]).transition(edge[1], actor=actor, reason=reason, now=now)

    assert fault in str(refusal.value)
    assert "target" not in str(refusal.value)


def test_refusal_names_every_fault_at_once() -> None:
    with pytest.raises(TransitionRefused) as refusal:
        at(Stage.SHADOW).transition(Stage.RETIRED, actor="", reason="", now=NAIVE)

    assert str(refusal.value).count("Try: ") == 4


def test_times_of_one_zone_compare_as_instants_when_the_clock_goes_back() -> None:
    amsterdam = ZoneInfo("Europe/Amsterdam")
    summer = datetime(2024, 10, 27, 2, 50, tzinfo=amsterdam)
    twenty_minutes_on = datetime(2024, 10, 27, 2, 10, fold=1, tzinfo=amsterdam)

    assert step(at(Stage.EXPERIMENTING, summer), Stage.EVALUATED, twenty_minutes_on).stage is Stage.EVALUATED
    with pytest.raises(TransitionRefused, match="is before"):
        step(at(Stage.EXPERIMENTING, twenty_minutes_on), Stage.EVALUATED, summer)


def test_log_that_could_not_have_happened() -> None:
    evaluated = step(at(Stage.EXPERIMENTING), Stage.EVALUATED)
    torn = Transition(Stage.STAGING, Stage.PRODUCTION, "ci", "a hole in the log", NOW)

    with pytest.raises(TransitionRefused, match="source staging is not where the log stood, evaluated"):
        replace(evaluated, stage=Stage.PRODUCTION, log=(*evaluated.log, torn))
    with pytest.raises(SettingError, match=r"stage: 'production' cannot be used. Try: evaluated"):
        replace(evaluated, stage=Stage.PRODUCTION)


def test_created_at_needs_a_zone() -> None:
    with pytest.raises(SettingError, match=r"created_at: .*Try: "):
        at(Stage.EXPERIMENTING, NAIVE)


def test_version_is_a_value() -> None:
    metrics = {"precision": 0.912}
    version = ModelVersion("fraud_detector", "3.2.1", created_at=NOW, metrics=metrics)
    metrics["precision"] = 0.0

    assert version.metrics == {"precision": 0.912}
    assert hash(version) == hash(replace(version))
