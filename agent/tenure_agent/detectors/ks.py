"""Two-sample Kolmogorov-Smirnov, from binned counts."""

from __future__ import annotations

import numpy as np

from tenure_agent import special
from tenure_agent.detectors.detector import Detector, Measurement, measurement
from tenure_agent.reference import Reference
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
    the reference's mass in that bin: 1/1024 (5/n where that is more, n < 5,120), or nothing where a value has a bin of its
    own, as one has that more rows than that share. D is never larger than the exact one, nor p smaller.
    p = K(D·√(nm/(n+m))), K being the survival function of Kolmogorov's distribution (asymptotic; independent rows).

    Examples
    --------
    >>> import numpy as np
    >>> from tenure_agent.builder import Rows, build_reference
    >>> from tenure_agent.tally import summarise
    >>> key, values = ("feature", "x"), np.sin(np.arange(100.0))
    >>> reference = build_reference("m", "1", Rows({key: values}))
    >>> [summary] = summarise(reference.layout, {key: values[:50]}, np.zeros(50, int), 1)
    >>> round(float(kolmogorov_smirnov(reference, summary).statistic[0]), 3)
    0.02

    References
    ----------
    Smirnov, N. (1948). Table for estimating the goodness of fit of empirical distributions.
    Annals of Mathematical Statistics 19(2), 279-281.
    """
    n, m = reference.summary.rows.astype(float), summary.rows.astype(float)
    gaps = np.abs(reference.baseline.sample(summary).reached - reference.baseline.reached)
    distance = np.maximum.reduceat(gaps, reference.baseline.first) if len(n) else n
    with np.errstate(divide="ignore", invalid="ignore"):
        p_value = special.kolmogorov(distance * np.sqrt(n * m / (n + m)))
    return measurement(distance, p_value, reference.layout.ordered & (n > 0) & (m > 0))


def explain(reference: Reference, summary: Summary, column: int) -> str:
    """In words."""
    distance = kolmogorov_smirnov(reference, summary).statistic[column]
    return f"its values lie elsewhere (KS {distance:.2f})"


KS = Detector("ks", kolmogorov_smirnov, 0.1, explain)
