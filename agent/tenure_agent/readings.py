"""How far windows lie apart: shares of missing values, and distances on a scale that leaves room at its end."""

from __future__ import annotations

import numpy as np

from tenure_agent.bins import Array
from tenure_agent.coarse import Coarse

MOST = 0.999


def missing_moves(first: Array, second: Array, coarse: Coarse) -> Array:
    """float64 (…, columns) in [0, 1]: how far shares of missing values lie apart. Shares over coarse bins, as of `distances_of`."""
    found: Array = np.abs(first[..., coarse.missing] - second[..., coarse.missing])
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
