"""A column's bins: how they are chosen from a reference's values, and how values find theirs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from tenure_agent.kinds import SHARED, unfit_numbers, unfit_texts

Array = npt.NDArray[Any]

SHARES = 1024  # a value with more than one of them is an atom; other bins hold one at most
TOP_CATEGORIES = 254
PRIVATE = SHARED  # rows a value needs to be named: what fewer share could be somebody
NUMERIC, CATEGORICAL, BOOLEAN = "numeric", "categorical", "boolean"


@dataclass(frozen=True)
class ColumnBins:
    """One column's bins.

    Numeric bin i holds (edges[i-1], edges[i]]; the first reaches down to -inf, the last up to +inf, so there is one
    bin more than edges. A value that many rows share (an atom) has a bin of its own. Categorical bins are `categories`
    in order, then one for all others. A boolean column is a numeric one of 0 and 1, which have bins of their own however
    few rows share them: they could be nobody.

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

    def label(self, number: int, last: int | None = None) -> str:
        """What a bin holds, in words; or all bins from it to a last one."""
        last = number if last is None else last
        if not self.ordered:
            return repr(self.categories[number]) if number == last < len(self.categories) else "any other category"
        if number == last and self.fenced[number]:
            return f"exactly {self.edges[number]:.6g}"
        if last == len(self.edges):
            return f"over {self.edges[number - 1]:.6g}" if number else "any number"
        upto = bool(self.fenced[last + 1])  # but not with the value that stands alone there
        upper = self.edges[last + upto]
        if number == 0:
            return f"{'under' if upto else 'up to'} {upper:.6g}"
        return f"between {self.edges[number - 1]:.6g} and {upper:.6g}"


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
    unfit = unfit_numbers(name, present) if declared is None else None
    if unfit is not None:
        return unfit
    truth = declared == BOOLEAN or (declared is None and np.array_equal(np.unique(present), (0.0, 1.0)))
    finite = present[np.isfinite(present)]
    edges = _fenced(np.unique(finite)) if truth and np.isin(finite, (0.0, 1.0)).all() else quantile_edges(present)
    middle = np.partition(finite, len(finite) // 2)[len(finite) // 2] if len(finite) else edges[0]
    centre = float(edges[min(int(np.searchsorted(edges, middle)), len(edges) - 1)])
    return ColumnBins(name, part, BOOLEAN if truth else NUMERIC, centre, tuple(edges.tolist()))


def as_texts(values: Array) -> Array:
    """Values as objects: text, or None where missing. Whole numbers lose their point, as a person writes them."""
    if values.dtype.kind == "O":
        return values
    numbers = values.astype(np.float64)
    texts = np.empty(len(values), object)
    texts[:] = [None if math.isnan(v) else str(int(v)) if v.is_integer() else str(v) for v in numbers.tolist()]
    return texts


def counted(texts: Array) -> tuple[Array, Array]:
    """The different texts there are, in order, and how many rows each has, as objects and int64.

    NumPy's own strings would give every row the room of the longest.
    """
    found = sorted(Counter(text for text in texts.tolist() if text is not None).items())
    names = np.empty(len(found), object)
    names[:] = [str(name) for name, _ in found]  # NumPy's own are shown otherwise
    return names, np.array([rows for _, rows in found], np.int64)


def numbered(texts: Array) -> tuple[list[Any], Array]:
    """The different values, None first and the others in order, and int64 per row: which of them it has. See `counted`."""
    rows = texts.tolist()
    distinct = set(rows)
    values = [None] * (None in distinct) + sorted(distinct - {None})
    number = {value: i for i, value in enumerate(values)}
    return values, np.fromiter((number[value] for value in rows), np.int64, len(rows))


def _categorical(name: str, part: str, values: Array, *, certain: bool) -> ColumnBins | str:
    names, counts = counted(values)
    if not len(names):
        return "no value in the reference"
    unfit = None if certain else unfit_texts(names, counts)
    if unfit is not None:
        return unfit
    order = np.argsort(-counts, kind="stable")[:TOP_CATEGORIES]
    kept = order[counts[order] >= PRIVATE]
    if not len(kept):
        return f"no text that {PRIVATE} rows share"
    return ColumnBins(name, part, CATEGORICAL, categories=tuple(names[kept].tolist()))


def quantile_edges(values: Array) -> Array:
    """Upper edges of bins none of which, atoms apart, holds over 1/1024 of the values, or 5 where that is more.

    An atom (a value with more than that) is fenced off by two edges: itself and the number just below it. So is the least
    value from what is below it: the outer bins hold what is beyond all values, and infinities. No other edge is a value,
    but a rounder number between two neighbours, so that no edge tells what a single row held.
    """
    unique, counts = np.unique(values[np.isfinite(values)], return_counts=True)
    if not len(unique):
        return np.array([0.0])
    upto, rows = np.cumsum(counts).astype(np.float64), int(counts.sum())  # looked up as it is, by numbers with a part
    share = max(rows / SHARES, PRIVATE)
    atom = (counts > share) | ((counts == rows) & (rows >= PRIVATE))
    below, above = _outside(unique)
    edges = np.where(atom, unique, _between(np.append(unique, above)))
    ends = _ends(upto, np.flatnonzero(atom), share)
    return np.unique(np.concatenate((edges[ends], _fenced(unique[atom]), [] if atom[0] else [below])))


def _fenced(values: Array) -> Array:
    """Edges that give each of some values a bin of its own."""
    with np.errstate(over="ignore"):  # below the least float there is -inf
        return np.unique(np.concatenate((values, np.nextafter(values, -np.inf))))


def _ends(upto: Array, atoms: Array, share: float) -> list[int]:
    """Where bins end, each as full as may be; the one below an atom ends at the atom's fence."""
    ends = []
    start, last = 0, len(upto) - 1
    alone = iter([*atoms.tolist(), last + 1])
    atom = next(alone)
    while start <= last:
        if start == atom:
            end, atom = start, next(alone)
            ends.append(end)
        else:
            before = int(upto[start - 1]) if start else 0
            end = int(upto.searchsorted(before + share, "right")) - 1
            if end < atom - 1:
                ends.append(end)
            else:
                end = atom - 1
                if atom > last:
                    ends.append(end)
        start = end + 1
    return ends


def _outside(values: Array) -> tuple[float, float]:
    """Round numbers a little below the least and above the greatest of some values."""
    least, most = float(values[0]), float(values[-1])
    with np.errstate(all="ignore"):
        step = float(10.0 ** np.floor(np.log10(((most - least) or abs(least) or 1.0) / 10)))
        below = float(_times(np.ceil(np.float64(least) / step) - 1, step))
        above = float(_times(np.floor(np.float64(most) / step) + 1, step))
        next_below, next_above = float(np.nextafter(least, -np.inf)), float(np.nextafter(most, np.inf))
    return (
        below if -np.inf < below < least else next_below,
        above if most < above < np.inf else min(next_above, float(np.finfo(np.float64).max)),
    )


def _between(values: Array) -> Array:
    """For each of some rising values but the last, a number of few digits from it to below the next; then the last."""
    low, high = values[:-1], values[1:]
    with np.errstate(all="ignore"):
        step = 10.0 ** np.floor(np.log10(high - low))
        rounder = _times(np.ceil(low / step), step)
        middle = low / 2 + high / 2
    found = np.where(np.isfinite(rounder) & (rounder >= low) & (rounder < high), rounder, middle)
    found = np.where((found >= low) & (found < high), found, low)
    found[-1] = values[-1]
    return found


def _times(number: Array, step: Array | float) -> Array:
    """Whole numbers times powers of ten. 3 * 0.1 is a hair over 0.3: dividing by a whole number is not."""
    parts = np.round(1 / np.asarray(step))
    return np.where((parts > 1) & np.isfinite(parts), number / parts, number * step)


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
