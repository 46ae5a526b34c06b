"""Jensen-Shannon distance."""

from __future__ import annotations

import numpy as np

from tenure_agent.bins import Array
from tenure_agent.coarse import Coarse
from tenure_agent.detectors.detector import Detector, Measurement, measurement
from tenure_agent.reference import Reference
from tenure_agent.summary import Summary


def jensen_shannon(reference: Reference, summary: Summary) -> Measurement:
    r"""How far two sets of shares lie apart, in [0, 1], for all columns; what is missing is a bin like others.

    Parameters
    ----------
    reference
        n rows per column, over its coarse bins.
    summary
        m rows per column.

    Notes
    -----
    J = √(½·Σ p_i·log₂(p_i / r_i) + ½·Σ q_i·log₂(q_i / r_i)) with r = (p + q)/2: 0 where shares are alike, 1 where no bin
    is in both. It has no p-value: it is held against how far stretches of the reference lie from the rest of it.

    Examples
    --------
    >>> import numpy as np
    >>> from tenure_agent.builder import Rows, build_reference
    >>> from tenure_agent.tally import summarise
    >>> key = ("feature", "x")
    >>> reference = build_reference("m", "1", Rows({key: np.repeat([1.0, 2.0], 50)}))
    >>> [summary] = summarise(reference.layout, {key: np.repeat([1.0, 3.0], 50)}, np.zeros(100, int), 1)
    >>> round(float(jensen_shannon(reference, summary).statistic[0] ** 2), 3)
    0.5

    References
    ----------
    Lin, J. (1991). Divergence measures based on the Shannon entropy. IEEE Transactions on Information Theory 37(1).
    Endres, D. and Schindelin, J. (2003). A new metric for probability distributions. The same, 49(7).
    """
    coarse = reference.coarse
    baseline = reference.baseline
    statistic = distances(baseline.coarse, baseline.sample(summary).coarse, coarse)
    return measurement(statistic, np.full(len(coarse), np.nan), (reference.summary.seen > 0) & (summary.seen > 0))


def distances(first: Array, second: Array, coarse: Coarse) -> Array:
    """Jensen-Shannon distances, per column.

    Parameters
    ----------
    first, second
        Counts over coarse bins, along the last axis; shapes (…, bins) that broadcast.

    Returns
    -------
    float64 (…, columns) in [0, 1]; 0 where either has no rows.
    """
    return distances_of(coarse.shares(first), coarse.shares(second), coarse)


def distances_of(p: Array, q: Array, coarse: Coarse) -> Array:
    """`distances`, of shares; where there are no rows they are 0."""
    middle = (p + q) / 2
    bits = coarse.sums(_bits(p, middle) + _bits(q, middle)) / 2
    both = (coarse.sums(p) > 0) & (coarse.sums(q) > 0)
    return np.where(both, np.sqrt(np.clip(bits, 0.0, 1.0)), 0.0)


def _bits(shares: Array, middle: Array) -> Array:
    found: Array = shares * np.log2(np.where(shares > 0, shares / np.where(middle > 0, middle, 1.0), 1.0))
    return found


def explain(reference: Reference, summary: Summary, column: int) -> str:
    """In words."""
    distance = jensen_shannon(reference, summary).statistic[column]
    return f"the shares of its values have changed (Jensen-Shannon {distance:.2f})"


JENSEN_SHANNON = Detector("jensen_shannon", jensen_shannon, 0.1, explain)
