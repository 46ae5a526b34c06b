"""The G-test of two samples, for many and rare categories."""

from __future__ import annotations

import numpy as np

from tenure_agent import special
from tenure_agent.bins import Array
from tenure_agent.detectors.chi_squared import explain
from tenure_agent.detectors.detector import Detector, Measurement, measurement
from tenure_agent.detectors.pairs import Pair, pair_of_categories
from tenure_agent.reference import Reference
from tenure_agent.summary import Summary

MIN_EXPECTED = 3.0  # rows, where χ² asks for 5: with fewer, the p-value is too small


def g_test(reference: Reference, summary: Summary) -> Measurement:
    r"""Whether categories come as often as they did, rare ones told apart, for categorical and boolean columns.

    Parameters
    ----------
    reference
        a_i of n rows in category i.
    summary
        b_i of m rows.

    Notes
    -----
    G = 2·Σ (a_i·ln(a_i / A_i) + b_i·ln(b_i / B_i)) with A_i = n·(a_i + b_i)/(n + m) and B_i likewise of m. Categories are
    merged only until both samples expect 3 rows of each, so that change among rare ones is not lost. With so few rows G is
    larger than χ² on B - 1 degrees of freedom; divided by Williams' q = 1 + (1/n + 1/m - 1/(n + m))·(Σ (n + m)/(a_i + b_i)
    - 1) / (6·(B - 1)) it is that in the mean, which gives the p-value. The statistic is the Jensen-Shannon distance over
    these categories, less what chance makes of it: √(max(0, D - (B - 1)·(1/n + 1/m)/(8·ln 2))), D = ½·Σ (p_i·log₂(p_i / r_i)
    + q_i·log₂(q_i / r_i)), p = a/n, q = b/m, r = (p + q)/2.

    Examples
    --------
    >>> import numpy as np
    >>> from tenure_agent.builder import Rows, build_reference
    >>> from tenure_agent.tally import summarise
    >>> key, texts = ("feature", "x"), np.array(["a", "b"], object)
    >>> reference = build_reference("m", "1", Rows({key: np.repeat(texts, [200, 800])}))
    >>> [summary] = summarise(reference.layout, {key: np.repeat(texts, [400, 600])}, np.zeros(1000, int), 1)
    >>> round(float(g_test(reference, summary).statistic[0]), 3)
    0.186

    References
    ----------
    Williams, D. (1976). Improved likelihood ratio tests for complete contingency tables. Biometrika 63(1), 33-37.
    Koehler, K. and Larntz, K. (1980). An empirical investigation of goodness-of-fit statistics for sparse multinomials.
    JASA 75(370), 336-344: without a correction, rare cells make G reject too often.
    """
    merged = pair_of_categories(reference, summary, MIN_EXPECTED)
    freedom = merged.bins - 1
    chance = special.chdtrc(np.maximum(freedom, 1), likelihood_ratio(merged) / williams(merged))
    measurable = (np.diff(merged.starts) > 0) & (merged.n > 0) & (merged.m > 0)
    with np.errstate(invalid="ignore"):
        beyond = np.maximum(divergence(merged) - freedom * merged.unit / (8 * np.log(2)), 0.0)
    return measurement(np.sqrt(beyond), np.where(freedom > 0, chance, 1.0), measurable)


def likelihood_ratio(pair: Pair) -> Array:
    """G per column, without a correction; 0 where a sample is empty."""
    both, rows = pair.first + pair.second, np.maximum(pair.n + pair.m, 1)
    terms = (
        special.xlogy(pair.first, pair.first)
        + special.xlogy(pair.second, pair.second)
        - special.xlogy(both, both)
        - special.xlogy(pair.first, (pair.n / rows)[pair.column])
        - special.xlogy(pair.second, (pair.m / rows)[pair.column])
    )
    return np.where((pair.n > 0) & (pair.m > 0), np.maximum(2 * pair.sums(terms), 0.0), 0.0)


def williams(pair: Pair) -> Array:
    """What the mean of G exceeds that of χ² by, per column."""
    n, m = np.maximum(pair.n, 1), np.maximum(pair.m, 1)
    both = pair.first + pair.second
    cells = pair.sums(np.where(both > 0, (n + m)[pair.column] / np.where(both > 0, both, 1.0), 0.0)) - 1
    found: Array = 1 + (1 / n + 1 / m - 1 / (n + m)) * cells / (6 * np.maximum(pair.bins - 1, 1))
    return found


def divergence(pair: Pair) -> Array:
    """Jensen-Shannon divergence per column, in bits."""
    p, q = pair.first / np.maximum(pair.n, 1)[pair.column], pair.second / np.maximum(pair.m, 1)[pair.column]
    middle = np.where(p + q > 0, (p + q) / 2, 1.0)
    nats = pair.sums(special.xlogy(p, p / middle) + special.xlogy(q, q / middle)) / 2
    found: Array = np.clip(nats / np.log(2), 0.0, 1.0)
    return found


G_TEST = Detector("g_test", g_test, 0.1, explain)
