"""How gates compose, and what an answer is."""

from collections.abc import Callable
from operator import and_, or_

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.errors import SettingError
from tenure.lifecycle import Check, Evidence, Gate, GateResult, agreement, maximum, minimum, no_worse_than, shadow_days

PRECISE, CALIBRATED = minimum(precision=0.88), maximum(brier=0.1)
BOTH_FAIL = Evidence(metrics={"precision": 0.87, "brier": 0.12})
A, B = "precision: 0.8700 < required 0.88", "brier: 0.1200 > allowed 0.1"


def plain(evidence: Evidence) -> GateResult:
    """Pass on an agreement above one half: a function, no Gate."""
    passed = (evidence.agreement or 0) > 0.5
    return GateResult(passed=passed, failures=() if passed else ("agreement: half or less",))


readings = st.dictionaries(st.sampled_from(["precision", "brier"]), st.floats())
evidences = st.builds(
    Evidence,
    metrics=readings,
    champion=readings,
    agreement=st.none() | st.floats(0, 1),
    shadow_days=st.none() | st.floats(0, 60),
)
gates = st.recursive(
    st.sampled_from(
        [PRECISE, CALIBRATED, no_worse_than("precision"), agreement(at_least=0.9), shadow_days(at_least=14)]
    ),
    lambda gates: st.builds(lambda op, a, b: op(a, b), st.sampled_from([and_, or_]), gates, gates),
    max_leaves=6,
)


@given(gate=gates, evidence=evidences)
def test_there_are_failures_exactly_when_it_did_not_pass(gate: Gate, evidence: Evidence) -> None:
    result = gate(evidence)

    assert bool(result) == result.passed == (not result.failures)
    assert all(result.failures)
    assert gate(evidence) == result


@given(a=gates, b=gates | st.just(plain), evidence=evidences)
def test_truth_tables(a: Gate, b: Check, evidence: Evidence) -> None:
    left, right = a(evidence), b(evidence)

    assert (a & b)(evidence).passed == (left.passed and right.passed)
    assert (a | b)(evidence).passed == (left.passed or right.passed)
    assert (b & a)(evidence).passed == (a & b)(evidence).passed
    assert (b | a)(evidence).passed == (a | b)(evidence).passed


@given(a=gates, b=gates, c=gates, evidence=evidences)
def test_and_keeps_every_failure_in_order(a: Gate, b: Gate, c: Gate, evidence: Evidence) -> None:
    assert (a & b)(evidence).failures == a(evidence).failures + b(evidence).failures
    assert ((a & b) & c)(evidence) == (a & (b & c))(evidence)


@given(a=gates, b=gates, evidence=evidences)
def test_or_tells_all_that_either_side_misses(a: Gate, b: Gate, evidence: Evidence) -> None:
    told = "".join((a | b)(evidence).failures)

    if told:
        assert all(failure in told for failure in a(evidence).failures + b(evidence).failures)


TEXTS: list[tuple[Gate, tuple[str, ...]]] = [
    (PRECISE & CALIBRATED, (A, B)),
    (PRECISE | CALIBRATED, (f"[{A}] or [{B}]",)),
    ((PRECISE & CALIBRATED) | plain, (f"[{A}; {B}] or [agreement: half or less]",)),
    (plain & PRECISE, ("agreement: half or less", A)),
    (plain | PRECISE, (f"[agreement: half or less] or [{A}]",)),
]


@pytest.mark.parametrize(("gate", "failures"), TEXTS)
def test_texts(gate: Gate, failures: tuple[str, ...]) -> None:
    assert gate(BOTH_FAIL).failures == failures


def test_failure_without_a_text_is_still_a_failure() -> None:
    def silent(evidence: Evidence) -> GateResult:
        return GateResult(passed=False, failures=("",))

    assert not (silent & PRECISE)(Evidence(metrics={"precision": 0.9}))


def test_gates_are_values() -> None:
    assert minimum(precision=0.88) & plain == minimum(precision=0.88) & plain
    assert len({PRECISE | CALIBRATED, minimum(precision=0.88) | maximum(brier=0.1)}) == 1


def test_the_words_and_and_or_would_drop_a_gate() -> None:
    with pytest.raises(SettingError, match=r"Try: & for .and."):
        _ = PRECISE and CALIBRATED


@pytest.mark.parametrize("op", [and_, or_])
@pytest.mark.parametrize("other", [True, None, 0.88])
def test_only_a_callable_composes(op: Callable[[object, object], object], other: object) -> None:
    with pytest.raises(TypeError):
        op(PRECISE, other)
    with pytest.raises(TypeError):
        op(other, PRECISE)


@pytest.mark.parametrize("result", [(True, ("a failure",)), (False, ())])
def test_answer_that_contradicts_itself(result: tuple[bool, tuple[str, ...]]) -> None:
    with pytest.raises(SettingError, match="Try: none when passed"):
        GateResult(*result)


def test_evidence_is_a_value() -> None:
    metrics = {"precision": 0.9}
    evidence = Evidence(metrics=metrics, champion=metrics)
    metrics.clear()

    assert evidence.metrics == evidence.champion == {"precision": 0.9}
    assert hash(evidence) == hash(Evidence(metrics={"precision": 0.9}, champion={"precision": 0.9}))
