"""Several versions of one model: retrain, promotion, rollback, failure."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from tenure.lifecycle import (
    Lineage,
    ModelVersion,
    Stage,
    TransitionRefused,
    close,
    promote,
    roll_back,
    successor,
)

NOW = datetime(2024, 6, 17, 9, tzinfo=UTC)
DAY = timedelta(days=1)


def at(stage: Stage, version: str = "1", model: str = "fraud") -> ModelVersion:
    return ModelVersion(model, version, stage, created_at=NOW)


def test_successor_is_born_retraining_while_its_parent_serves() -> None:
    parent = at(Stage.PRODUCTION)

    born = successor(parent, "2", actor="agent", reason="precision below 0.88", now=NOW + DAY)

    assert (born.model, born.version, born.parent, born.stage) == ("fraud", "2", "1", Stage.RETRAINING)
    assert (born.created_at, born.log[0].time, born.log[0].actor) == (NOW + DAY, NOW + DAY, "agent")
    assert parent == at(Stage.PRODUCTION)


@pytest.mark.parametrize("stage", [stage for stage in Stage if stage is not Stage.PRODUCTION])
def test_only_a_version_in_production_has_a_successor(stage: Stage) -> None:
    with pytest.raises(TransitionRefused, match=f"fraud 1 may not go from {stage} to retraining"):
        successor(at(stage), "2", actor="agent", reason="drift", now=NOW)


@pytest.mark.parametrize("version", ["", "  ", "1"])
def test_successor_needs_a_name_of_its_own(version: str) -> None:
    with pytest.raises(TransitionRefused, match=r"cannot succeed fraud 1\. Try: a new name"):
        successor(at(Stage.PRODUCTION), version, actor="agent", reason="drift", now=NOW)


def test_successor_is_not_born_before_its_parent() -> None:
    with pytest.raises(TransitionRefused, match="is before"):
        successor(at(Stage.PRODUCTION), "2", actor="agent", reason="drift", now=NOW - DAY)


def test_promotion_and_rollback_move_two_versions() -> None:
    new, old = promote(at(Stage.STAGING, "2"), at(Stage.PRODUCTION), actor="lead", reason="canary held", now=NOW)
    assert (new.version, new.stage, old.version, old.stage) == ("2", Stage.PRODUCTION, "1", Stage.DEPRECATED)

    old, new = roll_back(old, new, actor="agent", reason="errors doubled", now=NOW + 7 * DAY)
    assert (new.stage, old.stage) == (Stage.DEPRECATED, Stage.PRODUCTION)

    with pytest.raises(TransitionRefused, match="7-day rollback hold"):
        roll_back(new, old, actor="agent", reason="too late", now=NOW + 15 * DAY)


Handover = Callable[[ModelVersion, ModelVersion], object]


def promoted(incoming: ModelVersion, outgoing: ModelVersion) -> object:
    return promote(incoming, outgoing, actor="lead", reason="canary held", now=NOW)


def rolled_back(incoming: ModelVersion, outgoing: ModelVersion) -> object:
    return roll_back(incoming, outgoing, actor="agent", reason="errors doubled", now=NOW)


HANDOVERS = [
    (promoted, at(Stage.SHADOW, "2"), at(Stage.PRODUCTION), "fraud 2 may not go from shadow to production"),
    (promoted, at(Stage.STAGING, "2"), at(Stage.RETIRED), "fraud 1 may not go from retired to deprecated"),
    (promoted, at(Stage.STAGING, "2"), at(Stage.PRODUCTION, model="churn"), "fraud cannot replace churn"),
    (promoted, at(Stage.DEPRECATED, "2"), at(Stage.PRODUCTION), "Try: roll_back"),
    (rolled_back, at(Stage.STAGING, "2"), at(Stage.PRODUCTION), "Try: promote"),
    (rolled_back, at(Stage.DEPRECATED, "2"), at(Stage.STAGING), "fraud 1 may not go from staging to deprecated"),
]


@pytest.mark.parametrize(("handover", "incoming", "outgoing", "fault"), HANDOVERS)
def test_refused_handovers(handover: Handover, incoming: ModelVersion, outgoing: ModelVersion, fault: str) -> None:
    with pytest.raises(TransitionRefused, match=fault):
        handover(incoming, outgoing)


@pytest.mark.parametrize("stage", Stage)
def test_a_failure_is_closed_where_the_table_sends_failures(stage: Stage) -> None:
    if stage in {Stage.RETRAINING, Stage.EVALUATED, Stage.SHADOW, Stage.STAGING}:
        closed = close(at(stage), actor="ci", reason="precision: 0.8700 < required 0.88", now=NOW)
        path = [Stage.EVALUATED, Stage.EXPERIMENTING] if stage is Stage.RETRAINING else [Stage.EXPERIMENTING]
        assert [entry.target for entry in closed.log] == path
    else:
        with pytest.raises(TransitionRefused):
            close(at(stage), actor="ci", reason="failed", now=NOW)


LINEAGES = [
    ((at(Stage.PRODUCTION), at(Stage.PRODUCTION, "2")), "1 and 2 of fraud are both in production. Try: "),
    ((at(Stage.SHADOW), at(Stage.STAGING)), "1 of fraud is there twice. Try: "),
    ((at(Stage.SHADOW), at(Stage.SHADOW, "2", "churn")), "churn and fraud share a lineage. Try: "),
]


@pytest.mark.parametrize(("versions", "fault"), LINEAGES)
def test_what_is_no_lineage(versions: tuple[ModelVersion, ...], fault: str) -> None:
    with pytest.raises(TransitionRefused, match=fault):
        Lineage(versions)


def test_history_only_grows() -> None:
    known = close(at(Stage.SHADOW), actor="ci", reason="disagrees", now=NOW)
    lineage = Lineage((known, at(Stage.PRODUCTION, "2")))
    newborn = successor(at(Stage.PRODUCTION, "2"), "1", actor="agent", reason="a name taken", now=NOW + DAY)

    for other in (at(Stage.SHADOW), newborn):
        with pytest.raises(TransitionRefused, match=r"1 of fraud has another history\. Try: "):
            lineage.put(other)
    with pytest.raises(TransitionRefused, match="3 of fraud is there twice"):
        lineage.put(at(Stage.SHADOW, "3"), at(Stage.STAGING, "3"))
    assert lineage.put(known) == lineage
