"""The few bins by which one window is held against another."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from tenure_agent.bins import Array, Layout
from tenure_agent.summary import Summary

BINS, ATOM, TOP = 10, 0.08, 12


class Coarse:
    """Coarse bins of all columns, laid end to end.

    About ten of equal mass in a numeric column, a value with 8 % of the reference's rows alone; the twelve most frequent
    categories and one for the others; and in every column, last, one for what is missing.

    Parameters
    ----------
    summary
        Of the reference, whose bins these are.
    """

    def __init__(self, layout: Layout, summary: Summary) -> None:
        self._layout = layout
        numbers, starts = [], [0]
        for i, column in enumerate(layout.columns):
            counts = summary.counts[layout.stretch(i)]
            own = _numeric(counts) if column.ordered else np.minimum(np.arange(column.width), TOP)
            numbers.append(own + starts[-1])
            starts.append(starts[-1] + int(own[-1]) + 2)
        self.starts: Array = np.array(starts, np.int64)
        self.widths: Array = np.diff(self.starts)
        self.missing: Array = self.starts[1:] - 1
        own = np.concatenate(numbers) if numbers else np.empty(0, np.int64)
        self._first: Array = np.flatnonzero(np.diff(own, prepend=-1))
        self._own: Array = own[self._first]

    def counts(self, summary: Summary) -> Array:
        """int64 (coarse bins): a summary over them."""
        found = np.zeros(int(self.starts[-1]), np.int64)
        if len(self._first):
            found[self._own] = np.add.reduceat(summary.counts, self._first)
        found[self.missing] = summary.missing
        return found

    def stretch(self, number: int) -> slice:
        """Where a column's coarse bins lie."""
        return slice(int(self.starts[number]), int(self.starts[number + 1]))

    def labels(self, number: int) -> list[str]:
        """What each of a column's coarse bins holds, in words."""
        column, own = self._layout.columns[number], self._layout.stretch(number)
        inside = (self._first >= own.start) & (self._first < own.stop)
        first = [*(self._first[inside] - own.start).tolist(), column.width]
        return [*(column.label(low, high - 1) for low, high in pairwise(first)), "missing"]

    def __len__(self) -> int:
        return len(self.missing)

    def sums(self, values: Array) -> Array:
        """(…, bins) → (…, columns)."""
        if not len(self):
            return np.zeros((*values.shape[:-1], 0), values.dtype)
        found: Array = np.add.reduceat(values, self.starts[:-1], axis=-1)
        return found

    def shares(self, counts: Array) -> Array:
        """float64 (…, bins): of each column's rows; 0 where it has none."""
        rows = np.repeat(np.maximum(self.sums(counts), 1), self.widths, axis=-1)
        found: Array = counts / rows
        return found


def _numeric(counts: Array) -> Array:
    rows = max(int(counts.sum()), 1)
    alone = counts >= rows * ATOM
    rest = np.where(alone, 0, counts)
    middle = (np.cumsum(rest) - rest / 2) / max(int(rest.sum()), 1)
    parts = max(1, round(BINS * rest.sum() / rows))
    groups = np.minimum(np.floor(middle * parts), parts - 1)
    edge = (np.diff(groups) != 0) | alone[1:] | alone[:-1]
    return np.cumsum(np.concatenate(([0], edge))).astype(np.int64)
