"""Values the reference never had."""

from __future__ import annotations

import numpy as np

from tenure_agent import special
from tenure_agent.bins import Array
from tenure_agent.detectors.detector import Detector, Measurement, measurement, percent
from tenure_agent.reference import Reference
from tenure_agent.summary import Summary


def out_of_range(reference: Reference, summary: Summary) -> Measurement:
    r"""Share of values below the reference's least or above its greatest, for numeric and boolean columns.

    Parameters
    ----------
    reference
        n values.
    summary
        m values.

    Notes
    -----
    The outer bins hold what lies beyond all values the bins were chosen by, and infinities: with a of the reference's
    values there and b of the summary's, max(0, b/m - a/n). They begin at the least and the greatest value where these are
    atoms, else at round numbers further out by a tenth of the range at most (of one value, a tenth of that; the next float
    where that is more), as a reference tells no single row's value. So this is the share beyond the numbers that `explain`
    names: exact where both ends are atoms, else between the share outside by over that tenth and the share outside. That
    holds where the bins were chosen by all rows, a then being the infinite ones; where by a sample, within a/n.
    Had nothing changed, b or more new values lie beyond an order statistic with r = a + 2 values on its other side with a
    chance of I_x(b, r), x = m/(n + m), I being the regularised incomplete beta function (in the limit of many rows;
    a little too large otherwise).

    Examples
    --------
    >>> import numpy as np
    >>> from tenure_agent.builder import Rows, build_reference
    >>> from tenure_agent.tally import summarise
    >>> key, values = ("feature", "x"), np.arange(100.0)
    >>> reference = build_reference("m", "1", Rows({key: values}))
    >>> [summary] = summarise(reference.layout, {key: values + 10}, np.zeros(100, int), 1)
    >>> out_of_range(reference, summary).statistic
    array([0.09])
    >>> explain(reference, summary, 0)
    "9 % of its values lie outside the reference's -1 … 100: they reach from 10 to 109"

    References
    ----------
    Wilks, S. (1941). Determination of sample sizes for setting tolerance limits. Annals of Mathematical Statistics 12(1),
    91-96.
    """
    first, n, second, m = _counts(reference, summary)
    with np.errstate(divide="ignore", invalid="ignore"):
        excess = np.maximum(second / m - first / n, 0.0)
        chance = special.betainc(np.maximum(second, 1.0), first + 2.0, m / (n + m))
    p_value = np.where(excess > 0, chance, 1.0)
    return measurement(excess, p_value, reference.layout.ordered & (n > 0) & (m > 0))


def _counts(reference: Reference, summary: Summary) -> tuple[Array, Array, Array, Array]:
    low, high = reference.baseline.first, reference.baseline.last
    before, now = reference.summary, summary
    return before.counts[low] + before.counts[high], before.rows, now.counts[low] + now.counts[high], now.rows


def explain(reference: Reference, summary: Summary, column: int) -> str:
    """In words."""
    _, _, second, m = (int(counts[column]) for counts in _counts(reference, summary))
    bins = reference.columns[column]
    least = bins.edges[1] if bins.fenced[1] else bins.edges[0]
    told = f"{percent(second / m)} of its values lie outside the reference's {least:.6g} … {bins.edges[-1]:.6g}"
    infinite = int(summary.below[column] + summary.above[column])
    if infinite == second:
        return f"{told}: they are infinite"
    return f"{told}: they reach from {summary.low[column]:.4g} to {summary.high[column]:.4g}"


OUT_OF_RANGE = Detector("out_of_range", out_of_range, 0.01, explain)
