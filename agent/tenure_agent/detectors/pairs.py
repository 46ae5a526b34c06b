"""Two samples over the same bins, merged until both expect enough rows of each, as χ² asks."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tenure_agent.bins import Array
from tenure_agent.reference import Reference
from tenure_agent.summary import Summary

MIN_EXPECTED = 5.0


@dataclass(frozen=True, slots=True)
class Pair:
    """Two samples over the bins of several columns, laid end to end.

    Parameters
    ----------
    first, second
        float64 per bin: rows of each sample.
    starts
        int64 (columns + 1): where each column's bins begin.
    column
        int64 per bin.
    n, m
        float64 per column: rows of each sample.
    """

    first: Array
    second: Array
    starts: Array
    column: Array
    n: Array
    m: Array

    @property
    def held(self) -> Array:
        """bool: the bins that hold anything."""
        found: Array = (self.first + self.second) > 0
        return found

    @property
    def bins(self) -> Array:
        """Per column: how many of them hold anything."""
        return self.sums(self.held)

    @property
    def unit(self) -> Array:
        """Per column, 1/n + 1/m: what the variance of a difference of shares goes with."""
        with np.errstate(divide="ignore"):
            found: Array = 1 / self.n + 1 / self.m
        return found

    def sums(self, values: Array) -> Array:
        """Per column."""
        return np.bincount(self.column, values, len(self.n))


def pair_of(first: Array, second: Array, starts: Array) -> Pair:
    """Two sets of counts side by side."""
    columns = len(starts) - 1
    column = np.repeat(np.arange(columns), np.diff(starts))
    n, m = np.bincount(column, first, columns), np.bincount(column, second, columns)
    return Pair(first.astype(np.float64), second.astype(np.float64), starts, column, n, m)


def pair_of_categories(reference: Reference, summary: Summary, expected: float = MIN_EXPECTED) -> Pair:
    """All categories of categorical and boolean columns, merged until both samples expect so many rows; others have none.

    Which categories have a bin was chosen by the reference, which therefore has too few rows in the bin for all others:
    it is credited there with what is missing to the summary's share, as far as that is doubtful.
    """
    baseline = reference.baseline
    cells, starts = baseline.cells
    pair = pair_of(reference.summary.counts[cells], summary.counts[cells], starts)
    others = np.flatnonzero(baseline.doubtful)
    if len(others):
        last = starts[others + 1] - 1
        alike = pair.second[last] * pair.n[others] / np.maximum(pair.m[others], 1)
        credit = np.clip(alike - pair.first[last], 0.0, baseline.doubtful[others])
        pair.first[last] += credit
        pair.n[others] += credit
    return merge_small(pair, ~reference.layout.ordered, expected)


def merge_small(pair: Pair, unordered: Array, expected: float = MIN_EXPECTED) -> Pair:
    """Each bin merged with others until both samples expect so many rows of it, if the column has so many at all.

    Merged bins stand where the first of them stood; the rest hold nothing.

    Parameters
    ----------
    unordered
        bool per column: any of its bins may merge, else only neighbours. The order depends on both samples together,
        never on one: else bins would be chosen by what chance did to it.
    """
    share = np.minimum(pair.n, pair.m) / np.maximum(pair.n + pair.m, 1)
    rows = (pair.first + pair.second) * share[pair.column]
    sparse = np.unique(pair.column[(rows > 0) & (rows < expected)])
    if not len(sparse):
        return pair
    starts, widths = pair.starts[sparse, None], np.diff(pair.starts)[sparse, None]
    number = np.arange(int(widths.max()))
    inside = number < widths
    held = np.where(inside, rows[np.minimum(starts + number, len(rows) - 1)], -1.0)
    order = np.argsort(np.where(unordered[sparse, None], -held, number), axis=1, kind="stable")
    own = np.empty(held.shape, np.int64)
    np.put_along_axis(own, order, _groups(np.take_along_axis(np.maximum(held, 0.0), order, 1), expected), 1)
    group = np.arange(len(rows))
    group[(starts + number)[inside]] = (starts + own)[inside]
    first, second = (np.bincount(group, values, len(rows)) for values in (pair.first, pair.second))
    return replace(pair, first=first, second=second)


def _groups(rows: Array, expected: float) -> Array:
    """Along each line, the group of each bin, a group being closed as soon as it has enough."""
    number, held = np.zeros(len(rows), np.int64), np.zeros(len(rows))
    found = np.empty(rows.shape, np.int64)
    for i in range(rows.shape[1]):
        held += rows[:, i]
        found[:, i] = number
        full = held >= expected
        number += full
        held[full] = 0.0
    return np.minimum(found, np.maximum(number - 1, 0)[:, None])  # what is left over joins the last full one
