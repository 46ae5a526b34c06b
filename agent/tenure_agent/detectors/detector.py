"""What a detector is and what it gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tenure_agent.reference import Reference
from tenure_agent.summary import Summary

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Measurement:
    """One detector on all columns of a reference; float64 arrays, NaN where a column cannot be measured.

    `statistic` is also the effect size; `p_value` the chance of one as large had nothing changed and rows were
    independent.
    """

    statistic: Array
    p_value: Array


Detector = Callable[[Reference, Summary], Measurement]


def column_sums(values: Array, offsets: Array) -> Array:
    """Sums over each column's stretch of a flat vector; bins are along the last axis."""
    zero = np.zeros((*values.shape[:-1], 1), values.dtype)
    totals = np.concatenate((zero, np.cumsum(values, -1)), -1)
    sums: Array = totals[..., offsets[1:]] - totals[..., offsets[:-1]]
    return sums
