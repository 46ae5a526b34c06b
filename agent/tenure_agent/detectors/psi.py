"""Population stability index."""

from __future__ import annotations

import itertools

import numpy as np
from scipy import special

from tenure_agent.bins import NUMERIC
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
    infinite. Had nothing changed, PSI / (1/n + 1/m) is χ² with B - 1 degrees of freedom; that gives the p-value for any
    n and m, over bins merged until both samples expect at least 5 rows of each. (The customary 0.1 and 0.2 are the
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
    with np.errstate(divide="ignore", invalid="ignore"):
        rows = (expected + current) * np.repeat(np.minimum(n, m) / (n + m), np.diff(starts))
        merged, merged_starts = merge_small(reference, rows)
        merged_psi = divergence(np.bincount(merged, expected), np.bincount(merged, current), merged_starts)
        p_value = special.chdtrc(np.maximum(np.diff(merged_starts) - 1, 1), merged_psi / (1 / n + 1 / m))
    return Measurement(np.where(measurable, psi, np.nan), np.where(measurable, p_value, np.nan))


def merge_small(reference: Reference, rows: Array) -> tuple[Array, Array]:
    """The merged bin of each coarse bin, so that each expects 5 rows if its column does at all, and where columns start.

    Numeric bins merge with their neighbours; categories in an order that depends on both samples together, never on
    one: else bins would be chosen by what chance did to it.
    """
    merged, first = np.zeros(len(rows), np.int64), [0]
    stretches = itertools.pairwise(reference.coarse_starts.tolist())
    for column, (start, end) in zip(reference.columns, stretches, strict=True):
        number, held = first[-1], 0.0
        order = range(start, end) if column.kind == NUMERIC else start + np.argsort(-rows[start:end], kind="stable")
        for i in order:
            merged[i], held = number, held + rows[i]
            if held >= MIN_EXPECTED:
                number, held = number + 1, 0.0
        number = max(number, first[-1] + 1)  # what is left over at the end joins the last full bin
        np.minimum(merged[start:end], number - 1, out=merged[start:end])
        first.append(number)
    return merged, np.array(first)


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
