"""Did the model become worse? Labelled loss against the reference's own, honest about dependence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tenure_agent import special
from tenure_agent.evidence import Evidence
from tenure_agent.losses import BRIER, LossProfile
from tenure_agent.measures import LOWER_IS_BETTER
from tenure_agent.records import Level, Verdict, Window

Array = npt.NDArray[Any]

CHECK = "performance"
SHORTEST = 500
TAIL = 1e-3
NAMES = {"zero_one": "error rate", "brier": "Brier score", "absolute": "scaled absolute error"}


@dataclass(frozen=True, slots=True)
class Rise:
    """Loss over the newest `rows` labels against the reference. `score` over `critical` is proof beyond chance."""

    channel: str
    rows: int
    mean: float
    reference: float
    tolerance: float
    score: float
    critical: float

    @property
    def rise(self) -> float:
        return self.mean - self.reference

    def sentence(self) -> str:
        return (
            f"{NAMES[self.channel]} over the newest {self.rows:,} labels is {self.mean:.3f}, up {self.rise:.3f} from "
            f"{self.reference:.3f} in the reference (tolerated {self.tolerance:.3f}; "
            f"score {self.score:.1f}, chance stays below {self.critical:.1f})"
        )


def check_performance(
    model: str,
    version: str,
    profiles: Sequence[LossProfile],
    evidence: Evidence,
    window: Window,
    *,
    tolerance: float,
    min_labels: int,
    metric: str,
    minimum: float | None = None,
) -> Verdict:
    """One check by itself, before it must repeat.

    Parameters
    ----------
    profiles
        The reference's loss channels, the primary one first.
    evidence
        Labelled predictions.
    window
        The least time the labels must span to be judged: over less, one bad day is the whole evidence.
    tolerance
        A rise in loss below max(tolerance, 10 % of the reference's loss) is not worth acting on.
    metric, minimum
        A metric measured over `window`, and the value it must keep, if any.
    """
    measured = evidence.measured(metric, window.start)
    measures = {metric: measured}
    rows = len(evidence)

    def verdict(level: Level, reason: str) -> Verdict:
        return Verdict(model, version, CHECK, level, reason, window, rows, (), measures)

    if rows < min_labels:
        return verdict(Level.INSUFFICIENT_DATA, f"{rows} labelled predictions, fewer than the {min_labels} needed")
    shown = f"{metric} over {_span(window)} is {measured:.3f}"
    if minimum is not None and evidence.since(window.start) >= min_labels and _below(metric, measured, minimum):
        return verdict(Level.CRITICAL, f"{shown}, {'above' if metric in LOWER_IS_BETTER else 'below'} {minimum}")
    if not profiles:
        return verdict(Level.INSUFFICIENT_DATA, f"{shown}; the reference has no labelled losses to compare with")
    span = window.end - window.start
    lengths = _lengths(evidence.known, span)
    if not lengths or lengths[-1] < profiles[0].batch:
        return verdict(Level.INSUFFICIENT_DATA, f"{shown}; {rows:,} labels do not span enough time to judge losses by")
    hits = rises(profiles, evidence, span, tolerance)
    if not hits:
        return verdict(Level.OK, f"{shown}; losses are as in the reference")
    worst = max(hits, key=lambda hit: hit.score / hit.critical)
    measures[f"{worst.channel}_rise"] = worst.rise
    return verdict(Level.CRITICAL, worst.sentence())


def rises(profiles: Sequence[LossProfile], evidence: Evidence, span: int, tolerance: float) -> list[Rise]:
    """Every channel and window length in which the loss has risen, provably and by more than tolerated.

    Notes
    -----
    Over the newest W labels, W the shortest of 500·2^k that spans `span` and its doublings up to 4,000 or twice itself:

    1. (rise - tol/2) / √(s²(1/W + 1/n)) ≥ t quantile of 1 - 10⁻³, with s² and its degrees of freedom from the
       reference's batch means, n its rows, and W at least one batch;
    2. rise ≥ tol over W and also over the newest 500 labels: it holds now;
    3. the primary loss rose by 0.75 tol at least: a channel cannot act alone.
    """
    tolerances = {p.channel: max(0.01 if p.channel == BRIER else tolerance, 0.1 * p.mean) for p in profiles}
    primary, lengths = profiles[0], _lengths(evidence.known, span)
    found = []
    for profile in profiles:
        tol = tolerances[profile.channel]
        recent = evidence.mean_loss(profile, SHORTEST) - profile.mean
        critical = float(special.stdtrit(profile.freedom, 1 - TAIL))
        for rows in lengths:
            if rows < profile.batch:
                continue
            mean = evidence.mean_loss(profile, rows)
            rise = mean - profile.mean
            score = (rise - tol / 2) / np.sqrt(profile.variance * (1 / rows + 1 / profile.rows))
            if not (score >= critical and rise >= tol and recent >= tol):  # nor where one is not a number
                continue
            primary_rise = evidence.mean_loss(primary, rows) - primary.mean
            if primary_rise >= 0.75 * tolerances[primary.channel]:
                found.append(Rise(profile.channel, rows, mean, profile.mean, tol, float(score), critical))
    return found


def _lengths(known: Array, span: int) -> list[int]:
    shortest = SHORTEST
    while shortest <= len(known) and known[-1] - known[-shortest] < span:
        shortest *= 2
    most = max(8 * SHORTEST, 2 * shortest)
    lengths = [shortest * 2**k for k in range(4)]
    return [rows for rows in lengths if rows <= min(most, len(known))]


def newest_needed(labels_per_window: int) -> int:
    """Labels to read so that every window length can be judged."""
    return max(8 * SHORTEST, 4 * labels_per_window)


def _below(metric: str, value: float, minimum: float) -> bool:
    return value > minimum if metric in LOWER_IS_BETTER else value < minimum


def _span(window: Window) -> str:
    hours = (window.end - window.start) / 3.6e9
    return f"{hours / 24:g} days" if hours >= 48 else f"{hours:g} hours"
