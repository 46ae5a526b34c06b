"""A column of a reference: its bins, what fell into them, and how values find theirs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

MAX_BINS = 2048
TOP_CATEGORIES = 254
NUMERIC, CATEGORICAL = "numeric", "categorical"


@dataclass(frozen=True)
class ColumnReference:
    """One column's bins and its counts in them.

    Numeric bin i holds (edges[i-1], edges[i]]; the first reaches down to -inf, the last up to +inf, so there is one
    bin more than edges. A value that many rows share (an atom) has a bin of its own. Categorical bins are `categories`
    in order, then one for all others.
    """

    name: str
    part: str
    kind: str
    counts: tuple[int, ...]
    missing: int
    mean: float
    std: float
    low: float
    high: float
    edges: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        return self.part, self.name

    @property
    def rows(self) -> int:
        """Rows with a value."""
        return sum(self.counts)

    @property
    def bins(self) -> int:
        return len(self.counts)


def build_column(name: str, part: str, values: Array, declared: str | None = None) -> ColumnReference | str:
    """A column's reference, or the reason why it has none.

    Parameters
    ----------
    values
        float64 with NaN where missing, or objects (text) with None where missing.
    declared
        numeric, categorical or ignore; None: by the values.
    """
    if declared == "ignore":
        return "ignored by configuration"
    if values.dtype.kind == "O" or declared == CATEGORICAL:
        return _categorical(name, part, as_texts(values), certain=declared is not None)
    present = values[~np.isnan(values)]
    if not len(present):
        return "no value in the reference"
    finite = present[np.isfinite(present)]
    edges = quantile_edges(present)
    counts = np.bincount(np.searchsorted(edges, present, side="left"), minlength=len(edges) + 1)
    return ColumnReference(
        name=name,
        part=part,
        kind=NUMERIC,
        counts=tuple(counts.tolist()),
        missing=len(values) - len(present),
        mean=float(finite.mean()) if len(finite) else 0.0,
        std=float(finite.std()) if len(finite) else 0.0,
        low=float(finite.min()) if len(finite) else 0.0,
        high=float(finite.max()) if len(finite) else 0.0,
        edges=tuple(edges.tolist()),
    )


def as_texts(values: Array) -> Array:
    """Values as objects: text, or None where missing. Whole numbers lose their point, as a person writes them."""
    if values.dtype.kind == "O":
        return values
    texts = np.empty(len(values), object)
    texts[:] = [None if math.isnan(v) else str(int(v)) if v.is_integer() else str(v) for v in values.tolist()]
    return texts


def _categorical(name: str, part: str, values: Array, *, certain: bool) -> ColumnReference | str:
    present = np.array([value for value in values if value is not None], object)
    if not len(present):
        return "no value in the reference"
    names, counts = np.unique(present.astype(str), return_counts=True)
    if not certain and len(names) > max(50, len(present) // 10):
        return f"{len(names)} different texts in {len(present)} rows: an id or free text"
    order = np.lexsort((names, -counts))[:TOP_CATEGORIES]
    kept = counts[order]
    return ColumnReference(
        name=name,
        part=part,
        kind=CATEGORICAL,
        counts=(*kept.tolist(), int(counts.sum() - kept.sum())),
        missing=len(values) - len(present),
        mean=0.0,
        std=0.0,
        low=0.0,
        high=0.0,
        categories=tuple(names[order].tolist()),
    )


def quantile_edges(values: Array) -> Array:
    """Upper edges of bins none of which, atoms apart, holds over 1/1024 of the values.

    An atom (a value with more than 1/1024 of them) is fenced off by two edges: itself and the number just below it.
    Infinities fall into the outer bins.
    """
    unique, counts = np.unique(values[np.isfinite(values)], return_counts=True)
    if not len(unique):
        return np.array([0.0])
    upto, rows = np.cumsum(counts), int(counts.sum())
    atom = counts * MAX_BINS > 2 * rows
    group = -(-upto * MAX_BINS // rows)  # in shares of 1/2048
    first = np.append(True, group[1:] != group[:-1])
    last = np.append(first[1:], True)
    mass = np.diff(upto[last], prepend=0)[np.cumsum(first) - 1]
    # A group is one share and what its first value holds beyond it: where that is over two shares, it stands alone.
    last |= first & (mass * MAX_BINS > 2 * rows)
    last[:-1] &= atom[:-1] | ~atom[1:]  # the fence below an atom is edge enough
    with np.errstate(over="ignore"):  # below the least float there is -inf
        fences = np.nextafter(unique[atom], -np.inf)
    return np.unique(np.concatenate((unique[last], fences)))


def bin_values(column: ColumnReference, values: Array) -> tuple[Array, Array]:
    """The bin of every value that is present, and which are. A value of the wrong type counts as missing."""
    if column.kind == CATEGORICAL:
        texts = as_texts(values)
        present = np.array([value is not None for value in texts], bool)
        index = {name: i for i, name in enumerate(column.categories)}
        other = len(column.categories)
        return np.array([index.get(value, other) for value in texts[present]], np.int64), present
    if values.dtype.kind == "O":
        return np.empty(0, np.int64), np.zeros(len(values), bool)
    present = ~np.isnan(values)
    return np.searchsorted(np.asarray(column.edges), values[present], side="left"), present
