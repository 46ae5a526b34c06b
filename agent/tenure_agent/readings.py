"""How far one window lies from another, per column: the two readings that surprise is judged by."""

from __future__ import annotations

import numpy as np

from tenure_agent.bins import Array
from tenure_agent.coarse import Coarse

MOST = 0.999


def distances(first: Array, second: Array, coarse: Coarse) -> Array:
    """Jensen-Shannon distances, per column.

    Parameters
    ----------
    first, second
        Counts over coarse bins, along the last axis; shapes (…, bins) that broadcast.

    Returns
    -------
    float64 (…, columns) in [0, 1]: the square root of H((p+q)/2) - (H(p) + H(q))/2, H in bits; 0 where either has no
    rows. What is missing is a bin like others.

    References
    ----------
    Lin, J. (1991). Divergence measures based on the Shannon entropy. IEEE Transactions on Information Theory 37(1).
    """
    p, q = coarse.shares(first), coarse.shares(second)
    middle = (p + q) / 2
    divergence = coarse.sums(_bits(middle) - (_bits(p) + _bits(q)) / 2)
    found: Array = np.sqrt(np.clip(divergence, 0.0, 1.0))
    empty = (coarse.sums(first) == 0) | (coarse.sums(second) == 0)
    return np.where(empty, 0.0, found)


def missing_moves(first: Array, second: Array, coarse: Coarse) -> Array:
    """float64 (…, columns) in [0, 1]: how far the shares of missing values lie apart. Parameters as in `distances`."""
    p, q = coarse.shares(first)[..., coarse.missing], coarse.shares(second)[..., coarse.missing]
    found: Array = np.abs(p - q)
    return found


def stretched(distance: Array) -> Array:
    """x/√(1-x²): a distance near 1, where all bins differ, would else leave no room above it."""
    near = np.minimum(distance, MOST)
    found: Array = near / np.sqrt(1.0 - near * near)
    return found


def unstretched(value: Array) -> Array:
    """The distance that gives a stretched value."""
    found: Array = value / np.sqrt(1.0 + value * value)
    return found


def _bits(shares: Array) -> Array:
    found: Array = -shares * np.log2(np.where(shares > 0, shares, 1.0))
    return found
