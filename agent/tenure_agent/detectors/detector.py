"""What a detector is and what it gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tenure_agent.bins import Array
from tenure_agent.reference import Reference
from tenure_agent.summary import Summary


@dataclass(frozen=True, slots=True)
class Measurement:
    """One detector on all columns of a reference; float64 arrays, NaN where a column cannot be measured.

    `statistic` is also the effect size. `p_value` is the chance of one as large had nothing changed and were rows
    independent; NaN where the detector has none.
    """

    statistic: Array
    p_value: Array


@dataclass(frozen=True, slots=True)
class Detector:
    """A pure function of a reference and a summary, vectorised over columns.

    Parameters
    ----------
    floor
        A statistic below it says nothing that matters, however certain it is.
    explain
        What it found in one column, in words: for columns whose statistic is over the floor.
    """

    name: str
    measure: Callable[[Reference, Summary], Measurement]
    floor: float
    explain: Callable[[Reference, Summary, int], str]


def column_sums(values: Array, offsets: Array) -> Array:
    """Sums over each column's stretch of a flat vector; bins are along the last axis."""
    zero = np.zeros((*values.shape[:-1], 1), values.dtype)
    totals = np.concatenate((zero, np.cumsum(values, -1)), -1)
    sums: Array = totals[..., offsets[1:]] - totals[..., offsets[:-1]]
    return sums
