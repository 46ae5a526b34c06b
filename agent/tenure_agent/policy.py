"""Verdicts to decisions: pure. Drift notifies, consequence acts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from tenure_agent.records import SURPRISE, Action, Decision, Level, Reading, Trigger, Urgency, Verdict

ALARMING = frozenset({Level.WARNING, Level.CRITICAL})
NAMED = 3  # columns in a sentence


@dataclass(frozen=True, slots=True)
class Situation:
    """What the policy looks at for one model version at one time.

    Parameters
    ----------
    drift, performance
        The verdicts people see now, after episodes.
    labels
        Labelled predictions at hand: a model without labels may be retrained on drift alone.
    schedule_due, new_rows_due
        A scheduled retraining has come due; as many new rows as asked for have come since the last one.
    emergency
        The metric is past its emergency value.
    open_retrain
        A retraining of this version was decided and its cause has not ended yet, or ended less than a cool-down ago.
    """

    model: str
    version: str
    now: int
    mode: str
    drift: Verdict
    performance: Verdict
    labels: int
    schedule_due: bool = False
    new_rows_due: bool = False
    new_rows: int = 0
    emergency: bool = False
    open_retrain: bool = False


def decide(situation: Situation) -> Decision | None:
    """At most one decision: the gravest reason to retrain, if any and if none is open."""
    s = situation
    if s.mode == "observe" or s.open_retrain:
        return None
    if s.performance.level is Level.CRITICAL:
        urgency = Urgency.EMERGENCY if s.emergency else Urgency.URGENT
        return _retrain(s, Trigger.PERFORMANCE_DEGRADED, urgency, _cause(s))
    if s.drift.level is Level.CRITICAL and not s.labels:
        reason = f"{s.drift.reason}, and there are no labels to tell whether it does harm."
        return _retrain(s, Trigger.DATA_DRIFT, Urgency.URGENT, reason)
    if s.schedule_due:
        return _retrain(s, Trigger.SCHEDULED, Urgency.ROUTINE, "The scheduled retraining is due.")
    if s.new_rows_due:
        reason = f"{s.new_rows:,} new rows have come since the last retraining."
        return _retrain(s, Trigger.NEW_DATA_VOLUME, Urgency.ROUTINE, reason)
    return None


def _cause(s: Situation) -> str:
    moved = _moved(s.drift)
    if not moved:
        return f"{_capital(s.performance.reason)}; no input moved enough to explain it."
    if s.drift.level in ALARMING:
        return f"{_capital(s.performance.reason)}; meanwhile {s.drift.reason}."
    columns = list(dict.fromkeys(reading.column for reading in moved))
    more = f" and {len(columns) - NAMED} more" if len(columns) > NAMED else ""
    return f"{_capital(s.performance.reason)}; meanwhile {', '.join(columns[:NAMED])}{more} moved."


def _moved(drift: Verdict) -> list[Reading]:
    """What surprised, the most surprising first."""
    alarming = [reading for reading in drift.readings if reading.level in ALARMING]
    return sorted(alarming, key=lambda r: (r.detector != SURPRISE, -r.statistic / max(r.threshold, 1e-9)))


def _retrain(s: Situation, trigger: Trigger, urgency: Urgency, reason: str) -> Decision:
    moved = [_evidence(reading) for reading in _moved(s.drift)]
    # JSON has no NaN, and receivers need not be Python.
    measures = {name: value for name, value in s.performance.measures.items() if math.isfinite(value)}
    evidence: Mapping[str, object] = {
        "performance": {"level": s.performance.level, "measures": measures},
        "drift": {"level": s.drift.level, "readings": moved, "columns": list(s.drift.evidence)},
        "labels": s.labels,
    }
    return Decision(s.model, s.version, Action.RETRAIN, trigger, urgency, reason, s.now, s.mode, evidence)


def _evidence(reading: Reading) -> dict[str, object]:
    return {"column": reading.column, "detector": reading.detector, "statistic": round(reading.statistic, 4)}


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
