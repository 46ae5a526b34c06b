"""Values that do not come any more, or that now do."""

from __future__ import annotations

import numpy as np

from tenure_agent.bins import Array
from tenure_agent.detectors.chances import chance_of_difference
from tenure_agent.detectors.detector import Detector, Measurement, measurement, percent
from tenure_agent.reference import Reference
from tenure_agent.summary import Summary


def missing_share(reference: Reference, summary: Summary) -> Measurement:
    r"""How far the shares of missing values lie apart, for all columns.

    Parameters
    ----------
    reference
        a of n rows without a value.
    summary
        b of m rows. A value of the wrong type is none, but counts for `type_change`, not here.

    Notes
    -----
    |b/m - a/n|; the p-value is that of two proportions, two-sided, as `chances` has it.

    Examples
    --------
    >>> import numpy as np
    >>> from tenure_agent.builder import Rows, build_reference
    >>> from tenure_agent.tally import summarise
    >>> key, values = ("feature", "x"), np.arange(100.0)
    >>> reference = build_reference("m", "1", Rows({key: values}))
    >>> [summary] = summarise(reference.layout, {key: np.where(values < 20, np.nan, values)}, np.zeros(100, int), 1)
    >>> missing_share(reference, summary).statistic
    array([0.2])

    References
    ----------
    Wilson, E. (1927). Probable inference, the law of succession, and statistical inference. JASA 22(158), 209-212.
    """
    first, n, second, m = _counts(reference, summary)
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = np.abs(second / m - first / n)
    return measurement(apart, chance_of_difference(second, m, first, n), (n > 0) & (m > 0))


def _counts(reference: Reference, summary: Summary) -> tuple[Array, Array, Array, Array]:
    before = reference.summary
    return before.missing - before.mistyped, before.seen, summary.missing - summary.mistyped, summary.seen


def explain(reference: Reference, summary: Summary, column: int) -> str:
    """In words."""
    first, n, second, m = (int(counts[column]) for counts in _counts(reference, summary))
    return f"{percent(second / m)} of its values are missing, {percent(first / n)} in the reference"


MISSING = Detector("missing", missing_share, 0.05, explain)
