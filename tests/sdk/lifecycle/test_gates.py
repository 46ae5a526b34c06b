"""Gates: the seed's figures and texts, the ones the seed does not have, and the laws of `&` and `|`."""

import math
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.errors import SettingError
from tenure.lifecycle import (
    Evidence,
    Gate,
    GateResult,
    agreement,
    maximum,
    minimum,
    no_worse_than,
    shadow_days,
)

NAN, INF = math.nan, math.inf


def passes_evaluation_gate(metrics: Mapping[str, float], gate: Mapping[str, float]) -> tuple[bool, list[str]]:
    """Answer as the seed does: its own code, to the letter."""
    failures = []
    for metric_name, min_value in gate.items():
        actual = metrics.get(metric_name, 0)
        if actual < min_value:
            failures.append(f"{metric_name}: {actual:.4f} < required {min_value}")
    return len(failures) == 0, failures


def found(**metrics: float) -> Evidence:
    return Evidence(metrics=metrics)


def against(champion: float, challenger: float) -> Evidence:
    return Evidence(metrics={"m": challenger}, champion={"m": champion})


LOSS = no_worse_than("m", tolerance=0.02, higher_is_better=False)
SCORE = no_worse_than("m", tolerance=0.02)

CASES: list[tuple[Gate, Evidence, tuple[str, ...]]] = [
    (minimum(precision=0.88), found(precision=0.88), ()),
    (minimum(precision=0.88), found(precision=0.87), ("precision: 0.8700 < required 0.88",)),
    (minimum(precision=0.88), found(), ("precision: missing, required at least 0.88",)),
    (minimum(precision=0.88), found(precision=NAN), ("precision: missing, required at least 0.88",)),
    (minimum(lift=0), found(), ("lift: missing, required at least 0",)),
    (minimum(a=1, b=2), found(a=0, b=0), ("a: 0.0000 < required 1", "b: 0.0000 < required 2")),
    (maximum(brier=0.1), found(brier=0.1), ()),
    (maximum(brier=0.1), found(brier=0.12), ("brier: 0.1200 > allowed 0.1",)),
    (maximum(brier=0.1), found(), ("brier: missing, required at most 0.1",)),
    (maximum(brier=0.1), found(brier=NAN), ("brier: missing, required at most 0.1",)),
    (SCORE, against(0.92, 0.95), ()),
    (SCORE, against(0.92, 0.90), ()),
    (SCORE, against(0.92, 0.89), ("m: 0.8900 < champion 0.9200 - tolerance 0.02",)),
    (SCORE, against(0.92, NAN), ("m: missing, required for comparison with champion 0.9200",)),
    (SCORE, against(NAN, 0.92), ("m: missing for the champion, required for comparison",)),
    (SCORE, found(m=0.99), ("m: missing for the champion, required for comparison",)),
    (LOSS, against(0.10, 0.01), ()),
    (LOSS, against(0.10, 0.12), ()),
    (LOSS, against(0.10, 0.13), ("m: 0.1300 > champion 0.1000 + tolerance 0.02",)),
    (no_worse_than("m", tolerance=0.1), against(0.8, 0.7), ()),  # in binary 0.8 - 0.1 > 0.7
    (no_worse_than("m", tolerance=0.1, higher_is_better=False), against(0.7, 0.8), ()),  # and 0.7 + 0.1 < 0.8
    (no_worse_than("m"), against(0.5, 0.5), ()),
    (no_worse_than("m"), against(0.5, 0.4999), ("m: 0.4999 < champion 0.5000 - tolerance 0.0",)),
    (agreement(at_least=0.95), Evidence(agreement=0.95), ()),
    (agreement(at_least=0.95), Evidence(agreement=0.91), ("agreement: 0.9100 < required 0.95",)),
    (agreement(at_least=0), Evidence(), ("agreement: missing, required at least 0",)),
    (agreement(at_least=0), Evidence(agreement=NAN), ("agreement: missing, required at least 0",)),
    (shadow_days(at_least=14), Evidence(shadow_days=14), ()),
    (shadow_days(at_least=14), Evidence(shadow_days=13.5), ("shadow_days: 13.5000 < required 14",)),
    (shadow_days(at_least=14), Evidence(), ("shadow_days: missing, required at least 14",)),
]


@pytest.mark.parametrize(("gate", "evidence", "failures"), CASES)
def test_gate(gate: Gate, evidence: Evidence, failures: tuple[str, ...]) -> None:
    assert gate(evidence) == GateResult(passed=not failures, failures=failures)


MISUSES = [
    (minimum, {}),
    (minimum, {"precision": NAN}),
    (maximum, {}),
    (maximum, {"brier": NAN}),
    (no_worse_than, {}),
    (agreement, {"at_least": 95}),
    (agreement, {"at_least": -0.1}),
    (agreement, {"at_least": NAN}),
    (shadow_days, {"at_least": -1}),
    (shadow_days, {"at_least": INF}),
    (shadow_days, {"at_least": NAN}),
    (Evidence, {"agreement": 95}),
    (Evidence, {"agreement": -0.1}),
]


@pytest.mark.parametrize(("make", "arguments"), MISUSES)
def test_gate_that_could_not_judge_is_not_made(make: type, arguments: dict[str, float]) -> None:
    with pytest.raises(SettingError, match="Try: "):
        make(**arguments)


@pytest.mark.parametrize("tolerance", [-0.01, NAN, INF])
def test_tolerance_is_a_finite_number_from_0_up(tolerance: float) -> None:
    with pytest.raises(SettingError, match=r"tolerance: .*Try: "):
        no_worse_than("precision", tolerance=tolerance)


names = st.sampled_from(["precision", "recall", "auc_roc"])
numbers = st.floats(allow_nan=False)


@given(bounds=st.dictionaries(names, numbers, min_size=1), extra=st.dictionaries(names, numbers))
def test_minimum_is_the_seeds_gate_wherever_every_metric_is_known(
    bounds: dict[str, float], extra: dict[str, float]
) -> None:
    metrics = {**dict.fromkeys(bounds, 0.5), **extra}

    result = minimum(**bounds)(Evidence(metrics=metrics))

    assert (result.passed, list(result.failures)) == passes_evaluation_gate(metrics, bounds)


@given(bounds=st.dictionaries(names, numbers, min_size=1), metrics=st.dictionaries(names, st.floats()))
def test_minimum_passes_nothing_the_seed_would_refuse(bounds: dict[str, float], metrics: dict[str, float]) -> None:
    if minimum(**bounds)(Evidence(metrics=metrics)):
        assert passes_evaluation_gate(metrics, bounds) == (True, [])


@given(champion=numbers, challenger=numbers, tolerance=st.floats(0, 1e9))
def test_a_loss_is_a_score_upside_down(champion: float, challenger: float, tolerance: float) -> None:
    score = no_worse_than("m", tolerance=tolerance)(against(champion, challenger))
    loss = no_worse_than("m", tolerance=tolerance, higher_is_better=False)(against(-champion, -challenger))

    assert score.passed == loss.passed
