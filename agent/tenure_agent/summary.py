"""The Summary: one mergeable value per model version, role and stretch of time, from which every check is computed.

Two summaries over the same reference add, counts exactly; so the same few integers serve every window and every replica.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from tenure_agent.bins import CATEGORICAL, bin_values
from tenure_agent.reference import Reference

Array = npt.NDArray[Any]
_SCALARS = ("rows", "missing", "infinite", "zeros")
_MOMENTS = ("total", "squares", "low", "high")


@dataclass(frozen=True, eq=False)
class Summary:
    """Counts and moments of rows over a reference's bins.

    Parameters
    ----------
    counts
        int64, flat over all columns as `Reference.offsets` lays them out. ±inf falls into the outer bins.
    rows, missing, infinite, zeros
        int64 per column: values present, absent, of them infinite, of them exactly zero.
    total, squares
        float64 per column: sum and sum of squares of finite values, less the reference's mean.
    low, high
        float64 per column: least and greatest finite value; +inf and -inf while there is none.
    """

    counts: Array
    rows: Array
    missing: Array
    infinite: Array
    zeros: Array
    total: Array
    squares: Array
    low: Array
    high: Array

    @classmethod
    def empty(cls, reference: Reference) -> Self:
        """The identity: added to any summary it changes nothing."""
        n = len(reference.columns)
        counts, integers, moments = np.zeros(int(reference.offsets[-1]), np.int64), np.zeros(n, np.int64), np.zeros(n)
        low, high = np.full(n, np.inf), np.full(n, -np.inf)
        return cls(counts, integers, integers, integers, integers, moments, moments, low, high)

    def __add__(self, other: Summary) -> Summary:
        return Summary(
            self.counts + other.counts,
            self.rows + other.rows,
            self.missing + other.missing,
            self.infinite + other.infinite,
            self.zeros + other.zeros,
            self.total + other.total,
            self.squares + other.squares,
            np.minimum(self.low, other.low),
            np.maximum(self.high, other.high),
        )

    def to_bytes(self) -> bytes:
        """A blob: the scalars, then the counts, sparse where that is smaller."""
        index = np.flatnonzero(self.counts)
        gaps = np.diff(index, prepend=0).astype("<u4")
        sparse = struct.pack("<BI", 1, len(index)) + gaps.tobytes() + self.counts[index].astype("<u4").tobytes()
        dense = struct.pack("<BI", 0, len(self.counts)) + self.counts.astype("<u4").tobytes()
        body = min(sparse, dense, key=len)
        scalars = [getattr(self, name).astype("<i8").tobytes() for name in _SCALARS]
        moments = [getattr(self, name).astype("<f8").tobytes() for name in _MOMENTS]
        return zlib.compress(struct.pack("<I", len(self.rows)) + b"".join(scalars + moments) + body, 1)

    @classmethod
    def from_bytes(cls, blob: bytes, bins: int) -> Self:
        data = zlib.decompress(blob)
        (n,) = struct.unpack_from("<I", data)
        at = 4
        fields = []
        for dtype in ("<i8",) * len(_SCALARS) + ("<f8",) * len(_MOMENTS):
            fields.append(np.frombuffer(data, dtype, n, at))
            at += 8 * n
        sparse, length = struct.unpack_from("<BI", data, at)
        first = np.frombuffer(data, "<u4", length, at + 5)
        if not sparse:
            return cls(first.astype(np.int64), *fields)
        counts = np.zeros(bins, np.int64)
        counts[np.cumsum(first)] = np.frombuffer(data, "<u4", length, at + 5 + 4 * length)
        return cls(counts, *fields)


def merge(reference: Reference, summaries: Iterable[Summary]) -> Summary:
    """The sum of summaries; the empty one where there are none."""
    merged = Summary.empty(reference)
    for summary in summaries:
        merged += summary
    return merged


def summarise(
    reference: Reference, columns: Mapping[tuple[str, str], Array], groups: Array, n_groups: int
) -> list[Summary]:
    """Summaries of rows, one per group, in one pass over each column.

    Parameters
    ----------
    columns
        (part, name) → float64 with NaN, or objects with None. A column that did not come is all missing.
    groups
        The group of each row, 0 … n_groups - 1.
    """
    n = len(reference.columns)
    counts = np.zeros((n_groups, int(reference.offsets[-1])), np.int64)
    integers = {name: np.zeros((n_groups, n), np.int64) for name in _SCALARS}
    moments = {name: np.zeros((n_groups, n)) for name in _MOMENTS}
    moments["low"][:] = np.inf
    moments["high"][:] = -np.inf
    sizes = np.bincount(groups, minlength=n_groups)
    for i, column in enumerate(reference.columns):
        values = columns.get(column.key)
        if values is None:
            integers["missing"][:, i] = sizes
            continue
        bins, present = bin_values(column, values)
        of = groups[present]
        width = column.bins
        flat = np.bincount(of * width + bins, minlength=n_groups * width).reshape(n_groups, width)
        counts[:, reference.offsets[i] : reference.offsets[i + 1]] = flat
        integers["rows"][:, i] = flat.sum(1)
        integers["missing"][:, i] = sizes - integers["rows"][:, i]
        if column.kind == CATEGORICAL or values.dtype.kind == "O":
            continue
        finite = np.isfinite(values) & present
        of, numbers = groups[finite], values[finite]
        integers["infinite"][:, i] = integers["rows"][:, i] - np.bincount(of, minlength=n_groups)
        integers["zeros"][:, i] = np.bincount(of, numbers == 0.0, minlength=n_groups)
        centred = numbers - column.mean
        moments["total"][:, i] = np.bincount(of, centred, minlength=n_groups)
        moments["squares"][:, i] = np.bincount(of, centred**2, minlength=n_groups)
        np.minimum.at(moments["low"][:, i], of, numbers)
        np.maximum.at(moments["high"][:, i], of, numbers)
    return [
        Summary(counts[g], *(integers[name][g] for name in _SCALARS), *(moments[name][g] for name in _MOMENTS))
        for g in range(n_groups)
    ]
