"""What of a summary may leave the house in a reference: nothing that fewer than 5 rows share is named."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from tenure_agent.bins import PRIVATE, Array, ColumnBins, Layout
from tenure_agent.summary import Summary

STEPS = 10  # over a column's range, at least
LARGEST = float(np.finfo(np.float64).max)


def discreet(layout: Layout, summary: Summary) -> Summary:
    """A summary without single rows' values: the ends of a range are rounded outwards, rare heavy hitters forgotten.

    An end keeps its value where that is an atom, which enough rows share.
    """
    low, high = summary.low.copy(), summary.high.copy()
    for i, column in enumerate(layout.columns):
        if column.ordered and math.isfinite(low[i]):
            low[i], high[i] = _outwards(column, summary.counts[layout.stretch(i)], float(low[i]), float(high[i]))
    hitters = tuple({value: rows for value, rows in found.items() if rows >= PRIVATE} for found in summary.hitters)
    return replace(summary, low=low, high=high, hitters=hitters)


def _outwards(column: ColumnBins, counts: Array, low: float, high: float) -> tuple[float, float]:
    shared = set(column.upper[np.flatnonzero(column.fenced[:-1] & (counts[:-1] >= PRIVATE))].tolist())
    step = _step((high - low) or abs(high) or 1.0)
    if step is None:
        return (-LARGEST, LARGEST) if high - low > 1 else (low, high)
    down, up = math.floor(low / step) * step, math.ceil(high / step) * step
    return low if low in shared else min(low, _clean(down)), high if high in shared else max(high, _clean(up))


def _step(span: float) -> float | None:
    """1, 2 or 5 times a power of ten, at least ten of which go into a span; None where floats do not reach."""
    if not 1e-290 < span < 1e307:
        return None
    power = 10.0 ** math.floor(math.log10(span / STEPS))
    return max(factor * power for factor in (1.0, 2.0, 5.0) if factor * power * STEPS <= span * (1 + 1e-9))


def _clean(value: float) -> float:
    """Without the last digits that multiplying leaves."""
    return float(f"{value:.12g}")
