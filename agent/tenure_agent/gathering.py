"""From which live rows a version's reference is taken, or how far it is from having them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tenure_agent.model_config import ReferenceConfig
from tenure_agent.records import micros
from tenure_agent.store import expiry, stretches
from tenure_agent.store.catalogue import Model
from tenure_agent.store.database import Cursor
from tenure_agent.store.stretches import MOST, Extent, Stretch
from tenure_agent.units import in_micros, show_duration, show_moment

LEAST_ROWS = 100  # of a reference
CHUNK_VALUES = 1 << 17  # read at a time: they take eight bytes each, many times over
NEARLY_FULL = (1 + expiry.KEEP) / 2  # of the room allowed
AT_RISK = 0.3  # a row with no larger share of older ones goes the next time room is made, or the time after
EMPTY_STRETCHES = 100  # looked at, at once
UNITS = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True, slots=True)
class Gathered:
    """Live rows that make a reference.

    Parameters
    ----------
    pieces
        See `tenure_agent.live_rows.LiveRows`.
    span
        Event times of the first and the last row, in microseconds since 1970 UTC.
    told
        Which rows they are, in words.
    notices
        What a person should know of them.
    """

    stretch: Stretch
    pieces: Sequence[Stretch]
    span: tuple[int, int]
    told: str
    notices: tuple[str, ...] = ()


def gather(
    cursor: Cursor, model: Model, version: int, settings: ReferenceConfig, now: int, max_size: int
) -> Gathered | str:
    """The rows of a version's reference as of an event time; while they are not all there, how far it is, in words.

    Parameters
    ----------
    max_size
        Bytes the store may take: where rows are about to go for want of room, those that are there must do.
    """
    if settings.first is not None:
        return _first(cursor, model, version, settings.first, now, max_size)
    if settings.until is not None:
        return _until(cursor, model, version, settings, settings.until, now, max_size)
    wanted = settings.first_rows or 0
    stretch = Stretch(version, 0, now, rows=wanted)
    found = stretches.extent(cursor, model, stretch)
    if found.rows < wanted:
        return f"no reference yet: {found.rows:,} of {wanted:,} rows"
    exact = replace(stretch, upto=found.highest)
    pieces = list(stretches.by_arrival(cursor, model, exact, _length(model)))
    return Gathered(exact, pieces, (found.first, found.last), f"the first {wanted:,} live rows")


def _first(cursor: Cursor, model: Model, version: int, first: dt.timedelta, now: int, max_size: int) -> Gathered | str:
    length, start = in_micros(first), stretches.came_first(cursor, model, version, now)
    newest = stretches.newest_time(cursor, model, now)
    if start is None or newest is None:
        return "no reference yet: no rows"
    for _ in range(EMPTY_STRETCHES):  # rows of a clock that was not set yet are no beginning
        stretch = Stretch(version, start, min(start + length, now))
        found = stretches.extent(cursor, model, stretch)
        over = newest >= start + length
        if not over or found.rows >= LEAST_ROWS:
            break
        start = stretches.next_time(cursor, model, Stretch(version, start + length, now)) or start + length
    scarce = not over and _at_risk(cursor, found, max_size)
    if found.rows < LEAST_ROWS or not (over or scarce):
        return f"no reference yet: {_counted(max(newest - start, 0), first)}"
    told = f"the first {show_duration(first)} of live rows"
    if scarce:
        told = f"the first {_counted(found.last - found.first, first)} of live rows"
    return _ordered(cursor, model, stretch, found, told, scarce=scarce)


def _until(
    cursor: Cursor,
    model: Model,
    version: int,
    settings: ReferenceConfig,
    until: dt.datetime,
    now: int,
    max_size: int,
) -> Gathered | str:
    name = settings.version or model.version_name(version)
    told = f"live rows {'' if settings.version is None else f'of version {name} '}"
    told += f"from {show_moment(settings.since)} to " if settings.since is not None else "before "
    told += show_moment(until)
    newest = stretches.newest_time(cursor, model, now)
    start = 0 if settings.since is None else micros(settings.since)
    of, over = model.versions.get(name), newest is not None and newest >= micros(until)
    found = Extent(0, 0, 0, 0, 0)
    if of is not None:
        stretch = Stretch(of, start, min(micros(until), now))
        found = stretches.extent(cursor, model, stretch)
    scarce = not over and _at_risk(cursor, found, max_size)
    if of is not None and found.rows >= LEAST_ROWS and (over or scarce):
        return _ordered(cursor, model, stretch, found, told, scarce=scarce)
    if not over:
        ahead = dt.timedelta(microseconds=micros(until) - (newest or now))
        return f"no reference yet: it is taken from {told}, {_rounded(ahead)} from now"
    held = f"the store holds {found.rows:,} {told}, and {LEAST_ROWS} are needed"
    if of is None:
        held = f"the store knows no version {name!r}"
    return f"no reference: {held}. Try: models.*.reference.file, built from a file of rows or an export"


def _at_risk(cursor: Cursor, found: Extent, max_size: int) -> bool:
    """Whether the oldest of these rows are about to go for want of room."""
    if found.rows < LEAST_ROWS or expiry.used_bytes(cursor) < NEARLY_FULL * max_size:
        return False
    return stretches.older_share(cursor, found.lowest) <= AT_RISK


def _ordered(cursor: Cursor, model: Model, stretch: Stretch, found: Extent, told: str, *, scarce: bool) -> Gathered:
    exact = replace(stretch, start=found.first, end=found.last + 1, after=0, upto=found.highest, rows=MOST)
    pieces = list(stretches.by_time(cursor, model, exact, _length(model)))
    notices = ("fewer rows than were asked for: store.max_size holds no more",) if scarce else ()
    return Gathered(exact, pieces, (found.first, found.last), told, notices)


def _length(model: Model) -> int:
    """Rows read at once."""
    return max(1, CHUNK_VALUES // (len(model.columns) + 2))


def _counted(done: int, whole: dt.timedelta) -> str:
    """3.2 of 14 days."""
    match = show_duration(whole)
    unit = match.lstrip("0123456789.")
    of = float(match.removesuffix(unit))
    part = min(done / in_micros(whole), 1.0) * of
    return f"{int(part * 10) / 10:g} of {of:g} {UNITS[unit]}"


def _rounded(ahead: dt.timedelta) -> str:
    """In days, hours or minutes, to a tenth."""
    for unit, length in (("days", dt.timedelta(days=1)), ("hours", dt.timedelta(hours=1))):
        if ahead >= length:
            return f"{ahead / length:.1f} {unit}"
    return f"{ahead / dt.timedelta(minutes=1):.1f} minutes"
