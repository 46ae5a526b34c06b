"""Alarms to episodes: they open after several alarming checks and close after several quiet ones."""

from __future__ import annotations

from collections.abc import Sequence

from tenure_agent.records import Level

_RANK = {Level.OK: 0, Level.WARNING: 1, Level.CRITICAL: 2}


def settle(raw: Sequence[Level], before: Level, *, open_after: int, close_after: int) -> Level:
    """The level a person sees, from what single checks said.

    Parameters
    ----------
    raw
        What each check said by itself, the newest last. Checks without enough data are left out by the caller.
    before
        The level people saw before this check.
    open_after
        A level is reached when so many of the last `open_after` + 1 checks reach it.
    close_after
        A level is left when the last so many checks were all below it.
    """
    recent = raw[-(open_after + 1) :]
    reached = Level.OK
    for level in (Level.WARNING, Level.CRITICAL):
        if sum(_RANK[one] >= _RANK[level] for one in recent) >= open_after:
            reached = level
    if _RANK[reached] >= _RANK.get(before, 0):
        return reached
    tail = raw[-close_after:]
    quiet = len(tail) == close_after and all(_RANK[one] < _RANK[before] for one in tail)
    return reached if quiet else before
