"""A column of a reference as people look at it: what a summary over its bins tells."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tenure_agent.bins import PRIVATE, Array, ColumnBins
from tenure_agent.reference import Reference

BARS = 24
TAIL = 0.005  # of the values at each end, that a histogram may leave out
OFTEN = 0.01  # the share of rows from which a single value is told


@dataclass(frozen=True)
class Portrait:
    """One column.

    Parameters
    ----------
    missing, infinite, mistyped, zeros
        Shares of all rows; `infinite` and `zeros` of numbers only.
    mean, std, low, median, high
        Of finite numbers; None where there are none. `low` and `high` are rounded outwards, unless many rows share
        them; the median is right to a bin.
    values
        Single values with their share of all rows, the most frequent first: every named category, or the numbers that
        1 % of the rows and more have.
    others
        Share of rows with a text that has no bin of its own.
    histogram
        Rows of each value where there are no more than 24, else in up to 24 equal parts of `reach`; () of categories.
    reach
        What the histogram spans: all of the values where each is told apart, else all but 1 % of them.
    """

    name: str
    part: str
    kind: str
    rows: int
    missing: float
    infinite: float
    mistyped: float
    zeros: float
    mean: float | None
    std: float | None
    low: float | None
    median: float | None
    high: float | None
    values: tuple[tuple[float | str, float], ...]
    others: float
    histogram: tuple[float, ...]
    reach: tuple[float, float] | None


def portraits(reference: Reference) -> tuple[Portrait, ...]:
    """All columns, in the reference's order."""
    return tuple(_portrait(reference, number) for number in range(len(reference.columns)))


def _portrait(reference: Reference, number: int) -> Portrait:
    column, summary = reference.columns[number], reference.summary
    counts = summary.counts[reference.layout.stretch(number)].astype(np.float64)
    rows, n = int(summary.seen[number]), int(summary.finite[number])
    shares = {
        "missing": float(summary.missing[number] - summary.mistyped[number]) / max(rows, 1),
        "mistyped": float(summary.mistyped[number]) / max(rows, 1),
        "infinite": float(summary.below[number] + summary.above[number]) / max(rows, 1),
        "zeros": float(summary.zeros[number]) / max(rows, 1) if column.ordered else 0.0,
    }
    if not column.ordered:
        named = sorted(zip(column.categories, counts.tolist(), strict=False), key=lambda one: -one[1])
        values: tuple[tuple[float | str, float], ...] = tuple((name, held / max(rows, 1)) for name, held in named)
        return _made(column, rows, shares, values=values, others=float(counts[-1]) / max(rows, 1))
    counts[0] -= summary.below[number]
    counts[-1] -= summary.above[number]
    atoms: Array = np.flatnonzero(column.fenced & (counts >= max(OFTEN * rows, PRIVATE)))
    atoms = atoms[np.argsort(-counts[atoms], kind="stable")]
    values = tuple((float(column.upper[i]), float(counts[i]) / max(rows, 1)) for i in atoms)
    if not n:
        return _made(column, rows, shares, values=values)
    mean = float(summary.total[number]) / n
    variance = max(float(summary.squares[number]) / n - mean * mean, 0.0)
    low, high = float(summary.low[number]), float(summary.high[number])
    lower, upper = bounds(column, low, high)
    reach = quantile(counts, lower, upper, TAIL), quantile(counts, lower, upper, 1 - TAIL)
    held = np.flatnonzero(counts)
    if column.fenced[held].all() or reach[0] == reach[1]:
        reach = (low, high)
    return _made(
        column,
        rows,
        shares,
        values=values,
        moments=(mean + column.centre, math.sqrt(variance), low, quantile(counts, lower, upper, 0.5), high),
        histogram=_histogram(column, counts, lower, upper, reach),
        reach=reach,
    )


def _made(
    column: ColumnBins,
    rows: int,
    shares: dict[str, float],
    *,
    values: tuple[tuple[float | str, float], ...],
    others: float = 0.0,
    moments: tuple[float | None, ...] = (None,) * 5,
    histogram: tuple[float, ...] = (),
    reach: tuple[float, float] | None = None,
) -> Portrait:
    mean, std, low, median, high = (None if m is None or not math.isfinite(m) else m for m in moments)
    return Portrait(
        name=column.name,
        part=column.part,
        kind=column.kind,
        rows=rows,
        **shares,
        mean=mean,
        std=std,
        low=low,
        median=median,
        high=high,
        values=values,
        others=others,
        histogram=histogram,
        reach=reach,
    )


def bounds(column: ColumnBins, low: float, high: float) -> tuple[Array, Array]:
    """From where to where each bin reaches, inside a range; an atom's bin is its value."""
    lower = np.clip(np.append(low, column.upper), low, high)
    upper = np.clip(np.append(column.upper, high), low, high)
    return np.where(column.fenced, upper, lower), upper


def quantile(counts: Array, lower: Array, upper: Array, q: float) -> float:
    """The value under which a share of the rows lies, bins taken as evenly filled."""
    upto = np.cumsum(counts)
    wanted = q * float(upto[-1])
    number = min(int(np.searchsorted(upto, wanted, "left")), len(counts) - 1)
    inside = 1 - (float(upto[number]) - wanted) / float(counts[number]) if counts[number] else 0.0
    return float(lower[number] + (upper[number] - lower[number]) * min(max(inside, 0.0), 1.0))


def _histogram(
    column: ColumnBins, counts: Array, lower: Array, upper: Array, reach: tuple[float, float]
) -> tuple[float, ...]:
    """Each bin's rows are spread evenly over it; those beyond the reach are left out."""
    held = np.flatnonzero(counts)
    if column.fenced[held].all():
        return _steps(upper[held], counts[held])
    found = evenly(counts, lower, upper, np.linspace(*reach, BARS + 1))
    return tuple(round(value, 3) for value in found.tolist())


def evenly(counts: Array, lower: Array, upper: Array, edges: Array) -> Array:
    """Rows between neighbouring edges, each bin's rows being spread evenly over it."""
    found = np.zeros(len(edges) - 1)
    points, wide = counts > 0, upper > lower
    at = np.searchsorted(edges, upper[points & ~wide], "right") - 1
    at = np.where(upper[points & ~wide] == edges[-1], len(found) - 1, at)
    inside = (at >= 0) & (at < len(found))
    np.add.at(found, at[inside], counts[points & ~wide][inside])
    for start, stop, rows in zip(lower[points & wide], upper[points & wide], counts[points & wide], strict=True):
        covered = np.minimum(edges[1:], stop) - np.maximum(edges[:-1], start)
        found += rows * np.maximum(covered, 0.0) / (stop - start)
    return found


def _steps(values: Array, counts: Array) -> tuple[float, ...]:
    """Rows of single values: each alone while there are few, else as many whole steps of their grid together."""
    if len(values) <= BARS:
        return tuple(counts.tolist())
    places = np.round((values - values[0]) / np.diff(values).min())
    together = math.ceil((places[-1] + 1) / BARS)
    return tuple(np.bincount((places // together).astype(np.int64), counts).tolist())
