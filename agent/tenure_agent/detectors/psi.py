"""Population stability index."""

from __future__ import annotations

import numpy as np

from tenure_agent import special
from tenure_agent.bins import Array
from tenure_agent.detectors.detector import Detector, Measurement, measurement
from tenure_agent.detectors.pairs import Pair, merge_small, pair_of, pair_of_categories
from tenure_agent.reference import Reference
from tenure_agent.summary import Summary


def population_stability_index(reference: Reference, summary: Summary) -> Measurement:
    r"""Symmetrised divergence between two sets of shares, for numeric and categorical columns.

    Parameters
    ----------
    reference
        n rows per column. Numeric columns are compared over its ten bins of equal mass, common values apart; others
        over its twelve most frequent categories and one bin for the rest. What is missing does not count.
    summary
        m rows per column.

    Notes
    -----
    PSI = Σ (p_i - q_i)·ln(p_i / q_i) with shares p = (c + ½) / (n + B/2) over the B bins that hold anything, so that an
    empty bin is not infinite. Had nothing changed, PSI / (1/n + 1/m) is χ² with B - 1 degrees of freedom; that gives
    the p-value for any n and m, over bins merged until both samples expect at least 5 rows of each; of a categorical
    column over all its categories, since the most frequent twelve of the reference are in part so by chance. (The customary 0.1
    and 0.2 are the effect of large samples only: at n = m = 200 with ten bins, chance alone gives 0.09.)

    Examples
    --------
    >>> import numpy as np
    >>> from tenure_agent.builder import Rows, build_reference
    >>> from tenure_agent.tally import summarise
    >>> key = ("feature", "x")
    >>> reference = build_reference("m", "1", Rows({key: np.arange(1000) / 10}))
    >>> [same] = summarise(reference.layout, {key: np.arange(1000) / 10}, np.zeros(1000, int), 1)
    >>> [moved] = summarise(reference.layout, {key: np.arange(1000) / 12.5}, np.zeros(1000, int), 1)
    >>> float(population_stability_index(reference, same).statistic[0])
    0.0
    >>> round(float(population_stability_index(reference, moved).statistic[0]), 2)
    0.99

    References
    ----------
    Yurdakul, B. (2018). Statistical properties of population stability index. Western Michigan University.
    """
    pair = present(reference, summary)
    ordered = reference.layout.ordered
    p_value = _chance(merge_small(pair, np.zeros(len(ordered), bool)))
    if not ordered.all():
        p_value = np.where(ordered, p_value, _chance(pair_of_categories(reference, summary)))
    return measurement(divergence(pair), p_value, (pair.n > 0) & (pair.m > 0))


def _chance(merged: Pair) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        chance = special.chdtrc(np.maximum(merged.bins - 1, 1), divergence(merged) / merged.unit)
    return np.where(merged.bins > 1, chance, 1.0)


def present(reference: Reference, summary: Summary) -> Pair:
    """Both over the coarse bins, without what is missing."""
    first, second = reference.baseline.coarse.copy(), reference.baseline.sample(summary).coarse.copy()
    first[reference.coarse.missing] = second[reference.coarse.missing] = 0
    return pair_of(first, second, reference.coarse.starts)


def divergence(pair: Pair) -> Array:
    """PSI per column, over the bins that hold anything."""
    half = pair.bins / 2
    p = (pair.first + 0.5) / np.maximum(pair.n + half, 0.5)[pair.column]
    q = (pair.second + 0.5) / np.maximum(pair.m + half, 0.5)[pair.column]
    found: Array = np.maximum(pair.sums(np.where(pair.held, (p - q) * np.log(p / q), 0.0)), 0.0)
    return found


def explain(reference: Reference, summary: Summary, column: int) -> str:
    """In words."""
    psi = population_stability_index(reference, summary).statistic[column]
    return f"the shares of its values have changed (PSI {psi:.2f})"


PSI = Detector("psi", population_stability_index, 0.1, explain)
