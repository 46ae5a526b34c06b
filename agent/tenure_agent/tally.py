"""Rows into summaries: each column is gone through once, whatever the number of groups."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tenure_agent.bins import Array, ColumnBins, Layout, as_texts, category_bins, numbered
from tenure_agent.summary import INTEGERS, MAGNITUDES, Hitters, Summary

LONG = 512  # rows of a group from which it is faster by itself than with others
SHARE = 16  # of a group: a value is noted from one of so many rows
POWERS = 2.0 ** np.arange(-32, 31)
LEAST_EXPONENT = 1023 - 33  # as a float64 holds it, of what is below all of them


def summarise(layout: Layout, columns: Mapping[tuple[str, str], Array], groups: Array, n_groups: int) -> list[Summary]:
    """Summaries of rows, one per group.

    Parameters
    ----------
    columns
        (part, name) → float64 with NaN, or objects with None: a number for a column of texts counts as its text, any
        other value of the wrong type as mistyped. A column that did not come is all missing.
    groups
        int64 per row: its group, 0 … n_groups - 1.
    """
    if len(groups) and (np.diff(groups) < 0).any():
        order = np.argsort(groups, kind="stable")
        groups = groups[order]
        columns = {key: values[order] for key, values in columns.items()}
    bounds = np.searchsorted(groups, np.arange(n_groups + 1))
    tally = Tally(layout, bounds, groups)
    for number, column in enumerate(layout.columns):
        values = columns.get(column.key)
        if values is not None and column.ordered and values.dtype.kind == "O":
            tally.mistyped[:, number] = tally.sums(np.array([value is not None for value in values], np.int64))
        elif values is not None and column.ordered:
            tally.numbers(number, column, values.astype(np.float64, copy=False))
        elif values is not None:
            tally.texts(number, column, values)
    tally.missing[:] = np.diff(bounds)[:, None] - tally.rows
    return tally.summaries()


class Tally:
    """The growing counts of all groups.

    Parameters
    ----------
    bounds
        int64 (groups + 1): group g is rows bounds[g] … bounds[g+1] - 1.
    groups
        int64 per row, rising.
    """

    def __init__(self, layout: Layout, bounds: Array, groups: Array) -> None:
        shape = (len(bounds) - 1, len(layout))
        self._layout, self._bounds, self._groups = layout, bounds, groups
        self._counts = np.zeros((shape[0], layout.bins), np.int64)
        self._magnitudes = np.zeros((*shape, MAGNITUDES), np.int64)
        self.rows, self.missing, self.mistyped, self._below, self._above, self._zeros = (
            np.zeros(shape, np.int64) for _ in INTEGERS
        )
        self._total, self._squares = np.zeros(shape), np.zeros(shape)
        self._low, self._high = np.full(shape, np.inf), np.full(shape, -np.inf)
        self._hitters: list[list[Hitters]] = [[{} for _ in layout.columns] for _ in range(shape[0])]

    def summaries(self) -> list[Summary]:
        integers = (self.rows, self.missing, self.mistyped, self._below, self._above, self._zeros)
        moments = (self._total, self._squares, self._low, self._high)
        arrays = (self._counts, self._magnitudes, *integers, *moments)
        return [Summary(tuple(self._hitters[g]), *[array[g] for array in arrays]) for g in range(len(self._counts))]

    def sums(self, values: Array) -> Array:
        """Of each group."""
        running = np.concatenate((np.zeros(1, values.dtype), np.cumsum(values)))
        found: Array = running[self._bounds[1:]] - running[self._bounds[:-1]]
        return found

    def numbers(self, number: int, column: ColumnBins, values: Array) -> None:
        """Take in a column of float64."""
        lengths = np.diff(self._bounds)
        if len(values) >= LONG * np.count_nonzero(lengths):
            for group in np.flatnonzero(lengths).tolist():
                self._long(number, column, group, np.sort(values[self._bounds[group] : self._bounds[group + 1]]))
        else:
            self._short(number, column, values)

    def _long(self, number: int, column: ColumnBins, group: int, ordered: Array) -> None:
        """One group: the few edges are looked up among its sorted values."""
        present = ordered[: np.searchsorted(ordered, np.inf, "right")]  # NaN sorts last
        below = int(np.searchsorted(present, -np.inf, "right"))
        above = len(present) - int(np.searchsorted(present, np.inf, "left"))
        upto = np.append(np.searchsorted(present, column.upper, "right"), len(present))
        counts = np.diff(upto, prepend=0)
        self._counts[group, self._layout.stretch(number)] = counts
        self.rows[group, number] = len(present)
        self._below[group, number], self._above[group, number] = below, above
        finite = present[below : len(present) - above]
        if not len(finite):
            return
        first, last = np.searchsorted(finite, 0.0, "left"), np.searchsorted(finite, 0.0, "right")
        self._zeros[group, number] = last - first
        self._low[group, number], self._high[group, number] = finite[0], finite[-1]
        self._moments(group, number, column.centre, finite)
        negative = np.concatenate(([0], np.searchsorted(finite, -POWERS[::-1], "right"), [first]))
        positive = np.concatenate(([last], np.searchsorted(finite, POWERS, "left"), [len(finite)]))
        half = MAGNITUDES // 2
        self._magnitudes[group, number, :half] = np.diff(negative)[::-1]
        self._magnitudes[group, number, half:] = np.diff(positive)
        heavy = np.flatnonzero((counts * SHARE >= max(len(present), SHARE)) & ~column.fenced)
        for bin_ in heavy:
            held = present[upto[bin_] - counts[bin_] : upto[bin_]]
            starts = np.flatnonzero(np.append(True, held[1:] != held[:-1]))
            same = np.diff(np.append(starts, len(held)))
            kept = np.isfinite(held[starts]) & (same > 1) & (same * SHARE >= len(present))
            self._hitters[group][number] |= dict(zip(held[starts[kept]].tolist(), same[kept].tolist(), strict=True))

    def _moments(self, group: int, number: int, centre: float, finite: Array) -> None:
        with np.errstate(over="ignore"):
            centred = finite - centre
            self._total[group, number] = centred.sum()
            self._squares[group, number] = np.square(centred).sum()  # BLAS would wake its threads for it, and wait

    def _short(self, number: int, column: ColumnBins, values: Array) -> None:
        """All groups at once."""
        present = ~np.isnan(values)
        groups, values = self._groups[present], values[present]
        n, width = len(self._counts), column.width
        bins = _bins(column.upper, values)
        key = groups * width + bins
        counts = np.bincount(key, minlength=n * width)
        self._counts[:, self._layout.stretch(number)] = counts.reshape(n, width)
        rows = np.bincount(groups, minlength=n)
        self.rows[:, number] = rows
        self._below[:, number] = np.bincount(groups, values == -np.inf, minlength=n)
        self._above[:, number] = np.bincount(groups, values == np.inf, minlength=n)
        self._zeros[:, number] = np.bincount(groups, values == 0.0, minlength=n)
        heavy = (counts[key] * SHARE >= np.maximum(rows, SHARE)[groups]) & (counts[key] > 1) & ~column.fenced[bins]
        self._note(number, heavy, key, values, width, rows)
        finite = np.isfinite(values)
        groups, values = groups[finite], values[finite]
        if not len(values):
            return
        with np.errstate(over="ignore"):
            centred = values - column.centre
            self._total[:, number] = np.bincount(groups, centred, minlength=n)
            self._squares[:, number] = np.bincount(groups, centred * centred, minlength=n)
        starts = np.flatnonzero(np.diff(groups, prepend=-1))
        self._low[groups[starts], number] = np.minimum.reduceat(values, starts)
        self._high[groups[starts], number] = np.maximum.reduceat(values, starts)
        half = MAGNITUDES // 2
        exponent = (values.view(np.int64) >> 52) & 0x7FF
        power = np.clip(exponent - LEAST_EXPONENT, 0, half - 1) + half * (values > 0)
        other = values != 0.0
        power = np.bincount(groups[other] * MAGNITUDES + power[other], minlength=n * MAGNITUDES)
        self._magnitudes[:, number] = power.reshape(n, MAGNITUDES)

    def _note(self, number: int, heavy: Array, key: Array, values: Array, width: int, rows: Array) -> None:
        """In each heavy bin, the values that many rows have."""
        key, values = key[heavy], values[heavy]
        if not len(values):
            return
        order = np.lexsort((values, key))
        key, values = key[order], values[order]
        starts = np.flatnonzero(np.append(True, (np.diff(key) != 0) | (values[1:] != values[:-1])))
        same = np.diff(np.append(starts, len(key)))
        groups, values = key[starts] // width, values[starts]
        kept = np.isfinite(values) & (same > 1) & (same * SHARE >= rows[groups])
        for group, value, held in zip(groups[kept].tolist(), values[kept].tolist(), same[kept].tolist(), strict=True):
            self._hitters[group][number][value] = held

    def texts(self, number: int, column: ColumnBins, values: Array) -> None:
        """Take in a column of texts; of what has no bin of its own, the most frequent are noted."""
        bins, present = category_bins(column, values)
        groups = self._groups[present]
        n, width = len(self._counts), column.width
        counts = np.bincount(groups * width + bins, minlength=n * width).reshape(n, width)
        self._counts[:, self._layout.stretch(number)] = counts
        rows = counts.sum(1)
        self.rows[:, number] = rows
        other = bins == width - 1
        if other.any():
            names, codes = numbered(as_texts(values)[present][other])
            key, held = np.unique(groups[other] * len(names) + codes, return_counts=True)
            for pair, same in zip(key.tolist(), held.tolist(), strict=True):
                group = pair // len(names)
                if same > 1 and same * SHARE >= rows[group]:
                    self._hitters[group][number][names[pair % len(names)]] = same


def _bins(upper: Array, values: Array) -> Array:
    """Each value's bin. The few edges are looked up among the sorted values: to sort is quicker than to look all up."""
    order = np.argsort(values)
    upto = np.concatenate(([0], values[order].searchsorted(upper, "right"), [len(values)]))
    found = np.empty(len(values), np.int64)
    found[order] = np.repeat(np.arange(len(upper) + 1), np.diff(upto))
    return found
