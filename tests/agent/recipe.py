"""The recipe of the drift judge once more, slowly: plain numbers in lists, from its description, not from its code."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

Column = Sequence[int]  # rows by bin, what is missing last
Block = Sequence[Column]  # by column
Real = Sequence[Sequence[float]]
DETAILS = ("moved", "missing", "moved_newest", "missing_newest", "absent")


def jensen_shannon(first: Sequence[float], second: Sequence[float]) -> float:
    """√ of the Jensen-Shannon divergence in bits; 0 where either has no rows."""
    rows = sum(first), sum(second)
    if not rows[0] or not rows[1]:
        return 0.0
    divergence = 0.0
    for a, b in zip(first, second, strict=True):
        p, q = a / rows[0], b / rows[1]
        middle = (p + q) / 2
        divergence += p * math.log2(p / middle) / 2 if p else 0.0
        divergence += q * math.log2(q / middle) / 2 if q else 0.0
    return math.sqrt(min(max(divergence, 0.0), 1.0))


def missing_move(first: Sequence[float], second: Sequence[float]) -> float:
    """Difference in missing share."""
    return abs(first[-1] / max(sum(first), 1) - second[-1] / max(sum(second), 1))


def g(x: float) -> float:
    x = min(x, 0.999)
    return x / math.sqrt(1 - x * x)


def pooled(blocks: Sequence[Block]) -> list[list[int]]:
    """Column by column, the sum of blocks."""
    return [[sum(bins) for bins in zip(*(block[c] for block in blocks), strict=True)] for c in range(len(blocks[0]))]


def less(whole: Block, part: Block) -> list[list[int]]:
    return [[a - b for a, b in zip(*pair, strict=True)] for pair in zip(whole, part, strict=True)]


def single(value: float) -> float:
    """As it is kept: four bytes."""
    return float(struct.unpack("f", struct.pack("f", value))[0])


@dataclass
class Own:
    """The largest readings among the reference's own windows; a run of absence in blocks of the reference."""

    moved: list[float]
    missing: list[float]
    moved_newest: list[float]
    missing_newest: list[float]
    together: list[float]
    absent: list[int]


def own_movement(blocks: Sequence[Block], width: int, part: int) -> Own:
    """Every stretch of the reference against the reference less what lies within a window of it."""
    total, n, columns = pooled(blocks), len(blocks), len(blocks[0])

    def largest(length: int) -> tuple[list[float], list[float], float]:
        moved, missing, together = [0.0] * columns, [0.0] * columns, 0.0
        for end in range(length, n + 1):
            window = pooled(blocks[end - length : end])
            rest = less(total, pooled(blocks[max(end - length - width, 0) : min(end + width, n)]))
            here = [jensen_shannon(window[c], rest[c]) for c in range(columns)]
            together = max(together, sum(here) / columns)
            moved = [max(pair) for pair in zip(moved, here, strict=True)]
            missing = [max(missing[c], missing_move(window[c], rest[c])) for c in range(columns)]
        return moved, missing, together

    absent = []
    for c in range(columns):
        run = longest = 0
        for block in blocks:
            run = run + 1 if block[c][-1] >= 0.9 * sum(block[c]) else 0
            longest = max(longest, run)
        absent.append(longest)
    moved, missing, whole = largest(width)
    moved_newest, missing_newest, newest = largest(part)
    return Own(moved, missing, moved_newest, missing_newest, [whole, newest], absent)


@dataclass
class Judged:
    """What the newest window shows, by column."""

    readings: dict[str, list[float]]
    together: list[float]
    columns: list[float]
    all_of_them: float


@dataclass
class Recipe:
    """One version's stream.

    Parameters
    ----------
    reference
        Its blocks.
    own
        How far its windows lie from the rest.
    """

    reference: Sequence[Block]
    own: Own
    margin: float
    lived: list[Block] = field(default_factory=list)  # blocks with rows
    shown: list[dict[str, list[float]]] = field(default_factory=list)  # readings of every window judged
    togethers: list[list[float]] = field(default_factory=list)

    def judge(self, window: Sequence[Block]) -> Judged:
        """Ten blocks, oldest first, the newest of which is remembered."""
        total, whole, newest, block = pooled(self.reference), pooled(window), pooled(window[-3:]), window[-1]
        rows, known = sum(whole[0]), sum(total[0])
        length = min(max(round(known / (rows / 10)), 50), 300)
        recent = self.recent(length, total, rows / 10 / known)
        readings: dict[str, list[float]] = {name: [] for name in DETAILS}
        for c in range(len(total)):
            for name, part in (("moved", whole), ("moved_newest", newest)):
                readings[name].append(min(jensen_shannon(part[c], base[c]) for base in (total, recent)))
            for name, part in (("missing", whole), ("missing_newest", newest)):
                readings[name].append(min(missing_move(part[c], base[c]) for base in (total, recent)))
            before = self.shown[-1]["absent"][c] if self.shown else 0
            gone = block[c][-1] >= 0.9 * sum(block[c])
            readings["absent"].append(before if not sum(block[c]) else before + 1 if gone else 0)
        together = [sum(readings[name]) / len(total) for name in ("moved", "moved_newest")]
        old = self.shown[: max(len(self.shown) - 29, 0)][-4 * length :]
        scores = [self.score(c, readings, old, rows) for c in range(len(total))]
        seen = [self.own.together, *self.togethers[: max(len(self.togethers) - 29, 0)][-4 * length :]]
        times = (self.margin / 2, 1.0)
        all_of_them = min(together[i] / max(times[i] * max(one[i] for one in seen), 0.08) for i in range(2))
        self.shown.append({name: [single(value) for value in values] for name, values in readings.items()})
        self.togethers.append([single(value) for value in together])
        if sum(block[0]):
            self.lived.append(block)
        return Judged(readings, together, scores, all_of_them)

    def recent(self, length: int, total: Block, share: float) -> Real:
        """The stretch as long as the reference that ended a window before this window began; first of it, the reference."""
        past = self.lived[: max(len(self.lived) - 19, 0)][-length:]
        filled = length - len(past)
        live = pooled(past) if past else [[0] * len(column) for column in total]
        return [[a + b * share * filled for a, b in zip(*pair, strict=True)] for pair in zip(live, total, strict=True)]

    def score(self, c: int, readings: dict[str, list[float]], old: list[dict[str, list[float]]], rows: int) -> float:
        def level(name: str, own: float) -> float:
            return max([own, *(shown[name][c] for shown in old)])

        def ratio(name: str, own: list[float], margin: float, floor: float) -> float:
            return g(readings[name][c]) / max(margin * g(level(name, own[c])), floor)

        moved = min(
            ratio("moved", self.own.moved, self.margin, 0.15), ratio("moved_newest", self.own.moved_newest, 1, 0.15)
        )
        missing = min(
            ratio("missing", self.own.missing, self.margin, 0.10),
            ratio("missing_newest", self.own.missing_newest, 1, 0.10),
        )
        per_block = sum(sum(block[0]) for block in self.reference) / len(self.reference) / (rows / 10)
        run = readings["absent"][c] / max(2 * level("absent", self.own.absent[c] * per_block), 10)
        return max(moved, missing, run)
