"""What live windows have shown so far: block by block the counts, the readings and the score they led to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tenure_agent.bins import Array

WINDOW = 10  # blocks of a window
NEWEST = 3  # blocks of its newest part
LAG = 3 * WINDOW  # blocks: a reading is learnt from once it is so old
SHORTEST, LONGEST = 50, 300  # blocks of live rows that stand for the recent past
MEMORY = 4  # times that stretch, readings are learnt from
KEPT = LAG + MEMORY * LONGEST
STRIDE = 32


@dataclass(frozen=True, slots=True)
class Step:
    """One block judged.

    Parameters
    ----------
    block
        Its number: event time of its start over its length.
    counts
        int64 (coarse bins): its own rows.
    moved, missing, moved_newest, missing_newest, absent
        float64 (columns): what the window that ends with it showed; `absent` in blocks. Empty where it was not judged.
    together
        float64 (2): the means of `moved` and of `moved_newest` over columns.
    score
        1 and more: a surprise. NaN where the window held too few rows.
    critical
        Whether an episode was open.
    """

    block: int
    counts: Array
    moved: Array
    missing: Array
    moved_newest: Array
    missing_newest: Array
    absent: Array
    together: Array
    score: float
    critical: bool

    @classmethod
    def unjudged(cls, block: int, counts: Array, critical: bool) -> Step:
        """A block whose window held too few rows."""
        nothing = np.empty(0)
        return cls(block, counts, nothing, nothing, nothing, nothing, nothing, nothing, np.nan, critical)

    @property
    def readings(self) -> Array:
        """All of them in one row."""
        five = (self.moved, self.missing, self.moved_newest, self.missing_newest, self.absent)
        return np.concatenate((*five, self.together))

    @property
    def judged(self) -> bool:
        return not np.isnan(self.score)


class Past:
    """The newest steps of one model version.

    Parameters
    ----------
    columns, bins
        How many columns, and coarse bins of all of them.
    """

    def __init__(self, columns: int, bins: int) -> None:
        self._upto = Ring(LONGEST + 2 * WINDOW, bins, np.int64)  # counts of all blocks so far, after each
        self._upto.append(np.zeros(bins, np.int64))
        self._readings = Peaks(KEPT, 5 * columns + 2, np.float32)
        self._columns = columns
        self.scores: list[float] = []
        self.critical = False
        self.absent: Array = np.zeros(columns)
        self.next: int | None = None  # the block that is to be judged
        self.judged = 0

    def append(self, step: Step) -> None:
        """Remember a step; blocks come in order, and none twice."""
        self.next = step.block + 1
        if step.counts.any():  # an outage is no part of what data do by themselves
            self._upto.append(self._upto.newest()[-1] + step.counts)
        if not step.judged:
            return
        self.judged += 1
        self.absent = step.absent
        self._readings.append(step.readings)
        self.scores = [*self.scores[1 - WINDOW :], step.score]
        self.critical = step.critical

    def skip(self, block: int) -> None:
        """Pass over a block in whose window nothing came, and those before it."""
        self.next = block + 1

    def recent(self, length: int, tail: Array) -> Array:
        """float64 (coarse bins): rows of the stretch that ended a window before the newest window begins.

        Parameters
        ----------
        length
            Of the stretch in blocks, at most 300.
        tail
            float64 (coarse bins): rows of one block of the reference, on average: it stands where nothing was live yet.
        """
        upto = self._upto.newest()
        last = max(len(upto) - 2 * WINDOW, 0)  # the block to come is of the window
        first = max(last - length, 0)
        found: Array = (upto[last] - upto[first]) + tail * (length - (last - first))
        return found

    def learnt(self, length: int) -> tuple[Array, Array]:
        """The largest readings (5, columns) of windows old enough to be known, and the largest `together` (2).

        Parameters
        ----------
        length
            How many blocks to look back beyond that, at most 1,200.
        """
        last = max(len(self._readings) - LAG + 1, 0)
        if not last:
            return np.zeros((5, self._columns)), np.zeros(2)
        largest = self._readings.largest(max(last - length, 0), last).astype(np.float64)
        return largest[:-2].reshape(5, self._columns), largest[-2:]


class Ring:
    """The newest rows of a table, a block of memory."""

    def __init__(self, rows: int, width: int, dtype: type) -> None:
        self._table: Array = np.zeros((2 * rows, width), dtype)
        self._rows, self._end = rows, 0

    def __len__(self) -> int:
        return min(self._end, self._rows)

    def append(self, row: Array) -> None:
        if self._end == len(self._table):
            self._renew()
            self._end = self._rows
        self._table[self._end] = row
        self._end += 1

    def _renew(self) -> None:
        self._table[: self._rows] = self._table[self._rows :]

    def newest(self) -> Array:
        """Oldest first."""
        return self._table[self._end - len(self) : self._end]


class Peaks(Ring):
    """A ring that knows the largest values of every 32 rows, so that those of many are found among few."""

    def __init__(self, rows: int, width: int, dtype: type) -> None:
        super().__init__(-(-rows // STRIDE) * STRIDE, width, dtype)
        self._largest: Array = np.zeros((len(self._table) // STRIDE, width), dtype)

    def append(self, row: Array) -> None:
        super().append(row)
        at, inside = divmod(self._end - 1, STRIDE)
        own = self._table[self._end - 1]
        self._largest[at] = np.maximum(self._largest[at], own) if inside else own

    def _renew(self) -> None:
        super()._renew()
        self._largest[: self._rows // STRIDE] = self._largest[self._rows // STRIDE :]

    def largest(self, first: int, last: int) -> Array:
        """Of the newest rows, the values of [first, last), at least one of them."""
        first, last = (self._end - len(self) + row for row in (first, last))
        low, high = -(-first // STRIDE), last // STRIDE
        if low >= high:
            return np.asarray(self._table[first:last].max(0))
        ends = self._table[first : low * STRIDE], self._table[high * STRIDE : last]
        return np.asarray(np.concatenate((ends[0], self._largest[low:high], ends[1])).max(0))
