"""Categories that nobody knows."""

from __future__ import annotations

import numpy as np

from tenure_agent.detectors.chances import chance_of_more
from tenure_agent.detectors.detector import Detector, Measurement, measurement, nothing, percent
from tenure_agent.reference import Reference
from tenure_agent.summary import Summary


def new_category(reference: Reference, summary: Summary) -> Measurement:
    r"""Share of values in no category the reference names, beyond the share it had of them, for categorical columns.

    Parameters
    ----------
    reference
        a of n values in none of the categories it names: those too rare to be named.
    summary
        b of m values.

    Notes
    -----
    max(0, b/m - a/n). The p-value is the one-sided one of two proportions, a being taken to be larger by the rows of the
    categories that only just were frequent enough to be named: so many are expected in none (Good and Turing).

    Examples
    --------
    >>> import numpy as np
    >>> from tenure_agent.builder import Rows, build_reference
    >>> from tenure_agent.tally import summarise
    >>> key, texts = ("feature", "x"), np.array(["a", "b", "z"], object)
    >>> reference = build_reference("m", "1", Rows({key: np.repeat(texts, [60, 40, 0])}))
    >>> [summary] = summarise(reference.layout, {key: np.repeat(texts, [50, 30, 20])}, np.zeros(100, int), 1)
    >>> new_category(reference, summary).statistic
    array([0.2])
    >>> explain(reference, summary, 0)
    "20 % of its values are in no category of the reference, most often 'z' (20 %)"

    References
    ----------
    Good, I. (1953). The population frequencies of species and the estimation of population parameters. Biometrika
    40(3/4), 237-264.
    """
    if reference.layout.ordered.all():
        return nothing(reference)
    layout, other = reference.layout, reference.baseline.last
    first, n = reference.summary.counts[other], reference.summary.rows
    second, m = summary.counts[other], summary.rows
    with np.errstate(divide="ignore", invalid="ignore"):
        excess = np.maximum(second / m - first / n, 0.0)
    return measurement(
        excess, chance_of_more(second, m, first + reference.baseline.doubtful, n), ~layout.ordered & (n > 0) & (m > 0)
    )


def explain(reference: Reference, summary: Summary, column: int) -> str:
    """In words, with the most frequent of them where many rows share it."""
    rows = int(summary.rows[column])
    share = int(summary.counts[reference.baseline.last[column]]) / rows
    found = summary.hitters[column]
    told = f"{percent(share)} of its values are in no category of the reference"
    if not found:
        return told
    name = max(found, key=lambda value: (found[value], str(value)))
    return f"{told}, most often {name!r} ({percent(found[name] / rows)})"


NEW_CATEGORY = Detector("new_category", new_category, 0.01, explain)
