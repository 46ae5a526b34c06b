"""How far a mean has moved."""

from __future__ import annotations

import numpy as np

from tenure_agent import special
from tenure_agent.detectors.detector import Detector, Measurement, measurement
from tenure_agent.reference import Reference
from tenure_agent.summary import Summary


def mean_shift(reference: Reference, summary: Summary) -> Measurement:
    r"""Distance of two means in standard deviations of the reference, for numeric columns.

    Parameters
    ----------
    reference
        n finite values of mean μ and variance s².
    summary
        m finite values of mean μ' and variance s'²; of a single one, s² stands for it.

    Notes
    -----
    |μ' - μ| / s. The p-value is Welch's: t = (μ' - μ)/√(s²/n + s'²/m) with
    (s²/n + s'²/m)² / ((s²/n)²/(n-1) + (s'²/m)²/(m-1)) degrees of freedom. NaN where the reference does not vary, or where
    values are so large that their squares overflow.

    Examples
    --------
    >>> import numpy as np
    >>> from tenure_agent.builder import Rows, build_reference
    >>> from tenure_agent.tally import summarise
    >>> key, values = ("feature", "x"), np.arange(100.0)
    >>> reference = build_reference("m", "1", Rows({key: values}))
    >>> [summary] = summarise(reference.layout, {key: values + values.std(ddof=1)}, np.zeros(100, int), 1)
    >>> round(float(mean_shift(reference, summary).statistic[0]), 6)
    1.0

    References
    ----------
    Welch, B. (1947). The generalization of Student's problem when several different population variances are involved.
    Biometrika 34(1/2), 28-35.
    """
    baseline = reference.baseline
    n, m = reference.summary.finite.astype(float), summary.finite.astype(float)
    mean, variance = baseline.sample(summary).moments
    with np.errstate(all="ignore"):
        moved = mean - baseline.mean
        first, second = baseline.variance / n, np.where(m > 1, variance, baseline.variance) / m
        freedom = (first + second) ** 2 / (first**2 / (n - 1) + second**2 / np.maximum(m - 1, 1))
        p_value = 2 * special.stdtr(freedom, -np.abs(moved) / np.sqrt(first + second))
        statistic = np.abs(moved) / baseline.std
    return measurement(statistic, p_value, np.isfinite(p_value) & np.isfinite(baseline.std))


def explain(reference: Reference, summary: Summary, column: int) -> str:
    """In words."""
    before, now = reference.baseline.mean[column], reference.baseline.sample(summary).moments[0][column]
    sigmas = abs(now - before) / reference.baseline.std[column]
    return f"its mean is {now:.4g}, {before:.4g} in the reference ({sigmas:.1f} standard deviations)"


MEAN_SHIFT = Detector("mean_shift", mean_shift, 0.5, explain)
