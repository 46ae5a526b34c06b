"""Wasserstein distance, in standard deviations of the reference."""

from __future__ import annotations

import numpy as np

from tenure_agent.bins import Array
from tenure_agent.detectors.detector import Detector, Measurement, measurement
from tenure_agent.reference import Reference
from tenure_agent.summary import Summary

TINY = 1e-300


def wasserstein(reference: Reference, summary: Summary) -> Measurement:
    r"""How far values have moved on average, in standard deviations of the reference, for numeric columns.

    Parameters
    ----------
    reference
        Of mean μ and standard deviation s.
    summary
        Of mean μ'.

    Notes
    -----
    W = ∫ |F_ref(x) - F_cur(x)| dx / s over finite values, a bin's values taken to be spread evenly between its edges: off
    by at most the sum over bins of width times the larger share, and exact where every value has a bin of its own.
    Beyond the reference's own values there are no bins: where values lie beyond it on one side only, that part follows
    from ∫ (F_ref - F_cur) dx = μ' - μ; where on both, each side is first taken to be spread evenly up to the least and
    the greatest value, and then both are made to agree with that. NaN where s is 0. It has no
    p-value.

    Examples
    --------
    >>> import numpy as np
    >>> from tenure_agent.builder import Rows, build_reference
    >>> from tenure_agent.tally import summarise
    >>> key, values = ("feature", "x"), np.arange(100.0)
    >>> reference = build_reference("m", "1", Rows({key: values}))
    >>> [summary] = summarise(reference.layout, {key: values + 50}, np.zeros(100, int), 1)
    >>> round(float(wasserstein(reference, summary).statistic[0] * values.std(ddof=1)), 6)
    50.0

    References
    ----------
    Vallender, S. (1974). Calculation of the Wasserstein distance between probability distributions on the line. Theory
    of Probability and its Applications 18(4), 784-786.
    """
    layout, baseline = reference.layout, reference.baseline
    if not len(layout):
        return Measurement(np.empty(0), np.empty(0))
    gaps = baseline.sample(summary).reached_finite - baseline.reached_finite
    with np.errstate(all="ignore"):
        areas = gaps * baseline.spacing
        inside = np.add.reduceat(np.abs(areas), baseline.first)
        signed = np.add.reduceat(areas, baseline.first)
        moved = baseline.sample(summary).moments[0] - baseline.mean
        distance = (inside + _outside(reference, summary, moved + signed)) / baseline.std
    return measurement(distance, np.full(len(layout), np.nan), layout.ordered & (summary.finite > 0))


def _outside(reference: Reference, summary: Summary, left: Array) -> Array:
    """What lies beyond the edges, `left` being the part of the means' difference that the bins do not explain."""
    baseline = reference.baseline
    n, m = np.maximum(reference.summary.finite, 1), np.maximum(summary.finite, 1)
    lower, upper = baseline.bounds
    reach = np.zeros((2, len(n)))
    some = np.zeros((2, len(n)), bool)
    for sample, rows, sign in ((summary, m, 1.0), (reference.summary, n, -1.0)):
        low = (sample.counts[baseline.first] - sample.below) / rows
        high = (sample.counts[baseline.last] - sample.above) / rows
        some |= np.array((low > 0, high > 0))
        reach[0] += np.where(low > 0, sign * low * (lower / 2 - sample.low / 2), 0.0)
        reach[1] += np.where(high > 0, sign * high * (sample.high / 2 - upper / 2), 0.0)
    evenly = np.abs(reach)
    # Spread as they may be inside: between nothing and twice as far, both tails as far off for their size.
    off = np.clip((left - (evenly[1] - evenly[0])) / np.maximum(evenly.sum(0), TINY), -1.0, 1.0)
    both = evenly[0] * (1 - off) + evenly[1] * (1 + off)
    return np.where(some.all(0), both, np.where(some.any(0), np.abs(left), 0.0))


def explain(reference: Reference, summary: Summary, column: int) -> str:
    """In words."""
    distance = wasserstein(reference, summary).statistic[column]
    return f"its values moved by {distance:.2g} standard deviations on average (Wasserstein)"


WASSERSTEIN = Detector("wasserstein", wasserstein, 0.1, explain)
