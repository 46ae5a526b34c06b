"""A column's bins: how they are chosen from a reference's values, and how values find theirs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

MAX_BINS = 2048
TOP_CATEGORIES = 254
PRIVATE = 5  # rows a category needs to be named: what fewer share could be somebody
NUMERIC, CATEGORICAL, BOOLEAN = "numeric", "categorical", "boolean"


@dataclass(frozen=True)
class ColumnBins:
    """One column's bins.

    Numeric bin i holds (edges[i-1], edges[i]]; the first reaches down to -inf, the last up to +inf, so there is one
    bin more than edges. A value that many rows share (an atom) has a bin of its own. Categorical bins are `categories`
    in order, then one for all others. A boolean column is a numeric one of 0 and 1.

    Parameters
    ----------
    part
        "feature" or "output".
    centre
        What moments of the column are taken around: the reference's median.
    """

    name: str
    part: str
    kind: str
    centre: float = 0.0
    edges: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        return self.part, self.name

    @property
    def ordered(self) -> bool:
        """Whether its values are numbers."""
        return self.kind != CATEGORICAL

    @property
    def width(self) -> int:
        """How many bins there are."""
        return len(self.edges if self.ordered else self.categories) + 1

    @cached_property
    def upper(self) -> Array:
        """The edges as float64."""
        return np.asarray(self.edges, np.float64)

    @cached_property
    def fenced(self) -> Array:
        """Which bins hold a single value, all of it."""
        found = np.zeros(self.width, bool)
        if len(self.edges) > 1:
            found[1:-1] = np.nextafter(self.upper[1:], -np.inf) <= self.upper[:-1]
        return found

    def label(self, number: int) -> str:
        """What a bin holds, in words."""
        if not self.ordered:
            return repr(self.categories[number]) if number < len(self.categories) else "any other category"
        if self.fenced[number]:
            return f"exactly {self.edges[number]:.6g}"
        if not 0 < number < len(self.edges):
            return f"up to {self.edges[0]:.6g}" if number == 0 else f"over {self.edges[-1]:.6g}"
        return f"between {self.edges[number - 1]:.6g} and {self.edges[number]:.6g}"


def build_column(name: str, part: str, values: Array, declared: str | None = None) -> ColumnBins | str:
    """A column's bins, or the reason why it has none.

    Parameters
    ----------
    values
        float64 with NaN where missing, bool, datetime64, or objects (text) with None where missing.
    declared
        numeric, categorical, boolean or ignore; None: by the values.
    """
    if declared == "ignore":
        return "ignored by configuration"
    if values.dtype.kind == "M":
        return "a point in time, which always moves on"
    if values.dtype.kind == "O" or declared == CATEGORICAL:
        return _categorical(name, part, as_texts(values), certain=declared is not None)
    numbers = values.astype(np.float64)
    present = numbers[~np.isnan(numbers)]
    if not len(present):
        return "no value in the reference"
    if declared is None and _counts_up(present):
        return f"{len(present)} rising whole numbers, none of them twice: an id or a counter"
    truth = values.dtype.kind == "b" or declared == BOOLEAN
    finite = present[np.isfinite(present)]
    centre = float(np.partition(finite, len(finite) // 2)[len(finite) // 2]) if len(finite) else 0.0
    return ColumnBins(name, part, BOOLEAN if truth else NUMERIC, centre, tuple(quantile_edges(present).tolist()))


def _counts_up(values: Array) -> bool:
    """Whether the values are what a counter gives: nothing of it comes back, so nothing of it can be compared."""
    if len(values) < 1000:
        return False
    steps = np.diff(values)
    return bool((steps > 0).all() and (np.floor(values) == values).all())


def as_texts(values: Array) -> Array:
    """Values as objects: text, or None where missing. Whole numbers lose their point, as a person writes them."""
    if values.dtype.kind == "O":
        return values
    numbers = values.astype(np.float64)
    texts = np.empty(len(values), object)
    texts[:] = [None if math.isnan(v) else str(int(v)) if v.is_integer() else str(v) for v in numbers.tolist()]
    return texts


def _categorical(name: str, part: str, values: Array, *, certain: bool) -> ColumnBins | str:
    present = np.array([value for value in values if value is not None], object)
    if not len(present):
        return "no value in the reference"
    names, counts = np.unique(present.astype(str), return_counts=True)
    if not certain and len(names) > max(50, len(present) // 10):
        return f"{len(names)} different texts in {len(present)} rows: an id or free text"
    order = np.lexsort((names, -counts))[:TOP_CATEGORIES]
    kept = order[counts[order] >= min(PRIVATE, counts.max())]
    return ColumnBins(name, part, CATEGORICAL, categories=tuple(names[kept].tolist()))


def quantile_edges(values: Array) -> Array:
    """Upper edges of bins none of which, atoms apart, holds over 1/1024 of the values.

    An atom (a value with more than 1/1024 of them) is fenced off by two edges: itself and the number just below it.
    So is the least value from what is below it: the outer bins hold what is beyond all values, and infinities.
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
        fences = np.nextafter(np.append(unique[atom], unique[0]), -np.inf)
    return np.unique(np.concatenate((unique[last], fences)))


def category_bins(column: ColumnBins, values: Array) -> tuple[Array, Array]:
    """The bin of every text that is present, and which are."""
    texts = as_texts(values)
    present = np.array([value is not None for value in texts], bool)
    index = {name: i for i, name in enumerate(column.categories)}
    other = len(column.categories)
    return np.array([index.get(value, other) for value in texts[present]], np.int64), present


class Layout:
    """The bins of all columns of one model version, laid end to end in one flat vector.

    Parameters
    ----------
    columns
        In the order they are laid out.
    """

    def __init__(self, columns: Sequence[ColumnBins]) -> None:
        self.columns = tuple(columns)
        self.offsets: Array = np.concatenate(([0], np.cumsum([c.width for c in self.columns]))).astype(np.int64)
        self.ordered: Array = np.array([c.ordered for c in self.columns], bool)
        self.centres: Array = np.array([c.centre for c in self.columns], np.float64)

    def __len__(self) -> int:
        return len(self.columns)

    @property
    def bins(self) -> int:
        """Bins of all columns together."""
        return int(self.offsets[-1])

    @cached_property
    def widths(self) -> Array:
        return np.diff(self.offsets)

    def stretch(self, number: int) -> slice:
        """Where a column's bins lie."""
        return slice(int(self.offsets[number]), int(self.offsets[number + 1]))
