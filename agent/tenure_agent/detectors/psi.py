"""Population stability index."""

from __future__ import annotations

import numpy as np
from scipy import special

from tenure_agent.detectors.detector import Array, Measurement, column_sums
from tenure_agent.reference import Reference
from tenure_agent.summary import Summary

MIN_EXPECTED = 5.0


def population_stability_index(reference: Reference, summary: Summary) -> Measurement:
    r"""Symmetrised divergence between two sets of shares, for numeric and categorical columns.

    Parameters
    ----------
    reference
        n rows per column. Numeric columns are compared over its ten bins of equal mass, others over its categories.
    summary
        m rows per column.

    Notes
    -----
    PSI = Σ (p_i - q_i)·ln(p_i / q_i) with shares p = (c + ½) / (n + B/2) over B bins, so that an empty bin is not
    infinite. Had nothing changed, PSI / (1/n + 1/m) is χ² with B' - 1 degrees of freedom, B' being the bins of which
    both samples expect at least 5 rows; that gives the p-value for any n and m. (The customary 0.1 and 0.2 are the
    effect of large samples only: at n = m = 200 with ten bins, chance alone gives 0.09.)

    Examples
    --------
    >>> import numpy as np
    >>> from tenure_agent.reference import build_reference
    >>> from tenure_agent.summary import summarise
    >>> key = ("feature", "x")
    >>> reference = build_reference("m", "1", {key: np.arange(1000.0)})
    >>> [same] = summarise(reference, {key: np.arange(1000.0)}, np.zeros(1000, int), 1)
    >>> [moved] = summarise(reference, {key: np.arange(1000.0) * 0.8}, np.zeros(1000, int), 1)
    >>> float(population_stability_index(reference, same).statistic[0])
    0.0
    >>> round(float(population_stability_index(reference, moved).statistic[0]), 2)
    0.99

    References
    ----------
    Yurdakul, B. (2018). Statistical properties of population stability index. Western Michigan University.
    """
    starts = reference.coarse_starts
    expected, current = coarse_counts(reference, reference.counts), coarse_counts(reference, summary.counts)
    n, m = column_sums(expected, starts), column_sums(current, starts)
    measurable = (n > 0) & (m > 0)
    psi = divergence(expected, current, starts)
    widths = np.diff(starts)
    with np.errstate(divide="ignore", invalid="ignore"):
        pooled = (expected + current) / np.repeat(n + m, widths)
        counted = pooled * np.repeat(np.minimum(n, m), widths) >= MIN_EXPECTED
        freedom = np.maximum(column_sums(counted.astype(float), starts) - 1, 1)
        p_value = special.chdtrc(freedom, psi / (1 / n + 1 / m))
    return Measurement(np.where(measurable, psi, np.nan), np.where(measurable, p_value, np.nan))


def coarse_counts(reference: Reference, counts: Array) -> Array:
    """Fine counts over the coarse bins."""
    return np.bincount(reference.coarse, counts, minlength=int(reference.coarse_starts[-1]))


def divergence(first: Array, second: Array, starts: Array) -> Array:
    """PSI of two sets of counts, per column; bins are along the last axis."""
    widths = np.diff(starts)
    n, m = column_sums(first, starts), column_sums(second, starts)
    p = (first + 0.5) / np.repeat(n + widths / 2, widths, -1)
    q = (second + 0.5) / np.repeat(m + widths / 2, widths, -1)
    return np.maximum(column_sums((p - q) * np.log(p / q), starts), 0.0)
