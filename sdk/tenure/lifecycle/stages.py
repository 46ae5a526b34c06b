"""The life of one model version: eight stages, the steps allowed between them, and who took each step and why."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Self

from tenure.errors import SettingError, TenureError


class Stage(StrEnum):
    """Where a model version stands. Its answers are used in STAGING (the canary) and PRODUCTION only."""

    EXPERIMENTING = "experimenting"
    EVALUATED = "evaluated"
    SHADOW = "shadow"
    STAGING = "staging"
    PRODUCTION = "production"
    RETRAINING = "retraining"
    DEPRECATED = "deprecated"
    RETIRED = "retired"


ALLOWED_TRANSITIONS: Final[Mapping[Stage, frozenset[Stage]]] = MappingProxyType(
    {
        Stage.EXPERIMENTING: frozenset({Stage.EVALUATED}),
        Stage.EVALUATED: frozenset({Stage.SHADOW, Stage.EXPERIMENTING}),
        Stage.SHADOW: frozenset({Stage.STAGING, Stage.EXPERIMENTING}),
        Stage.STAGING: frozenset({Stage.PRODUCTION, Stage.EXPERIMENTING}),
        Stage.PRODUCTION: frozenset({Stage.RETRAINING, Stage.DEPRECATED}),
        Stage.RETRAINING: frozenset({Stage.EVALUATED}),
        # PRODUCTION is the rollback to a former champion: open for ROLLBACK_HOLD, shut after it.
        Stage.DEPRECATED: frozenset({Stage.RETIRED, Stage.PRODUCTION}),
        Stage.RETIRED: frozenset(),
    }
)
ROLLBACK_HOLD: Final = timedelta(days=7)


class TransitionRefused(TenureError):
    """A lifecycle step that is not allowed: names the version, the step, every fault in it and a way out."""


@dataclass(frozen=True, slots=True)
class Transition:
    """One step of one version: from `source` to `target`, by `actor`, because of `reason`, at an aware `time`."""

    source: Stage
    target: Stage
    actor: str
    reason: str
    time: datetime


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One version of one model, and every step it has taken.

    Parameters
    ----------
    model, version
        Names, as the serving process reports them.
    stage
        Where the version stands: where its log ends or, with an empty log, where it was born or adopted.
    parent
        The version this one was retrained from.
    created_at
        An aware datetime; no step may be earlier.
    metrics
        What its evaluation measured; set with ``dataclasses.replace(version, metrics={...})``.
    log
        Its steps, oldest first: a path the table allows.

    Raises
    ------
    SettingError
        `created_at` is naive, or `stage` is not where the log ends.
    TransitionRefused
        The log holds a step that could not have happened.

    Examples
    --------
    >>> monday = datetime(2024, 6, 17, 9, tzinfo=UTC)
    >>> born = ModelVersion("fraud_detector", "3.2.1", created_at=monday)
    >>> born.transition(Stage.EVALUATED, actor="ci", reason="all metrics above threshold", now=monday).stage.value
    'evaluated'
    >>> try:
    ...     born.transition(Stage.PRODUCTION, actor="ci", reason="just this once, a deadline", now=monday)
    ... except TransitionRefused as refusal:
    ...     print(refusal)
    fraud_detector 3.2.1 may not go from experimenting to production (allowed: evaluated): target production is not allowed. Try: evaluated.
    """

    model: str
    version: str
    stage: Stage = Stage.EXPERIMENTING
    parent: str | None = None
    created_at: datetime = field(kw_only=True)
    metrics: Mapping[str, float] = field(default_factory=dict, hash=False)
    log: tuple[Transition, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "metrics", dict(self.metrics))  # the caller's own dict may go on changing
        if self.created_at.utcoffset() is None:
            raise SettingError("created_at", self.created_at.isoformat(), "a time with a zone, as datetime.now(tz=UTC)")
        stage, since = self.log[0].source if self.log else self.stage, self.created_at
        for step in self.log:
            allowed = _allowed(stage, since, step.time)
            if faults := " ".join(_faults(step, stage, since, allowed)):
                raise TransitionRefused(
                    f"{self.model} {self.version} may not go from {step.source} to {step.target} "
                    f"(allowed: {', '.join(allowed) or 'none'}): {faults}"
                )
            stage, since = step.target, step.time
        if stage != self.stage:
            raise SettingError("stage", self.stage.value, f"{stage.value}, where the log of {self.version} ends")

    def transition(self, target: Stage, *, actor: str, reason: str, now: datetime) -> Self:
        """Give this version one step further on; this one stays as it is.

        Parameters
        ----------
        target
            A stage that `ALLOWED_TRANSITIONS` holds for the present one. Gates are the caller's to judge first.
        actor, reason
            Who takes the step, and why; neither may be blank.
        now
            The time of the step, aware, not before the step before it.

        Raises
        ------
        TransitionRefused
            Anything above does not hold, or a rollback comes after `ROLLBACK_HOLD`.
        """
        step = Transition(self.stage, target, actor, reason, now)
        return replace(self, stage=target, log=(*self.log, step))


def _allowed(stage: Stage, since: datetime, now: datetime) -> list[Stage]:
    """Targets in the order of `Stage`, so that a message reads the same in every process."""
    aware = now.utcoffset() is not None
    shut = stage == Stage.DEPRECATED and aware and _utc(now) - _utc(since) > ROLLBACK_HOLD
    return [s for s in Stage if s in ALLOWED_TRANSITIONS[stage] and not (shut and s == Stage.PRODUCTION)]


def _faults(step: Transition, stage: Stage, since: datetime, allowed: list[Stage]) -> Iterator[str]:
    if step.source != stage:
        yield f"source {step.source} is not where the log stood, {stage}. Try: the log as it was written."
    elif step.target not in allowed:
        late = f"comes after the {ROLLBACK_HOLD.days}-day rollback hold"
        why = late if step.target in ALLOWED_TRANSITIONS[stage] else "is not allowed"
        yield f"target {step.target} {why}. Try: {' or '.join(allowed) or 'a new version'}."
    if not step.actor.strip():
        yield f"actor {step.actor!r} is blank. Try: the person or system that takes the step."
    if not step.reason.strip():
        yield f"reason {step.reason!r} is blank. Try: one sentence that an auditor can follow."
    if step.time.utcoffset() is None:
        yield f"time {step.time.isoformat()} has no zone. Try: datetime.now(tz=UTC)."
    elif _utc(step.time) < _utc(since):
        yield f"time {step.time.isoformat()} is before {since.isoformat()}. Try: a time at or after it."


def _utc(time: datetime) -> datetime:
    """Two times of one zone compare by wall clock, which goes back an hour every autumn."""
    return time.astimezone(UTC)
