"""The Summary: one mergeable value per model version, role and stretch of time, from which every check is computed.

Two summaries over the same bins add; so the same few integers serve every window, every replica and every plot.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from tenure_agent.bins import Layout

Array = npt.NDArray[Any]
Hitters = dict[float | str, int]

FORMAT = 2
MAGNITUDES = 128
HITTERS = 8
INTEGERS = ("rows", "missing", "mistyped", "below", "above", "zeros")
MOMENTS = ("total", "squares", "low", "high")


class SummaryUnreadable(ValueError):
    """Bytes that are no summary over these bins."""


@dataclass(frozen=True, eq=False)
class Summary:
    """Counts and moments of rows over a layout of bins.

    Addition is associative and commutative, exactly in all counts and within 1e-9 in `total` and `squares`.

    Parameters
    ----------
    counts
        int64, flat over all columns as `Layout.offsets` lays them out. ±inf falls into the outer bins.
    magnitudes
        int64 (columns, 128): finite values other than 0 by sign and power of two. Of the first 64, number j counts
        values in (-2^(j-32), -2^(j-33)]; of the last 64, number 64 + j those in [2^(j-33), 2^(j-32)); the ends take
        what is beyond them. So a new unit or a sentinel shows where the reference has no bins.
    rows, missing, mistyped, below, above, zeros
        int64 per column: values present; absent; of those, values of the other type (a text for a number); -inf; +inf;
        exactly zero.
    total, squares
        float64 per column: sum and sum of squares of finite values, less the column's centre.
    low, high
        float64 per column: least and greatest finite value; +inf and -inf while there is none.
    hitters
        Per column, single values that many rows share and that have no bin of their own, with at least how many rows.
        A value with over 1/8 of the rows of each part that was summarised is among them, whatever the parts. `to_bytes`
        keeps the 8 largest.
    """

    counts: Array
    magnitudes: Array
    rows: Array
    missing: Array
    mistyped: Array
    below: Array
    above: Array
    zeros: Array
    total: Array
    squares: Array
    low: Array
    high: Array
    hitters: tuple[Hitters, ...]

    @classmethod
    def empty(cls, layout: Layout) -> Self:
        """The identity: added to any summary it changes nothing."""
        n = len(layout)
        integers, moments = np.zeros(n, np.int64), np.zeros(n)
        counts = np.zeros(layout.bins, np.int64), np.zeros((n, MAGNITUDES), np.int64)
        bounds = np.full(n, np.inf), np.full(n, -np.inf)
        parts: list[Any] = [*counts, *[integers] * len(INTEGERS), moments, moments, *bounds, ({},) * n]
        return cls(*parts)

    def __add__(self, other: Summary) -> Summary:
        with np.errstate(over="ignore", invalid="ignore"):  # moments of values near the largest float
            total, squares = self.total + other.total, self.squares + other.squares
        counts = self.counts + other.counts, self.magnitudes + other.magnitudes
        integers = (getattr(self, name) + getattr(other, name) for name in INTEGERS)
        bounds = np.minimum(self.low, other.low), np.maximum(self.high, other.high)
        hitters = tuple(map(_merged, self.hitters, other.hitters))
        parts: list[Any] = [*counts, *integers, total, squares, *bounds, hitters]
        return Summary(*parts)

    @property
    def seen(self) -> Array:
        """int64 per column: rows, with a value or without."""
        return self.rows + self.missing

    @property
    def finite(self) -> Array:
        """int64 per column: values that moments are of."""
        return self.rows - self.below - self.above

    def to_bytes(self) -> bytes:
        """Compressed; integers by bytes of equal weight, so that what is small or absent takes next to nothing."""
        integers = np.concatenate(
            [self.counts, self.magnitudes.ravel(), *(getattr(self, name) for name in INTEGERS)]
        ).astype("<u8")
        planes = np.ascontiguousarray(integers.view(np.uint8).reshape(-1, 8).T)
        used = 1 + int(np.flatnonzero(planes.any(1)).max(initial=-1))
        moments = b"".join(getattr(self, name).astype("<f8").tobytes() for name in MOMENTS)
        hitters = [_heaviest(found) for found in self.hitters]
        said = json.dumps(hitters, separators=(",", ":")).encode() if any(hitters) else b""
        head = struct.pack("<BBII", FORMAT, used, len(self.counts), len(self.rows))
        packed = zlib.compressobj(6, zlib.DEFLATED, -15, 9)
        return head + packed.compress(planes[:used].tobytes() + moments + said) + packed.flush()

    @classmethod
    def from_bytes(cls, blob: bytes, layout: Layout) -> Self:
        """
        Raises
        ------
        SummaryUnreadable
            The bytes are damaged, or of other bins.
        """
        try:
            format_, used, bins, n = struct.unpack_from("<BBII", blob)
            if (format_, bins, n) != (FORMAT, layout.bins, len(layout)):
                raise SummaryUnreadable(f"format {format_} with {bins} bins of {n} columns")
            data = zlib.decompress(blob[10:], -15)
            length = bins + n * (MAGNITUDES + len(INTEGERS))
            planes = np.zeros((8, length), np.uint8)
            planes[:used] = np.frombuffer(data, np.uint8, used * length).reshape(used, length)
            integers = np.ascontiguousarray(planes.T).view("<u8").ravel().astype(np.int64)
            at = used * length
            moments = [np.frombuffer(data, "<f8", n, at + 8 * n * i) for i in range(len(MOMENTS))]
            said = data[at + 8 * n * len(MOMENTS) :]
            hitters = tuple(dict(map(tuple, found)) for found in json.loads(said)) if said else ({},) * n
            if len(hitters) != n:
                raise SummaryUnreadable(f"hitters of {len(hitters)} columns, not of {n}")
        except (struct.error, zlib.error, ValueError, TypeError) as error:
            raise SummaryUnreadable(str(error)) from error
        after = np.split(integers[bins:], [n * (MAGNITUDES + i) for i in range(len(INTEGERS))])
        parts: list[Any] = [integers[:bins], after[0].reshape(n, MAGNITUDES), *after[1:], *moments, hitters]
        return cls(*parts)


def merge(layout: Layout, summaries: Iterable[Summary]) -> Summary:
    """The sum of summaries; the empty one where there are none."""
    return reduce(add, summaries, Summary.empty(layout))


def _merged(one: Hitters, other: Hitters) -> Hitters:
    if not one or not other:
        return one or other
    return one | {value: one.get(value, 0) + rows for value, rows in other.items()}


def _heaviest(found: Hitters) -> list[tuple[float | str, int]]:
    return sorted(found.items(), key=lambda item: (-item[1], str(item[0])))[:HITTERS]
