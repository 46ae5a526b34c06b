"""How much a version's data move by themselves: windows of the reference held against the rest of it.

A window that differs from the reference by no more than the reference differs from itself says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from tenure_agent.bins import Array
from tenure_agent.detectors.jensen_shannon import distances_of
from tenure_agent.readings import missing_moves
from tenure_agent.reference import Reference

ENOUGH = 6  # windows side by side
GONE = 0.9  # of a block's rows: a column is absent from it


@dataclass(frozen=True, slots=True)
class Null:
    """The largest readings among the reference's own windows, per column.

    Parameters
    ----------
    moved, missing
        Of whole windows.
    moved_newest, missing_newest
        Of stretches as long as the newest part of a window.
    together
        float64 (2): the largest means over columns, of whole windows and of such stretches.
    absent
        The longest run of rows in which a column was nearly always missing.
    windows
        How many windows lie side by side in the reference.
    """

    moved: Array
    missing: Array
    moved_newest: Array
    missing_newest: Array
    together: Array
    absent: Array
    windows: float

    @property
    def known(self) -> bool:
        """Whether the reference is long enough to tell."""
        return self.windows >= ENOUGH


class Nulls:
    """The nulls of one reference, by length of the window."""

    def __init__(self, reference: Reference) -> None:
        self._reference = reference
        self._known: dict[tuple[int, int], Null] = {}
        self._stretches: dict[tuple[int, int], tuple[Array, Array, float]] = {}  # by length, and width of the window
        self.total = reference.coarse.counts(reference.summary)
        """int64 (coarse bins): all of the reference."""

    def of(self, rows: int, newest: int) -> Null:
        """
        Parameters
        ----------
        rows, newest
            Rows of the window that is to be judged, and of its newest part.

        Notes
        -----
        For every window end u, the window is compared with the reference less what lies within a window of it: rows
        [u - 2·rows, u + rows). Where the reference is shorter than six windows, shorter ones stand in: they move more.
        """
        n, columns = len(self._reference.blocks), len(self._reference.columns)
        windows = self._reference.rows / max(rows, 1)
        if n < 2 * ENOUGH or not columns:
            zero = np.zeros(columns)
            return Null(zero, zero, zero, zero, np.zeros(2), zero, 0.0)
        per_block = self._reference.rows / n
        width = min(max(1, round(rows / per_block)), n // ENOUGH)
        part = min(max(1, round(newest / per_block)), width)
        if (width, part) not in self._known:
            self._known[width, part] = self._found(width, part)
        return replace(self._known[width, part], windows=windows)

    @cached_property
    def _upto(self) -> Array:
        """int64 (blocks + 1, coarse bins): rows of all blocks before each."""
        blocks = self._reference.blocks
        return np.concatenate((np.zeros((1, blocks.shape[1]), np.int64), np.cumsum(blocks, 0)))

    @cached_property
    def _absent(self) -> Array:
        gone = self._reference.coarse.shares(self._reference.blocks)[:, self._reference.coarse.missing] >= GONE
        found: Array = _runs(gone) * self._reference.rows / len(gone)
        return found

    def _found(self, width: int, part: int) -> Null:
        for key in {(width, width), (part, width)} - self._stretches.keys():  # parts of one window vary in length
            self._stretches[key] = self._largest(*key)
        moved, missing, whole = self._stretches[width, width]
        moved_newest, missing_newest, newest = self._stretches[part, width]
        return Null(moved, missing, moved_newest, missing_newest, np.array([whole, newest]), self._absent, 0.0)

    def _largest(self, length: int, width: int) -> tuple[Array, Array, float]:
        """The largest readings of stretches of so many blocks, and the largest mean, around windows of so many."""
        coarse, upto, n = self._reference.coarse, self._upto, len(self._reference.blocks)
        ends = np.arange(length, n + 1)
        window = upto[ends] - upto[ends - length]
        near = upto[np.minimum(ends + width, n)] - upto[np.maximum(ends - length - width, 0)]
        shares, rest = coarse.shares(window), coarse.shares(upto[-1] - near)
        moved, missing = distances_of(shares, rest, coarse), missing_moves(shares, rest, coarse)
        return moved.max(0), missing.max(0), float(moved.mean(1).max())


def _runs(gone: Array) -> Array:
    """The longest run of True down each column."""
    longest, run = np.zeros(gone.shape[1]), np.zeros(gone.shape[1])
    for row in gone:
        run = (run + 1) * row
        longest = np.maximum(longest, run)
    return longest
