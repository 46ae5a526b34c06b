"""At each day's end: takes a successor from shadow to canary to production, if its gates let it.

Two days in shadow on all traffic, one day as a canary on a tenth of it. Every promotion is judged on labelled live rows
and told to the server, which changes roles at midnight.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any, Protocol

from tenure.lifecycle import Evidence, Lineage, ModelVersion, Stage, maximum, no_worse_than, promote, shadow_days
from tenure_agent.demo.registry import MODEL, Registry
from tenure_agent.records import micros

ACTOR = "rollout"
SHADOW_DAYS = 2.0
CANARY = dt.timedelta(days=1)
CANARY_BRIER = 0.30  # a canary worse than a coin toss is stopped; a day of one flight in ten tells no finer


class Asks(Protocol):
    def __call__(self, verb: str, arguments: dict[str, Any]) -> Any: ...


@dataclass(frozen=True, slots=True)
class Roles:
    """Which version does what in the server."""

    champion: str
    canary: str | None
    shadows: tuple[str, ...]


def roles_of(lineage: Lineage) -> Roles:
    """Roles as the lineage has them. Version 1 stays in shadow for ever: the model nobody maintained, to compare with."""
    serving = lineage.serving
    champion = serving.version if serving is not None else "1"
    canary = next((v.version for v in lineage.versions if v.stage == Stage.STAGING), None)
    shadows = [v.version for v in lineage.versions if v.stage == Stage.SHADOW]
    if champion != "1":
        shadows.insert(0, "1")
    return Roles(champion, canary, tuple(shadows))


def step(registry: Registry, ask: Asks, now: dt.datetime) -> None:
    """Move the successor on its way, if there is one and its time has come."""
    lineage = registry.lineage()
    candidate = next((v for v in lineage.versions if v.stage in {Stage.SHADOW, Stage.STAGING}), None)
    if candidate is None or lineage.serving is None:
        return
    if candidate.stage == Stage.SHADOW:
        moved = _leave_shadow(candidate, lineage.serving, ask, now)
    else:
        moved = _leave_staging(candidate, lineage.serving, ask, now)
    if moved:
        registry.save(lineage.put(*moved))


def _leave_shadow(
    candidate: ModelVersion, serving: ModelVersion, ask: Asks, now: dt.datetime
) -> tuple[ModelVersion, ...]:
    since = _next_midnight(candidate.log[-1].time)  # the server changes roles at midnight
    days = (now - since) / dt.timedelta(days=1)
    if days < SHADOW_DAYS:
        return ()
    series = [{"version": candidate.version, "role": "shadow"}, {"role": "champion"}]
    rows, (new, old) = _brier(ask, series, since, now)
    evidence = Evidence(metrics={"brier": new}, champion={"brier": old}, shadow_days=days)
    gate = shadow_days(at_least=SHADOW_DAYS) & no_worse_than("brier", tolerance=0.01, higher_is_better=False)
    seen = f"Brier {new:.4f} against {old:.4f} of version {serving.version} on the same {rows:,} flights"
    judged = gate(evidence)
    if not judged:
        return (candidate.transition(Stage.EXPERIMENTING, actor=ACTOR, reason=f"left shadow: {seen}", now=now),)
    reason = f"{days:.0f} days in shadow: {seen}; now answers one flight in ten"
    return (candidate.transition(Stage.STAGING, actor=ACTOR, reason=reason, now=now),)


def _leave_staging(
    candidate: ModelVersion, serving: ModelVersion, ask: Asks, now: dt.datetime
) -> tuple[ModelVersion, ...]:
    since = candidate.log[-1].time
    if now - since < CANARY:
        return ()
    rows, (brier,) = _brier(ask, [{"version": candidate.version, "role": "challenger"}], since, now)
    seen = f"as a canary it answered {rows:,} labelled flights with Brier {brier:.4f}"
    if not maximum(brier=CANARY_BRIER)(Evidence(metrics={"brier": brier})):
        return (candidate.transition(Stage.EXPERIMENTING, actor=ACTOR, reason=f"stopped: {seen}", now=now),)
    return promote(
        candidate, serving, actor=ACTOR, reason=f"{seen}; takes over from version {serving.version}", now=now
    )


def _brier(
    ask: Asks, series: list[dict[str, str]], since: dt.datetime, now: dt.datetime
) -> tuple[int, tuple[float, ...]]:
    arguments = {"model": MODEL, "series": series, "start": micros(since), "end": micros(now), "metrics": ["brier"]}
    answer = ask("quality", arguments)
    return answer["rows"], tuple(one["brier"] for one in answer["measures"])


def _next_midnight(time: dt.datetime) -> dt.datetime:
    midnight = time.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight if midnight == time else midnight + dt.timedelta(days=1)
