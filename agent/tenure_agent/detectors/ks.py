"""Two-sample Kolmogorov-Smirnov, from binned counts."""

from __future__ import annotations

import numpy as np
from scipy import special

from tenure_agent.detectors.detector import Measurement, column_sums
from tenure_agent.reference import NUMERIC, Reference
from tenure_agent.summary import Summary


def kolmogorov_smirnov(reference: Reference, summary: Summary) -> Measurement:
    r"""Greatest distance between two empirical distribution functions, for numeric columns.

    Parameters
    ----------
    reference
        n rows per column, in its own bins.
    summary
        m rows per column, in the same bins.

    Notes
    -----
    D = max over bin edges x of |F_ref(x) - F_cur(x)|. Between two edges the exact statistic can be larger by at most
    the reference's mass in that bin: 1/1024, or nothing where a value has a bin of its own.
    p = K(D·√(nm/(n+m))), K being the survival function of Kolmogorov's distribution (asymptotic; independent rows).

    Examples
    --------
    >>> import numpy as np
    >>> from tenure_agent.reference import build_reference
    >>> from tenure_agent.summary import summarise
    >>> key = ("feature", "x")
    >>> reference = build_reference("m", "1", {key: np.arange(100.0)})
    >>> [summary] = summarise(reference, {key: np.arange(100.0) + 50}, np.zeros(100, int), 1)
    >>> kolmogorov_smirnov(reference, summary).statistic
    array([0.5])

    References
    ----------
    Smirnov, N. (1948). Table for estimating the goodness of fit of empirical distributions.
    Annals of Mathematical Statistics 19(2), 279-281.
    """
    offsets = reference.offsets
    n = column_sums(reference.counts, offsets).astype(float)
    m = column_sums(summary.counts, offsets).astype(float)
    numeric = np.array([column.kind == NUMERIC for column in reference.columns], bool)
    measurable = numeric & (n > 0) & (m > 0)
    widths = np.diff(offsets)
    with np.errstate(divide="ignore", invalid="ignore"):
        steps = reference.counts / np.repeat(n, widths) - summary.counts / np.repeat(m, widths)
        steps[~np.isfinite(steps)] = 0.0
        running = np.cumsum(steps)
        before = np.repeat(np.concatenate(([0.0], running))[offsets[:-1]], widths)
        distance = np.maximum.reduceat(np.abs(running - before), offsets[:-1]) if len(running) else np.empty(0)
        p_value = special.kolmogorov(distance * np.sqrt(n * m / (n + m)))
    # Sums of shares carry rounding: a distance below it is none.
    distance = np.where(distance < 1e-12, 0.0, distance)
    return Measurement(np.where(measurable, distance, np.nan), np.where(measurable, p_value, np.nan))
