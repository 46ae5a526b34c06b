"""Categories that do not come any more."""

from __future__ import annotations

import numpy as np

from tenure_agent import special
from tenure_agent.bins import Array
from tenure_agent.detectors.detector import Detector, Measurement, measurement, nothing, percent
from tenure_agent.reference import Reference
from tenure_agent.summary import Summary


def vanished_category(reference: Reference, summary: Summary) -> Measurement:
    r"""Share that categories not seen any more had in the reference, for categorical columns.

    Parameters
    ----------
    reference
        a_i of n values in category i, K categories.
    summary
        b_i of m values.

    Notes
    -----
    Σ a_i / n over the categories with b_i = 0. Had nothing changed, all a_i rows of a category fall into the reference
    with a chance of (n/(n + m))^a_i or less; the p-value is that of the most frequent one that vanished, times K
    (Bonferroni), at most 1.

    Examples
    --------
    >>> import numpy as np
    >>> from tenure_agent.builder import Rows, build_reference
    >>> from tenure_agent.tally import summarise
    >>> key, texts = ("feature", "x"), np.array(["a", "b", "c"], object)
    >>> reference = build_reference("m", "1", Rows({key: np.repeat(texts, [50, 30, 20])}))
    >>> [summary] = summarise(reference.layout, {key: np.repeat(texts, [60, 40, 0])}, np.zeros(100, int), 1)
    >>> vanished_category(reference, summary).statistic
    array([0.2])
    >>> explain(reference, summary, 0)
    "'c' does not come any more: 20 % of the reference's values"

    References
    ----------
    Good, I. (1953). The population frequencies of species and the estimation of population parameters. Biometrika
    40(3/4), 237-264.
    """
    if reference.layout.ordered.all():
        return nothing(reference)
    layout = reference.layout
    n, m = reference.summary.rows.astype(float), summary.rows.astype(float)
    gone, column = _gone(reference, summary)
    rows = reference.summary.counts[gone].astype(float)
    share = np.bincount(column, rows, len(layout)) / np.maximum(n, 1)
    most = np.zeros(len(layout))
    np.maximum.at(most, column, rows)
    chance = np.minimum(special.xlog1py(most, -m / np.maximum(n + m, 1)) + np.log(layout.widths), 0.0)
    return measurement(share, np.exp(np.where(most > 0, chance, 0.0)), ~layout.ordered & (n > 0) & (m > 0))


def _gone(reference: Reference, summary: Summary) -> tuple[Array, Array]:
    """Bins of categories that have rows in the reference alone, and the column of each."""
    baseline = reference.baseline
    named = ~reference.layout.ordered[baseline.singles_column]
    bins, column = baseline.singles[named], baseline.singles_column[named]
    gone = (summary.counts[bins] == 0) & (reference.summary.counts[bins] > 0)
    return bins[gone], column[gone]


def explain(reference: Reference, summary: Summary, column: int) -> str:
    """In words."""
    gone, of = _gone(reference, summary)
    gone = gone[of == column]
    rows = reference.summary.counts[gone]
    most = int(gone[np.argmax(rows)] - reference.layout.offsets[column])
    share = percent(float(rows.sum() / reference.summary.rows[column]))
    name = repr(reference.layout.columns[column].categories[most])
    if len(gone) == 1:
        return f"{name} does not come any more: {share} of the reference's values"
    return f"{len(gone)} categories do not come any more, {name} among them: {share} of the reference's values"


VANISHED_CATEGORY = Detector("vanished_category", vanished_category, 0.01, explain)
