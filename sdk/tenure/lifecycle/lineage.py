"""The versions of one model among each other: who serves, who may replace it, and the way back.

`ALLOWED_TRANSITIONS` sees one version at a time and would strand a served model in RETRAINING. Here a retrain opens a
successor while its parent goes on serving, and every change of champion moves two versions at once.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from tenure.lifecycle.stages import ModelVersion, Stage, TransitionRefused


@dataclass(frozen=True, slots=True)
class Lineage:
    """Every version of one model, at most one of them in PRODUCTION.

    Raises
    ------
    TransitionRefused
        Two versions are in PRODUCTION, bear the same name, or belong to different models.

    Examples
    --------
    >>> from datetime import UTC
    >>> monday = datetime(2024, 6, 17, tzinfo=UTC)
    >>> lineage = Lineage((ModelVersion("fraud_detector", "3.2.1", Stage.PRODUCTION, created_at=monday),))
    >>> born = successor(lineage.serving, "3.2.2", actor="agent", reason="precision below 0.88", now=monday)
    >>> lineage = lineage.put(born)
    >>> [(v.version, v.stage.value, v.parent) for v in lineage.versions]
    [('3.2.1', 'production', None), ('3.2.2', 'retraining', '3.2.1')]
    """

    versions: tuple[ModelVersion, ...] = ()

    def __post_init__(self) -> None:
        models = sorted({v.model for v in self.versions})
        if len(models) > 1:
            raise TransitionRefused(f"model: {' and '.join(models)} share a lineage. Try: one lineage for each model.")
        twice = [name for name, n in Counter(v.version for v in self.versions).items() if n > 1]
        if twice:
            raise TransitionRefused(f"version: {', '.join(twice)} of {models[0]} is there twice. Try: a new name.")
        serving = [v.version for v in self.versions if v.stage == Stage.PRODUCTION]
        if len(serving) > 1:
            raise TransitionRefused(
                f"stage: {' and '.join(serving)} of {models[0]} are both in production. Try: promote(...) or "
                f"roll_back(...), and put both versions they return."
            )

    @property
    def serving(self) -> ModelVersion | None:
        """The version in PRODUCTION."""
        return next((v for v in self.versions if v.stage == Stage.PRODUCTION), None)

    def put(self, *changed: ModelVersion) -> "Lineage":
        """Give the lineage with these versions in the place of their namesakes, new names at the end.

        Raises
        ------
        TransitionRefused
            The result would not be a lineage (versions that move together must be put together), or a namesake's
            history would be lost: a version may only grow.
        """
        fresh = {v.version: v for v in Lineage(changed).versions}
        for known in self.versions:
            if not _continues(fresh.get(known.version, known), known):
                raise TransitionRefused(
                    f"version: {known.version} of {known.model} has another history. Try: a new name, "
                    f"or a later step of the version as it stands."
                )
        kept = tuple(fresh.pop(v.version, v) for v in self.versions)
        return Lineage((*kept, *fresh.values()))


def successor(parent: ModelVersion, version: str, *, actor: str, reason: str, now: datetime) -> ModelVersion:
    """Open the retrained `version` that may one day replace `parent`, which goes on serving.

    The newborn takes the table's PRODUCTION -> RETRAINING step in its parent's stead: it is the first line of its log.

    Raises
    ------
    TransitionRefused
        `parent` is not in PRODUCTION, `version` is blank or the parent's own, or the step itself is refused.
    """
    if not version.strip() or version == parent.version:
        raise TransitionRefused(f"version {version!r} cannot succeed {parent.model} {parent.version}. Try: a new name.")
    step = parent.transition(Stage.RETRAINING, actor=actor, reason=reason, now=now).log[-1]
    return ModelVersion(parent.model, version, step.target, parent.version, created_at=now, log=(step,))


def close(failed: ModelVersion, *, actor: str, reason: str, now: datetime) -> ModelVersion:
    """Send a version that failed its retrain, evaluation, shadow or canary back to EXPERIMENTING.

    That is where the table sends failures ("fail gate -> back to experimenting"); RETIRED is only for what has served.
    From RETRAINING the one way there leads through EVALUATED, so both steps are logged, at the same time.

    Raises
    ------
    TransitionRefused
        The version is in PRODUCTION, DEPRECATED, RETIRED or already in EXPERIMENTING, or the step itself is refused.
    """
    if failed.stage == Stage.RETRAINING:
        failed = failed.transition(Stage.EVALUATED, actor=actor, reason=reason, now=now)
    return failed.transition(Stage.EXPERIMENTING, actor=actor, reason=reason, now=now)


def promote(
    successor: ModelVersion, parent: ModelVersion, *, actor: str, reason: str, now: datetime
) -> tuple[ModelVersion, ModelVersion]:
    """Give (successor in PRODUCTION, parent in DEPRECATED), whose rollback hold begins `now`.

    `parent` is the version that steps down: as a rule the successor's own, else whichever has come to serve meanwhile.

    Raises
    ------
    TransitionRefused
        `successor` is not in STAGING, `parent` not in PRODUCTION, their models differ, or a step itself is refused.

    Examples
    --------
    >>> from datetime import UTC
    >>> monday = datetime(2024, 6, 17, tzinfo=UTC)
    >>> old = ModelVersion("fraud_detector", "3.2.1", Stage.PRODUCTION, created_at=monday)
    >>> new = ModelVersion("fraud_detector", "3.2.2", Stage.STAGING, "3.2.1", created_at=monday)
    >>> new, old = promote(new, old, actor="lead", reason="canary verified", now=monday)
    >>> new.stage.value, old.stage.value
    ('production', 'deprecated')
    >>> old, new = roll_back(old, new, actor="agent", reason="errors doubled", now=monday)
    >>> new.stage.value, old.stage.value
    ('deprecated', 'production')
    """
    if successor.stage == Stage.DEPRECATED:
        raise TransitionRefused(
            f"{successor.model} {successor.version} is deprecated, not staged. Try: roll_back(...)."
        )
    return _hand_over(successor, parent, actor=actor, reason=reason, now=now)


def roll_back(
    former: ModelVersion, serving: ModelVersion, *, actor: str, reason: str, now: datetime
) -> tuple[ModelVersion, ModelVersion]:
    """Give (former champion in PRODUCTION, the version serving until now in DEPRECATED).

    Raises
    ------
    TransitionRefused
        `former` was not deprecated within `ROLLBACK_HOLD` (7 days, inclusive) before `now`, `serving` is not in
        PRODUCTION, their models differ, or a step itself is refused.
    """
    if former.stage != Stage.DEPRECATED:
        raise TransitionRefused(
            f"{former.model} {former.version} is {former.stage}, not deprecated. Try: promote(...)."
        )
    return _hand_over(former, serving, actor=actor, reason=reason, now=now)


def _hand_over(
    incoming: ModelVersion, outgoing: ModelVersion, *, actor: str, reason: str, now: datetime
) -> tuple[ModelVersion, ModelVersion]:
    if incoming.model != outgoing.model:
        raise TransitionRefused(f"model {incoming.model} cannot replace {outgoing.model}. Try: versions of one model.")
    return (
        incoming.transition(Stage.PRODUCTION, actor=actor, reason=reason, now=now),
        outgoing.transition(Stage.DEPRECATED, actor=actor, reason=reason, now=now),
    )


def _continues(later: ModelVersion, known: ModelVersion) -> bool:
    same = (later.parent, later.created_at) == (known.parent, known.created_at)
    return same and later.log[: len(known.log)] == known.log
