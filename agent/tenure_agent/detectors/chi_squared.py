"""Pearson's χ² of two samples, for categories and booleans."""

from __future__ import annotations

import numpy as np

from tenure_agent import special
from tenure_agent.bins import Array
from tenure_agent.detectors.detector import Detector, Measurement, measurement, nothing, percent
from tenure_agent.detectors.pairs import Pair, pair_of_categories
from tenure_agent.reference import Reference
from tenure_agent.summary import Summary


def chi_squared(reference: Reference, summary: Summary) -> Measurement:
    r"""Whether categories come as often as they did, for categorical and boolean columns.

    Parameters
    ----------
    reference
        a_i of n rows in category i.
    summary
        b_i of m rows.

    Notes
    -----
    χ² = Σ (b_i·√(n/m) - a_i·√(m/n))² / (a_i + b_i) over categories, the rarest merged until both samples expect at least
    5 rows of each; with B of them it has B - 1 degrees of freedom had nothing changed. The reference is a sample too:
    taken for the truth (one-sample χ²), its own chance would count as drift. χ² grows with n, so the statistic is
    Cramér's V of samples of equal size: √(½·Σ (p_i - q_i)² / (p_i + q_i)) with shares p = a/n and q = b/m, 0 where they
    are alike and 1 where no category is in both.

    Examples
    --------
    >>> import numpy as np
    >>> from tenure_agent.builder import Rows, build_reference
    >>> from tenure_agent.tally import summarise
    >>> key, texts = ("feature", "x"), np.array(["a", "b"], object)
    >>> reference = build_reference("m", "1", Rows({key: np.repeat(texts, [200, 800])}))
    >>> [summary] = summarise(reference.layout, {key: np.repeat(texts, [400, 600])}, np.zeros(1000, int), 1)
    >>> round(float(chi_squared(reference, summary).statistic[0]), 3)
    0.218

    References
    ----------
    Cramér, H. (1946). Mathematical Methods of Statistics, chapters 21 and 30. Princeton University Press.
    """
    if not len(reference.baseline.cells[0]):
        return nothing(reference)
    merged = pair_of_categories(reference, summary)
    p_value = special.chdtrc(np.maximum(merged.bins - 1, 1), pearson(merged))
    measurable = (np.diff(merged.starts) > 0) & (merged.n > 0) & (merged.m > 0)
    return measurement(cramer(merged), np.where(merged.bins > 1, p_value, 1.0), measurable)


def pearson(pair: Pair) -> Array:
    """Two-sample χ² per column; 0 where a sample is empty."""
    n, m = np.maximum(pair.n, 1), np.maximum(pair.m, 1)
    apart = pair.second * np.sqrt(n / m)[pair.column] - pair.first * np.sqrt(m / n)[pair.column]
    return np.where((pair.n > 0) & (pair.m > 0), pair.sums(_square_over(apart, pair.first + pair.second)), 0.0)


def cramer(pair: Pair) -> Array:
    """Cramér's V per column, of samples of equal size."""
    p, q = pair.first / np.maximum(pair.n, 1)[pair.column], pair.second / np.maximum(pair.m, 1)[pair.column]
    found: Array = np.sqrt(np.minimum(pair.sums(_square_over(p - q, p + q)) / 2, 1.0))
    return found


def _square_over(apart: Array, together: Array) -> Array:
    found: Array = apart * apart / np.where(together > 0, together, 1.0)
    return found


def explain(reference: Reference, summary: Summary, column: int) -> str:
    """In words: the category whose share changed most."""
    stretch = reference.layout.stretch(column)
    before, now = reference.summary.counts[stretch], summary.counts[stretch]
    p, q = before / max(before.sum(), 1), now / max(now.sum(), 1)
    most = int(np.argmax(np.abs(q - p)))
    return (
        f"{reference.layout.columns[column].label(most)} is {percent(q[most])} of its values, {percent(p[most])} before"
    )


CHI_SQUARED = Detector("chi_squared", chi_squared, 0.1, explain)
