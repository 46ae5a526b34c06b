"""What a detector is and what it gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from tenure_agent.bins import Array
from tenure_agent.reference import Reference
from tenure_agent.summary import Summary


@dataclass(frozen=True, slots=True)
class Measurement:
    """One detector on all columns of a reference; float64 arrays, NaN where a column cannot be measured.

    `statistic` is also the effect size. `p_value` is the chance of one as large had nothing changed and were rows
    independent; NaN where the detector has none. `faults` says of which columns, by number, it failed, and why.
    """

    statistic: Array
    p_value: Array
    faults: Mapping[int, str] = field(default_factory=dict)


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


def measurement(statistic: Array, p_value: Array, measurable: Array) -> Measurement:
    """NaN in both where a column is not measurable or its statistic is not finite."""
    kept = measurable & np.isfinite(statistic)
    return Measurement(np.where(kept, statistic, np.nan), np.where(kept, p_value, np.nan))


def nothing(reference: Reference) -> Measurement:
    """No column can be measured."""
    return Measurement(*np.full((2, len(reference.layout)), np.nan))


def percent(share: float) -> str:
    """A share as people read it: 38 %, 0.2 %, 99.98 %."""
    value = 100.0 * share
    for digits in (0, 1, 2):
        shown = f"{value:.{digits}f}"
        if value in {0.0, 100.0} or (10.0**-digits <= value <= 100.0 - 10.0**-digits):
            return f"{shown} %"
    return "under 0.01 %" if value < 1 else "over 99.99 %"
