"""Rows that come, against how many came at such times before.

It judges a version, not a column, and against live traffic: a reference of training data says nothing of how fast
requests come. So it is no `Detector` of the registry; its caller hands it the counts.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import special

from tenure_agent.bins import Array

MIN_EARLIER = 3


def volume_change(earlier: Array, rows: int) -> tuple[float, float]:
    r"""How many times more or fewer rows came than in earlier windows.

    Parameters
    ----------
    earlier
        int64: rows of k windows of the same length at the same phase of the season, such as the same hour of earlier days
        or weeks, in any order.
    rows
        Of the window in question.

    Returns
    -------
    Statistic and p-value; NaN in both for fewer than three earlier windows.

    Notes
    -----
    With y = ln(rows + ½) and M the median of the same of the earlier windows, the statistic is |y - M| / ln 2: 1 for twice
    or half as many. The p-value is that of t = (y - M) / (s·√(1 + 1/k)) with k - 1 degrees of freedom, s being 1.4826 times
    the median distance from M, but no less than a Poisson count's 1/√(e^M).

    Examples
    --------
    >>> import numpy as np
    >>> earlier = np.array([1020, 980, 1003, 1010, 995])
    >>> statistic, p_value = volume_change(earlier, 500)
    >>> round(statistic, 2), p_value < 0.001
    (1.0, True)
    >>> explain(earlier, 500)
    '500 rows, 1003 at such times before'

    References
    ----------
    Rousseeuw, P. and Croux, C. (1993). Alternatives to the median absolute deviation. JASA 88(424), 1273-1283.
    """
    k = len(earlier)
    if k < MIN_EARLIER:
        return math.nan, math.nan
    logs = np.log(np.asarray(earlier, np.float64) + 0.5)
    median = float(np.median(logs))
    spread = max(1.4826 * float(np.median(np.abs(logs - median))), math.exp(-median / 2))
    moved = abs(math.log(rows + 0.5) - median)
    p_value = 2 * float(special.stdtr(k - 1, -moved / (spread * math.sqrt(1 + 1 / k))))
    return moved / math.log(2), p_value


def explain(earlier: Array, rows: int) -> str:
    """In words."""
    return f"{rows} rows, {np.median(earlier):.0f} at such times before"
