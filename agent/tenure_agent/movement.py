"""How much a column moves on its own: every stretch of the reference, as long as the window, against the rest of it.

A window that differs from the reference by no more than the reference differs from itself says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tenure_agent.detectors.detector import Array
from tenure_agent.detectors.ks import greatest_distance, numeric
from tenure_agent.detectors.psi import divergence
from tenure_agent.reference import Reference

MIN_STRETCHES = 6


@dataclass(frozen=True, slots=True)
class Movement:
    """The largest statistic of each detector on each column among the reference's own stretches.

    `stretches` is how many of them do not overlap: with fewer than 6 the maximum is little known.
    """

    largest: Mapping[str, Array]
    stretches: int

    @property
    def known(self) -> bool:
        return self.stretches >= MIN_STRETCHES


def own_movement(reference: Reference, rows: int) -> Movement:
    """
    Parameters
    ----------
    rows
        Length of the window that is to be judged.

    Notes
    -----
    With k blocks as long as the window (at most a third of all), each of the overlapping stretches of k blocks is
    compared with the blocks outside it, over the coarse bins.
    """
    columns = len(reference.columns)
    if not reference.blocks:
        return Movement({"ks": np.zeros(columns), "psi": np.zeros(columns)}, 0)
    blocks = np.array(reference.blocks, np.int64)
    n = len(blocks)
    asked = max(1, round(rows * n / max(reference.rows, 1)))
    k = min(asked, max(1, n // 3))
    running = np.concatenate((np.zeros((1, blocks.shape[1]), np.int64), np.cumsum(blocks, 0)))
    stretch = running[k:] - running[:-k]
    rest = running[-1] - stretch
    starts = reference.coarse_starts
    ks = np.where(numeric(reference), greatest_distance(rest, stretch, starts), 0.0)
    return Movement({"ks": ks.max(0), "psi": divergence(rest, stretch, starts).max(0)}, n // asked)
