"""Chances of counts, had nothing changed between two samples and were rows independent."""

from __future__ import annotations

import numpy as np

from tenure_agent import special
from tenure_agent.bins import Array

FEW = 25  # rows expected, below which the normal approximation will not do


def chance_of_more(second: Array, m: Array, first: Array, n: Array) -> Array:
    """The chance of a share at least as much larger in the second sample; 1 where it is no larger.

    Parameters
    ----------
    second, first
        How many of m rows, and how many of n.

    Notes
    -----
    With p = (a + b)/(n + m), a normal tail at (b/m - a/n - c)/√(p(1-p)(1/n + 1/m)), c = (1/n + 1/m)/2 being Yates'
    correction for continuity. Where either sample expects fewer than 25 rows with or without, the tail of
    Binomial(a + b, m/(n + m)) instead, which a share that is rare approaches and no other exceeds.

    References
    ----------
    Przyborowski, J. and Wilenski, H. (1940). Homogeneity of results in testing samples from Poisson series. Biometrika
    31(3/4), 313-323.
    """
    a, b, n, m = (np.asarray(value, np.float64) for value in (first, second, n, m))
    if not b.any():  # most often: no value is missing, none mistyped
        return np.ones(np.broadcast_shapes(*(value.shape for value in (a, b, n, m))))
    with np.errstate(all="ignore"):
        pooled, unit = (a + b) / (n + m), 1 / n + 1 / m
        excess = b / m - a / n
        z = np.maximum(excess - unit / 2, 0.0) / np.sqrt(pooled * (1 - pooled) * unit)
        few = np.minimum(n, m) * np.minimum(pooled, 1 - pooled) < FEW
        rare = few & (excess > 0)
        exact = special.betainc(np.maximum(b, 1), a + 1, m / (n + m), where=rare, out=np.zeros(rare.shape))
        found: Array = np.where(excess > 0, np.where(few, exact, special.ndtr(-z)), 1.0)
    return found


def chance_of_difference(second: Array, m: Array, first: Array, n: Array) -> Array:
    """The chance of shares at least as far apart: twice the smaller tail."""
    tails = chance_of_more(second, m, first, n), chance_of_more(first, n, second, m)
    found: Array = np.minimum(2 * np.minimum(*tails), 1.0)
    return found
