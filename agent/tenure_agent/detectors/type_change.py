"""Values of another type."""

from __future__ import annotations

import numpy as np

from tenure_agent.detectors.chances import chance_of_more
from tenure_agent.detectors.detector import Detector, Measurement, measurement, percent
from tenure_agent.reference import Reference
from tenure_agent.summary import Summary


def type_change(reference: Reference, summary: Summary) -> Measurement:
    r"""Share of rows whose value is a text where the reference holds numbers, for numeric and boolean columns.

    Parameters
    ----------
    reference
        a of n rows mistyped.
    summary
        b of m rows.

    Notes
    -----
    max(0, b/m - a/n): 1 where a column is wholly of the other type. The p-value is the one-sided one of two proportions.
    A number in a column of categories counts as its text, so that only `new_category` sees it.

    Examples
    --------
    >>> import numpy as np
    >>> from tenure_agent.builder import Rows, build_reference
    >>> from tenure_agent.tally import summarise
    >>> key, values = ("feature", "x"), np.arange(100.0)
    >>> reference = build_reference("m", "1", Rows({key: values}))
    >>> [summary] = summarise(reference.layout, {key: np.array(["12 EUR", None], object)}, np.zeros(2, int), 1)
    >>> type_change(reference, summary).statistic
    array([0.5])

    References
    ----------
    Breck, E. et al. (2019). Data validation for machine learning. Proceedings of Machine Learning and Systems 1, 334-347.
    """
    first, n = reference.summary.mistyped, reference.summary.seen
    second, m = summary.mistyped, summary.seen
    with np.errstate(divide="ignore", invalid="ignore"):
        excess = np.maximum(second / m - first / n, 0.0)
    return measurement(excess, chance_of_more(second, m, first, n), reference.layout.ordered & (n > 0) & (m > 0))


def explain(reference: Reference, summary: Summary, column: int) -> str:
    """In words."""
    if not summary.rows[column]:
        return "all its values are texts, numbers in the reference"
    now, before = (sample.mistyped[column] / sample.seen[column] for sample in (summary, reference.summary))
    return f"in {percent(now)} of rows it is a text instead of a number, {percent(before)} in the reference"


TYPE_CHANGE = Detector("type_change", type_change, 0.01, explain)
