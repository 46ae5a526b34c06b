"""The performance check, held against a literal reading of the policy's paragraph "Hit"."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from tenure_agent.checks import performance
from tenure_agent.checks.performance import Rise, check_performance, newest_needed
from tenure_agent.evidence import Evidence
from tenure_agent.losses import BRIER, LossProfile, loss_values, profile_losses
from tenure_agent.records import Level, Verdict, Window

Array = npt.NDArray[Any]
SECOND, HOUR, DAY = 1_000_000, 3_600_000_000, 86_400_000_000


def labelled(rows: int, seed: int, *, sharpness: float = 4.0, flipped: float = 0.0) -> tuple[Array, Array]:
    """Probabilities and what came of them; a share of `flipped` truths makes the model worse."""
    rng = np.random.default_rng(seed)
    said = 1 / (1 + np.exp(-rng.normal(size=rows) * sharpness))
    true = rng.uniform(size=rows) < said
    flip = rng.uniform(size=rows) < flipped
    return said, np.where(flip, ~true, true).astype(float)


REFERENCE = profile_losses("binary", *labelled(5000, seed=0))


def evenly(rows: int, step: int = HOUR // 60) -> Array:
    return np.arange(1, rows + 1, dtype=np.int64) * step


def rises(
    profiles: Sequence[LossProfile], said: Array, true: Array, known: Array, span: int, tolerance: float
) -> list[Rise]:
    return performance.rises(profiles, Evidence.of(said, true, known), span, tolerance)


def literal_hits(
    profiles: Sequence[LossProfile], said: Array, true: Array, known: Array, span: int, tolerance: float
) -> set[tuple[str, int]]:
    """Which channel and window say "hit", in the policy's words.

    W in {the shortest of 500 2^k that spans the window, and its doublings up to 4000 or twice itself} newest labels,
    b <= W <= labels held. rise = mean_W - mean_R; tol = max(tolerance, 0.1 mean_R), Brier floor 0.01.
    (rise - tol/2) / sqrt(s2 (1/W + 1/n_R)) >= c, the t quantile of upper tail 1e-3;
    rise >= tol, also over the newest 500 labels; primary rise over W >= 0.75 tol.
    """
    held = len(known)
    shortest = 500
    while shortest <= held and int(known[held - 1]) - int(known[held - shortest]) < span:
        shortest *= 2
    windows = []
    w = shortest
    while w <= max(4000, 2 * shortest):
        windows.append(w)
        w *= 2
    hits = set()
    for profile in profiles:
        losses = loss_values(profile.channel, said, true, profile.scale).tolist()
        primary = loss_values(profiles[0].channel, said, true, profiles[0].scale).tolist()
        tol = max(0.01 if profile.channel == BRIER else tolerance, 0.1 * profile.mean)
        primary_tol = max(tolerance, 0.1 * profiles[0].mean)
        for w in windows:
            if not profile.batch <= w <= held:
                continue
            rise = math.fsum(losses[-w:]) / w - profile.mean
            newest = math.fsum(losses[-500:]) / 500 - profile.mean
            primary_rise = math.fsum(primary[-w:]) / w - profiles[0].mean
            score = (rise - tol / 2) / math.sqrt(profile.variance * (1 / w + 1 / profile.rows))
            c = float(stats.t.ppf(1 - 1e-3, profile.freedom))
            if score >= c and rise >= tol and newest >= tol and primary_rise >= 0.75 * primary_tol:
                hits.add((profile.channel, w))
    return hits


@pytest.mark.parametrize("span", [0, 6 * HOUR, DAY, 3 * DAY])
@pytest.mark.parametrize("flipped", [0.0, 0.02, 0.05, 0.08, 0.12, 0.3])
def test_hits_are_the_policys(flipped: float, span: int) -> None:
    for seed, rows in ((1, 700), (2, 3000), (3, 9000)):
        said, true = labelled(rows, seed, flipped=flipped)
        known = evenly(rows)

        found = rises(REFERENCE, said, true, known, span, 0.02)

        assert {(hit.channel, hit.rows) for hit in found} == literal_hits(REFERENCE, said, true, known, span, 0.02)


def test_both_answers_occur_in_those_cases() -> None:
    said, true = labelled(9000, 3, flipped=0.3)
    found = {(hit.channel, hit.rows) for hit in rises(REFERENCE, said, true, evenly(9000), 0, 0.02)}
    assert found == {(p.channel, w) for p in REFERENCE for w in (500, 1000, 2000, 4000)}

    said, true = labelled(9000, 3)
    assert rises(REFERENCE, said, true, evenly(9000), 0, 0.02) == []


@pytest.mark.parametrize(
    ("rows", "step", "span", "windows"),
    [
        (9000, HOUR, 0, {500, 1000, 2000, 4000}),
        (9000, HOUR, 500 * HOUR, {1000, 2000, 4000}),
        (9000, HOUR, 499 * HOUR, {500, 1000, 2000, 4000}),
        (9000, HOUR, 3000 * HOUR, {4000, 8000}),
        (17000, HOUR, 5000 * HOUR, {8000, 16000}),
        (999, HOUR, 0, {500}),
        (499, HOUR, 0, set[int]()),
        (9000, HOUR, 9000 * HOUR, set[int]()),
    ],
)
def test_window_lengths(rows: int, step: int, span: int, windows: set[int]) -> None:
    always_wrong = (np.ones(rows), np.zeros(rows))
    found = rises(REFERENCE, *always_wrong, evenly(rows, step), span, 0.02)
    assert {hit.rows for hit in found} == windows


def test_a_window_shorter_than_a_batch_is_not_judged() -> None:
    dependent = [LossProfile("zero_one", 0.1, 0.09, 1024, 6, 8000)]
    found = rises(dependent, np.ones(4000), np.zeros(4000), evenly(4000), 0, 0.02)
    assert {hit.rows for hit in found} == {2000, 4000}


def test_a_rise_that_is_over_does_not_count() -> None:
    bad, good = labelled(3500, 1, flipped=0.3), labelled(500, 2)
    said, true = (np.concatenate(pair) for pair in zip(bad, good, strict=True))
    assert rises(REFERENCE, said, true, evenly(4000), 0, 0.02) == []


def test_one_label_that_is_no_number_neither_alarms_nor_blinds() -> None:
    said, true = labelled(5000, 1)
    said[0] = true[0] = np.inf
    assert rises(REFERENCE, said, true, evenly(5000), 0, 0.02) == []
    bad, label = labelled(5000, 1, flipped=0.3)
    bad[0] = label[0] = np.inf
    found = rises(REFERENCE, bad, label, evenly(5000), 0, 0.02)
    assert {hit.channel for hit in found} == {"brier", "zero_one"}


def test_the_brier_score_cannot_act_alone() -> None:
    # Confidence is lost while every class stays right: the Brier score rises, the error rate does not.
    true = np.tile([0.0, 1.0], 2000)
    sure, unsure = np.where(true == 1, 0.99, 0.01), np.where(true == 1, 0.55, 0.45)
    profiles = profile_losses("binary", sure, true)

    assert loss_values(BRIER, unsure, true).mean() > 0.2
    assert rises(profiles, unsure, true, evenly(4000), 0, 0.02) == []


@pytest.mark.parametrize(("wrong", "hits"), [(0.113, set[str]()), (0.117, {"brier"}), (0.125, {"brier", "zero_one"})])
def test_the_primary_loss_must_rise_by_three_quarters_of_its_tolerance(wrong: float, hits: set[str]) -> None:
    # Every probability is 0.4, so that the Brier score is 0.16 + 0.2 of what is wrong: far over its reference.
    profiles = [
        LossProfile(channel, mean, 1e-9, 1, 4000, 4001) for channel, mean in (("zero_one", 0.1), ("brier", 0.1))
    ]
    true = (np.arange(2000) * wrong % 1 < wrong).astype(float)
    found = rises(profiles, np.full(2000, 0.4), true, evenly(2000), 0, 0.02)
    assert {hit.channel for hit in found if hit.rows == 2000} == hits


@pytest.mark.parametrize("mean", [0.1, 0.5])
def test_tolerance_is_the_larger_of_absolute_and_relative(mean: float) -> None:
    profile = LossProfile("zero_one", mean, 1e-9, 1, 4000, 4001)
    tolerated = max(0.02, 0.1 * mean)
    for rise, hit in ((tolerated - 0.004, False), (tolerated + 0.004, True)):
        wrong = round((mean + rise) * 1000)
        said = np.zeros(1000)
        true = np.zeros(1000)
        true[np.linspace(0, 999, wrong).astype(int)] = 1
        found = rises([profile], said, true, evenly(1000), 0, 0.02)
        assert bool(found) is hit


def check(said: Array, true: Array, known: Array | None = None, window: int = DAY, **options: Any) -> Verdict:
    known = evenly(len(true)) if known is None else known
    end = int(known[-1]) + 1 if len(known) else DAY
    given: dict[str, Any] = {"tolerance": 0.02, "min_labels": 500, "metric": "accuracy", "profiles": REFERENCE}
    given |= options
    profiles = given.pop("profiles")
    return check_performance("fraud", "3", profiles, Evidence.of(said, true, known), Window(end - window, end), **given)


def test_quiet_losses_are_ok() -> None:
    verdict = check(*labelled(4000, 5))

    assert (verdict.model, verdict.version, verdict.check, verdict.rows) == ("fraud", "3", "performance", 4000)
    assert verdict.level is Level.OK
    assert set(verdict.measures) == {"accuracy"}


def test_a_proven_rise_is_critical_and_says_by_how_much() -> None:
    said, true = labelled(4000, 5, flipped=0.3)
    verdict = check(said, true)

    assert verdict.level is Level.CRITICAL
    [rise] = [name for name in verdict.measures if name.endswith("_rise")]
    assert verdict.measures[rise] > 0.05
    assert "up 0." in verdict.reason
    assert "in the reference" in verdict.reason


def test_metric_is_measured_over_the_window_only() -> None:
    said = np.ones(2000)
    true = np.concatenate([np.zeros(1000), np.ones(1000)])
    known = np.concatenate([np.arange(1000), 10 * DAY + np.arange(1000)])

    assert check(said, true, known).measures["accuracy"] == 1.0
    assert check(said, true, known, window=20 * DAY).measures["accuracy"] == 0.5


@pytest.mark.parametrize("rows", [0, 1, 499])
def test_too_few_labels_are_never_ok(rows: int) -> None:
    verdict = check(*labelled(rows, 1))
    assert verdict.level is Level.INSUFFICIENT_DATA
    assert f"{rows} labelled predictions, fewer than the 500 needed" in verdict.reason


def test_labels_that_do_not_span_the_window_yet_are_never_ok() -> None:
    verdict = check(*labelled(600, 1), known=evenly(600, SECOND), window=7 * DAY)
    assert verdict.level is Level.INSUFFICIENT_DATA


def test_a_reference_without_losses_is_never_ok() -> None:
    verdict = check(*labelled(4000, 1), profiles=())
    assert verdict.level is Level.INSUFFICIENT_DATA
    assert "no labelled losses" in verdict.reason


@pytest.mark.parametrize(
    ("metric", "minimum", "level"),
    [
        ("accuracy", 0.99, Level.CRITICAL),
        ("accuracy", 0.1, Level.OK),
        ("brier", 0.001, Level.CRITICAL),
        ("brier", 0.9, Level.OK),
    ],
)
def test_minimum(metric: str, minimum: float, level: Level) -> None:
    verdict = check(*labelled(4000, 1), metric=metric, minimum=minimum)
    assert verdict.level is level
    if level is Level.CRITICAL:
        assert verdict.reason.endswith(f"{'above' if metric == 'brier' else 'below'} {minimum}")


def test_minimum_holds_without_a_reference() -> None:
    assert check(*labelled(4000, 1), profiles=(), minimum=0.99).level is Level.CRITICAL


def test_minimum_needs_enough_labels_in_the_window() -> None:
    said, true = np.ones(2000), np.concatenate([np.ones(1600), np.zeros(400)])
    known = np.concatenate([np.arange(1600), 10 * DAY + np.arange(400)])
    assert check(said, true, known, profiles=(), minimum=0.9).level is Level.INSUFFICIENT_DATA


@pytest.mark.parametrize("per_window", [0, 400, 499, 501, 1000, 1001, 5000, 40_000])
def test_enough_labels_are_read_for_every_window(per_window: int) -> None:
    rows = newest_needed(per_window)
    step = 7 * DAY // max(per_window, 1)
    found = rises(REFERENCE, np.ones(rows), np.zeros(rows), evenly(rows, step), 7 * DAY, 0.02)

    lengths = sorted({hit.rows for hit in found})
    assert lengths
    assert lengths[-1] == max(4000, 2 * lengths[0])
