"""Two references laid over each other: the shares of one column's rows in both, over the same parts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tenure_agent.bins import Array
from tenure_agent.portrait import TAIL, bounds, evenly, quantile
from tenure_agent.reference import Reference

PARTS = 16


@dataclass(frozen=True)
class Overlay:
    """One column.

    Parameters
    ----------
    parts
        What is counted, the share of the first's rows and of the second's. A text stands for itself; a number for the
        part of the range that begins there; None for what is missing, "" for texts without a bin of their own.
    """

    name: str
    kind: str
    parts: tuple[tuple[str | float | None, float, float], ...]

    @property
    def apart(self) -> float:
        """Half of the sum of differences: the share of rows that would have to move."""
        return sum(abs(first - second) for _, first, second in self.parts) / 2


def overlays(first: Reference, second: Reference) -> Iterator[Overlay]:
    """Columns that both have, of the same kind of values, in the first's order."""
    places = {column.key: i for i, column in enumerate(second.columns)}
    for i, column in enumerate(first.columns):
        j = places.get(column.key)
        if j is None or second.columns[j].ordered != column.ordered:
            continue
        parts = _numbers(first, i, second, j) if column.ordered else _texts(first, i, second, j)
        missing = [float(r.summary.missing[k]) / max(int(r.summary.seen[k]), 1) for r, k in ((first, i), (second, j))]
        yield Overlay(column.name, column.kind, (*parts, (None, missing[0], missing[1])))


def _numbers(first: Reference, i: int, second: Reference, j: int) -> list[tuple[str | float | None, float, float]]:
    found = [_bins(first, i), _bins(second, j)]
    ends = [(quantile(c, lo, up, TAIL), quantile(c, lo, up, 1 - TAIL)) for c, lo, up in found if c.sum()]
    if not ends:
        return []
    reach = min(low for low, _ in ends), max(high for _, high in ends)
    if reach[0] == reach[1]:
        reach = reach[0], float(np.nextafter(reach[1], np.inf))
    edges = np.linspace(*reach, PARTS + 1)
    rows = [max(int(r.summary.seen[k]), 1) for r, k in ((first, i), (second, j))]
    shares = [evenly(*bins, edges) / n for bins, n in zip(found, rows, strict=True)]
    return list(zip(edges[:-1].tolist(), shares[0].tolist(), shares[1].tolist(), strict=True))


def _bins(reference: Reference, number: int) -> tuple[Array, Array, Array]:
    """Finite rows of each bin, and from where to where it reaches."""
    column, summary = reference.columns[number], reference.summary
    counts = summary.counts[reference.layout.stretch(number)].astype(np.float64)
    counts[0] -= summary.below[number]
    counts[-1] -= summary.above[number]
    if not counts.sum():
        return counts, np.zeros(len(counts)), np.zeros(len(counts))
    return counts, *bounds(column, float(summary.low[number]), float(summary.high[number]))


def _texts(first: Reference, i: int, second: Reference, j: int) -> list[tuple[str | float | None, float, float]]:
    shares = []
    for reference, number in ((first, i), (second, j)):
        counts = reference.summary.counts[reference.layout.stretch(number)]
        n = max(int(reference.summary.seen[number]), 1)
        names = (*reference.columns[number].categories, "")
        shares.append({name: held / n for name, held in zip(names, counts.tolist(), strict=True)})
    every = [name for name in dict.fromkeys((*shares[0], *shares[1])) if name]
    return [(name, shares[0].get(name, 0.0), shares[1].get(name, 0.0)) for name in (*every, "")]
