"""The Summary: one mergeable value per model version, role and stretch of time, from which every check is computed.

Two summaries over the same bins add; so the same few integers serve every window, every replica and every plot.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Self, TypeVar

import numpy as np
import numpy.typing as npt

from tenure_agent.bins import Layout

Array = npt.NDArray[Any]
Hitters = dict[float | str, int]
Key = TypeVar("Key")

FORMAT = 2
MAGNITUDES = 128
HITTERS = 8
INTEGERS = ("rows", "missing", "mistyped", "below", "above", "zeros")
MOMENTS = ("total", "squares", "low", "high")
SUMMED = ("counts", "magnitudes", *INTEGERS, "total", "squares")


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

    hitters: tuple[Hitters, ...]
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

    @classmethod
    def empty(cls, layout: Layout) -> Self:
        """The identity: added to any summary it changes nothing."""
        n = len(layout)
        integers, moments = np.zeros(n, np.int64), np.zeros(n)
        counts: list[Array] = [np.zeros(layout.bins, np.int64), np.zeros((n, MAGNITUDES), np.int64)]
        counts += [integers for _ in INTEGERS]
        return cls(({},) * n, *counts, *[moments, moments, np.full(n, np.inf), np.full(n, -np.inf)])

    def __add__(self, other: Summary) -> Summary:
        with np.errstate(over="ignore", invalid="ignore"):  # moments of values near the largest float
            summed = [getattr(self, name) + getattr(other, name) for name in SUMMED]
        ends = [np.minimum(self.low, other.low), np.maximum(self.high, other.high)]
        return Summary(tuple(map(_merged, self.hitters, other.hitters)), *summed, *ends)

    @property
    def seen(self) -> Array:
        """int64 per column: rows, with a value or without."""
        return self.rows + self.missing

    @property
    def finite(self) -> Array:
        """int64 per column: values that moments are of."""
        return self.rows - self.below - self.above

    def only(self, column: int, layout: Layout) -> Summary:
        """Of one column, by its number."""
        arrays = (getattr(self, name)[column : column + 1] for name in ("magnitudes", *INTEGERS, *MOMENTS))
        return Summary((self.hitters[column],), self.counts[layout.stretch(column)], *arrays)

    def to_bytes(self) -> bytes:
        """Compressed; integers by bytes of equal weight, so that what is small or absent takes next to nothing."""
        integers = np.concatenate(
            [self.counts, self.magnitudes.ravel(), *(getattr(self, name) for name in INTEGERS)]
        ).astype("<u8")
        planes = np.ascontiguousarray(integers.view(np.uint8).reshape(-1, 8).T)
        used = int(np.flatnonzero(np.append(True, planes.any(axis=1)))[-1])
        moments = b"".join(getattr(self, name).astype("<f8").tobytes() for name in MOMENTS)
        hitters = [_heaviest(found) for found in self.hitters]
        said = json.dumps(hitters, separators=(",", ":")).encode() if any(hitters) else b""
        head = struct.pack("<BBII", FORMAT, used, len(self.counts), len(self.rows))
        packed = zlib.compressobj(6, zlib.DEFLATED, -15, 9, zlib.Z_FILTERED)
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
        return cls(hitters, integers[:bins], after[0].reshape(n, MAGNITUDES), *after[1:], *moments)


@dataclass(frozen=True, slots=True)
class Packed:
    """A summary in little room, and nothing of it lost: `blob` keeps not all hitters."""

    blob: bytes
    hitters: tuple[Hitters, ...]

    @classmethod
    def of(cls, summary: Summary) -> Self:
        return cls(summary.to_bytes(), summary.hitters)

    def to_bytes(self) -> bytes:
        """As the summary's."""
        return self.blob

    def unpacked(self, layout: Layout) -> Summary:
        return replace(Summary.from_bytes(self.blob, layout), hitters=self.hitters)


def merge(layout: Layout, summaries: Iterable[Summary]) -> Summary:
    """The sum of summaries; the empty one where there are none."""
    total = Summary.empty(layout)
    summed = {name: getattr(total, name).copy() for name in (*SUMMED, "low", "high")}
    hitters = total.hitters
    with np.errstate(over="ignore", invalid="ignore"):
        for summary in summaries:  # in place: to make new arrays for each would take most of the time
            for name in SUMMED:
                np.add(summed[name], getattr(summary, name), out=summed[name])
            np.minimum(summed["low"], summary.low, out=summed["low"])
            np.maximum(summed["high"], summary.high, out=summed["high"])
            hitters = tuple(map(_merged, hitters, summary.hitters))
    return Summary(hitters, **summed)


def add(held: dict[Key, Summary], found: Iterable[tuple[Key, Summary]]) -> None:
    """Add summaries to those held under the same keys."""
    for key, summary in found:
        held[key] = held[key] + summary if key in held else summary


def _merged(one: Hitters, other: Hitters) -> Hitters:
    if not one or not other:
        return one or other
    return one | {value: one.get(value, 0) + rows for value, rows in other.items()}


def _heaviest(found: Hitters) -> list[tuple[float | str, int]]:
    return sorted(found.items(), key=lambda item: (-item[1], str(item[0])))[:HITTERS]
