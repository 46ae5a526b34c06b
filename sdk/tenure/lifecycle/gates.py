"""What a version must show before a step: small frozen gates that compose with `&` and `|`, each a pure function.

>>> gate = minimum(precision=0.88, recall=0.82) & maximum(brier=0.1) & shadow_days(at_least=14)
>>> gate(Evidence(metrics={"precision": 0.912, "recall": 0.887, "brier": 0.06}, shadow_days=14)).passed
True
>>> for failure in gate(Evidence(metrics={"precision": 0.87, "brier": 0.06}, shadow_days=3)).failures:
...     print(failure)
precision: 0.8700 < required 0.88
recall: missing, required at least 0.82
shadow_days: 3.0000 < required 14

A plain function fits wherever a gate does:

>>> def audited(evidence: Evidence) -> GateResult:
...     failures = () if "bias_gap" in evidence.metrics else ("bias_gap: missing, required by the audit",)
...     return GateResult(passed=not failures, failures=failures)
>>> (minimum(precision=0.88) & audited)(Evidence(metrics={"precision": 0.912})).failures
('bias_gap: missing, required by the audit',)
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tenure.errors import SettingError
from tenure.lifecycle.judgement import Evidence, Gate, GateResult


def minimum(**metrics: float) -> Gate:
    """Pass when every metric named is at least its bound: the seed's ``passes_evaluation_gate``.

    Stricter than the seed in one thing: a metric that is missing or NaN fails as missing. The seed reads a missing one
    as 0, which meets a bound of 0, and lets every NaN pass.

    Raises
    ------
    SettingError
        No metric is named, or a bound is NaN.

    Examples
    --------
    >>> minimum(precision=0.88)(Evidence(metrics={"precision": 0.87})).failures
    ('precision: 0.8700 < required 0.88',)
    """
    return _Bounds(_checked("minimum", metrics), lower=True)


def maximum(**metrics: float) -> Gate:
    """Pass when every metric named, a loss such as ``brier``, is at most its bound; missing or NaN fails.

    Raises
    ------
    SettingError
        No metric is named, or a bound is NaN.

    Examples
    --------
    >>> maximum(brier=0.1)(Evidence(metrics={"brier": 0.12})).failures
    ('brier: 0.1200 > allowed 0.1',)
    """
    return _Bounds(_checked("maximum", metrics), lower=False)


def no_worse_than(*champion: str, tolerance: float = 0.0, higher_is_better: bool = True) -> Gate:
    """Pass when each metric named is no worse than the champion's by more than the tolerance.

    Parameters
    ----------
    champion
        Names of metrics in ``Evidence.champion`` to compare with; missing or NaN on either side fails.
    tolerance
        How much worse is still no worse, in the metric's own unit; on it passes.
    higher_is_better
        False for losses.

    Raises
    ------
    SettingError
        No metric is named, or the tolerance is not a finite number from 0 up.

    Examples
    --------
    >>> gate = no_worse_than("precision", tolerance=0.02) & no_worse_than("brier", higher_is_better=False)
    >>> evidence = Evidence(metrics={"precision": 0.9, "brier": 0.07}, champion={"precision": 0.92, "brier": 0.06})
    >>> gate(evidence).failures
    ('brier: 0.0700 > champion 0.0600 + tolerance 0.0',)
    """
    if not champion:
        raise SettingError("no_worse_than", champion, 'the metrics to compare, as no_worse_than("precision")')
    if not 0 <= tolerance < math.inf:
        raise SettingError("tolerance", tolerance, "a finite number from 0 up, in the metric's own unit")
    return _NoWorse(champion, tolerance, higher_is_better)


def agreement(*, at_least: float) -> Gate:
    """Pass when the version answered like the champion on this share (0 to 1) of shadowed calls; unknown fails.

    Raises
    ------
    SettingError
        `at_least` is outside 0 to 1.

    Examples
    --------
    >>> agreement(at_least=0.95)(Evidence(agreement=0.91)).failures
    ('agreement: 0.9100 < required 0.95',)
    """
    if not 0 <= at_least <= 1:
        raise SettingError("at_least", at_least, "a share between 0 and 1")
    return _AtLeast("agreement", at_least)


def shadow_days(*, at_least: float) -> Gate:
    """Pass when the version has spent this many days in shadow (the seed: 7 to 30); unknown fails.

    Raises
    ------
    SettingError
        `at_least` is not a finite number from 0 up.

    Examples
    --------
    >>> shadow_days(at_least=14)(Evidence()).failures
    ('shadow_days: missing, required at least 14',)
    """
    if not 0 <= at_least < math.inf:
        raise SettingError("at_least", at_least, "a finite number of days from 0 up")
    return _AtLeast("shadow_days", at_least)


@dataclass(frozen=True, slots=True)
class _Bounds(Gate):
    bounds: tuple[tuple[str, float], ...]
    lower: bool

    def __call__(self, evidence: Evidence) -> GateResult:
        fault = _below if self.lower else _above
        return GateResult.of(fault(name, evidence.metrics.get(name), bound) for name, bound in self.bounds)


@dataclass(frozen=True, slots=True)
class _AtLeast(Gate):
    field: Literal["agreement", "shadow_days"]
    bound: float

    def __call__(self, evidence: Evidence) -> GateResult:
        return GateResult.of([_below(self.field, getattr(evidence, self.field), self.bound)])


@dataclass(frozen=True, slots=True)
class _NoWorse(Gate):
    names: tuple[str, ...]
    tolerance: float
    higher_is_better: bool

    def __call__(self, evidence: Evidence) -> GateResult:
        return GateResult.of(self._fault(n, evidence.metrics.get(n), evidence.champion.get(n)) for n in self.names)

    def _fault(self, name: str, actual: float | None, champion: float | None) -> str | None:
        if champion is None or math.isnan(champion):
            return f"{name}: missing for the champion, required for comparison"
        if actual is None or math.isnan(actual):
            return f"{name}: missing, required for comparison with champion {champion:.4f}"
        sign, relation = ("-", "<") if self.higher_is_better else ("+", ">")
        bound = champion - self.tolerance if self.higher_is_better else champion + self.tolerance
        worse = actual < bound if self.higher_is_better else actual > bound
        # In binary 0.8 - 0.1 > 0.7, yet 0.7 is within 0.1 of 0.8 to everyone who writes a tolerance.
        if not worse or math.isclose(actual, bound, rel_tol=1e-9):
            return None
        return f"{name}: {actual:.4f} {relation} champion {champion:.4f} {sign} tolerance {self.tolerance}"


def _checked(gate: str, metrics: Mapping[str, float]) -> tuple[tuple[str, float], ...]:
    if not metrics or any(map(math.isnan, metrics.values())):
        raise SettingError(gate, metrics, f"a number for at least one metric, as {gate}(precision=0.88)")
    return tuple(metrics.items())


def _below(name: str, actual: float | None, bound: float) -> str | None:
    if actual is None or math.isnan(actual):
        return f"{name}: missing, required at least {bound}"
    return f"{name}: {actual:.4f} < required {bound}" if actual < bound else None


def _above(name: str, actual: float | None, bound: float) -> str | None:
    if actual is None or math.isnan(actual):
        return f"{name}: missing, required at most {bound}"
    return f"{name}: {actual:.4f} > allowed {bound}" if actual > bound else None
