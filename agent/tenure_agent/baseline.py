"""What detectors ask of a reference in every check, worked out once."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from tenure_agent.bins import BOOLEAN, PRIVATE, TOP_CATEGORIES, Array, Layout
from tenure_agent.coarse import Coarse
from tenure_agent.summary import MAGNITUDES, Summary


class Baseline:
    """A reference's own side of every comparison; arrays are float64 per column unless told.

    Parameters
    ----------
    summary
        Of the reference.
    """

    def __init__(self, layout: Layout, summary: Summary, coarse: Coarse) -> None:
        self.layout, self.summary, self._coarse = layout, summary, coarse
        self._sample: Sample | None = None
        self.coarse: Array = coarse.counts(summary)
        self.first: Array = layout.offsets[:-1]
        self.last: Array = layout.offsets[1:] - 1
        self.mean, self.variance = moments(layout, summary)
        self.std: Array = np.sqrt(self.variance)
        self.measured: Array = layout.ordered & (np.array([c.kind != BOOLEAN for c in layout.columns], bool))

    def sample(self, summary: Summary) -> Sample:
        """A summary's side; of the one asked for last it is at hand."""
        if self._sample is None or self._sample.summary is not summary:
            self._sample = Sample(self.layout, summary, self._coarse)
        return self._sample

    @cached_property
    def reached(self) -> Array:
        """float64 (bins): the share of values up to each bin's upper edge."""
        return running_shares(self.layout, self.summary.counts)

    @cached_property
    def reached_finite(self) -> Array:
        """float64 (bins): the same of finite values."""
        return running_shares(self.layout, self.summary.counts, self.summary.below, self.summary.above)

    @cached_property
    def spacing(self) -> Array:
        """float64 (bins): half of the widths on both sides of each upper edge; outer bins and categories have none."""
        halves = np.zeros(self.layout.bins + 1)
        for i, column in enumerate(self.layout.columns):
            if len(column.edges) > 1:
                halves[self.first[i] + 1 : self.last[i]] = np.diff(column.upper / 2)
        return halves[:-1] + halves[1:]

    @cached_property
    def bounds(self) -> tuple[Array, Array]:
        """The upper edge of each first bin, the lower edge of each last; 0 for categories."""
        edges = [column.edges or (0.0,) for column in self.layout.columns]
        return np.array([own[0] for own in edges]), np.array([own[-1] for own in edges])

    @cached_property
    def singles(self) -> Array:
        """int64: the bins that hold one value: atoms and named categories."""
        own = [
            column.fenced if column.ordered else np.arange(column.width) < column.width - 1
            for column in self.layout.columns
        ]
        return np.flatnonzero(np.concatenate(own)) if own else np.empty(0, np.int64)

    @cached_property
    def singles_column(self) -> Array:
        """int64: the column of each of `singles`."""
        found: Array = np.searchsorted(self.layout.offsets, self.singles, "right") - 1
        return found

    @cached_property
    def cells(self) -> tuple[Array, Array]:
        """int64: the bins of all categorical and boolean columns; where each column starts among them, others empty."""
        named = np.array([not column.ordered or column.kind == BOOLEAN for column in self.layout.columns], bool)
        held = np.where(named, self.layout.widths, 0)
        return np.flatnonzero(np.repeat(named, self.layout.widths)), np.concatenate(([0], np.cumsum(held)))

    @cached_property
    def doubtful(self) -> Array:
        """Rows of the categories that only just were frequent enough to be named.

        By chance as many categories as were named too often were not: of new rows, not the share o/n of the unnamed ones
        is expected in no named category, but (o + this)/n (Good 1953), since a row of the reference whose category would
        not be named without it is one of these. Those with one row more count as well: which it is, is chance too.
        """
        found = np.zeros(len(self.layout))
        for i, column in enumerate(self.layout.columns):
            named = self.summary.counts[self.layout.stretch(i)][:-1]
            if not column.ordered and len(named):
                least = int(named.min()) if len(named) == TOP_CATEGORIES else PRIVATE
                found[i] = named[named <= least + 1].sum()
        return found

    @cached_property
    def octaves(self) -> Array:
        """float64 (columns, 129): `reached_octaves` of the reference."""
        return reached_octaves(self.summary)


class Sample:
    """A summary's own side of every comparison, as several detectors ask for it."""

    def __init__(self, layout: Layout, summary: Summary, coarse: Coarse) -> None:
        self.summary = summary
        self._layout, self._coarse = layout, coarse

    @cached_property
    def coarse(self) -> Array:
        """int64 (coarse bins)."""
        return self._coarse.counts(self.summary)

    @cached_property
    def moments(self) -> tuple[Array, Array]:
        """As the function of that name has it."""
        return moments(self._layout, self.summary)

    @cached_property
    def reached(self) -> Array:
        """float64 (bins): the share of values up to each bin's upper edge."""
        return running_shares(self._layout, self.summary.counts)

    @cached_property
    def reached_finite(self) -> Array:
        """float64 (bins): the same of finite values."""
        below, above = self.summary.below, self.summary.above
        return (
            running_shares(self._layout, self.summary.counts, below, above) if (below + above).any() else self.reached
        )


def moments(layout: Layout, summary: Summary) -> tuple[Array, Array]:
    """Mean and sample variance of each column's finite values; NaN where there are too few, or they are too large."""
    n = summary.finite.astype(np.float64)
    with np.errstate(all="ignore"):
        offset = summary.total / n
        variance = np.maximum(summary.squares - n * offset * offset, 0.0) / (n - 1)
        variance = np.where(variance <= 1e-14 * offset * offset, 0.0, variance)  # rounding of a constant
        mean = layout.centres + offset
    measured = layout.ordered & np.isfinite(mean)
    spread = measured & np.isfinite(variance) & (n > 1)
    return np.where(measured, mean, np.nan), np.where(spread, variance, np.nan)


def running_shares(layout: Layout, counts: Array, below: Array | int = 0, above: Array | int = 0) -> Array:
    """float64 (bins): of each column's values, the share up to each bin's upper edge; 0 where it has none.

    Parameters
    ----------
    below, above
        How many of the first and the last bin's to leave out.
    """
    if not layout.bins:
        return np.empty(0)
    running = np.cumsum(counts)
    ends = running[layout.offsets[1:] - 1]
    starts = np.concatenate(([0], ends[:-1])) + below
    rows = np.maximum(ends - starts - above, 1)
    upto: Array = (running - np.repeat(starts, layout.widths)) / np.repeat(rows, layout.widths)
    return upto


def reached_octaves(summary: Summary) -> Array:
    """float64 (columns, 129): the share of finite values up to each sign and power of two, zero in the middle."""
    half = MAGNITUDES // 2
    line = np.concatenate(
        (summary.magnitudes[:, half - 1 :: -1], summary.zeros[:, None], summary.magnitudes[:, half:]), 1
    )
    found: Array = np.cumsum(line, 1) / np.maximum(summary.finite, 1)[:, None]
    return found
