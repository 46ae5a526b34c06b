"""Numbers of a producer's reports that were passed over: a report may still come when one after it came first."""

from __future__ import annotations

from typing import NamedTuple

MOST = 1024  # of a producer, as two relays that take turns leave; what was passed over longest ago is given up first


class Gap(NamedTuple):
    """Reports `first` to `last`; `acked` ones were stored once, and are no longer."""

    first: int
    last: int
    acked: bool = False

    def __contains__(self, seq: object) -> bool:
        return isinstance(seq, int) and self.first <= seq <= self.last


Gaps = tuple[Gap, ...]


def opened(gaps: Gaps, first: int, last: int, *, acked: bool = False) -> Gaps:
    """With numbers that were passed over now, if any; those given up count as duplicates when they come after all.

    >>> opened((Gap(2, 3),), 7, 9)
    (Gap(first=2, last=3, acked=False), Gap(first=7, last=9, acked=False))
    """
    return (*gaps, Gap(first, last, acked))[-MOST:] if first <= last else gaps


def filled(gaps: Gaps, seq: int) -> tuple[Gaps, Gap | None]:
    """Without a number that came after all, and the gap it was in.

    >>> filled((Gap(2, 9),), 5)
    ((Gap(first=2, last=4, acked=False), Gap(first=6, last=9, acked=False)), Gap(first=2, last=9, acked=False))
    """
    for at, gap in enumerate(gaps):
        if seq in gap:
            left = opened(opened((), gap.first, seq - 1, acked=gap.acked), seq + 1, gap.last, acked=gap.acked)
            return (*gaps[:at], *left, *gaps[at + 1 :])[-MOST:], gap
    return gaps, None
