"""Stretches of a version's champion rows: how much they hold, and pieces of them that fit into memory, in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy.typing as npt

from tenure_agent.store.catalogue import Catalogue, Column, Model
from tenure_agent.store.connection import Cursor
from tenure_agent.store.predictions import CHAMPION, filled, one, stored_names

Array = npt.NDArray[Any]

MOST = 1 << 62
PARTS = 1024  # of a stretch: its rows are in order to within one of them
OF = "version = ? AND role = ? AND time >= ? AND time < ? AND batch > ? AND batch <= ?"


@dataclass(frozen=True, slots=True)
class Stretch:
    """Champion rows of one version.

    Parameters
    ----------
    start, end
        Event times in [start, end).
    after, upto
        Ingest numbers in (after, upto].
    rows
        No more than so many, in the order they came.
    """

    version: int
    start: int
    end: int
    after: int = 0
    upto: int = MOST
    rows: int = MOST

    @property
    def values(self) -> list[int]:
        """What `OF` asks for."""
        return [self.version, CHAMPION, self.start, self.end, self.after, self.upto]


@dataclass(frozen=True, slots=True)
class Extent:
    """How much a stretch holds: rows, event times of the first and the last, and their lowest and highest ingest number."""

    rows: int
    first: int
    last: int
    lowest: int
    highest: int


def extent(cursor: Cursor, model: Model, stretch: Stretch) -> Extent:
    """What is stored of a stretch; all zero where nothing is."""
    query = (
        "SELECT count(*), coalesce(min(time), 0), coalesce(max(time), 0), coalesce(min(batch), 0), "
        f"coalesce(max(batch), 0) FROM (SELECT time, batch FROM {model.table} WHERE {OF} LIMIT ?)"
    )
    return Extent(*map(int, one(cursor.execute(query, [*stretch.values, stretch.rows]))))


def came_first(cursor: Cursor, model: Model, version: int, before: int) -> int | None:
    """The earliest event time of the report that came first."""
    query = (
        f"WITH of AS (SELECT batch, time FROM {model.table} WHERE version = ? AND role = ? AND time < ?) "
        "SELECT min(time) FROM of WHERE batch = (SELECT min(batch) FROM of)"
    )
    return _time(cursor, query, [version, CHAMPION, before])


def next_time(cursor: Cursor, model: Model, stretch: Stretch) -> int | None:
    """The earliest event time in a stretch."""
    return _time(cursor, f"SELECT min(time) FROM {model.table} WHERE {OF}", stretch.values)


def newest_time(cursor: Cursor, model: Model, before: int) -> int | None:
    """The latest event time of a champion row, whichever version made it."""
    return _time(cursor, f"SELECT max(time) FROM {model.table} WHERE role = ? AND time < ?", [CHAMPION, before])


def _time(cursor: Cursor, query: str, values: Sequence[int]) -> int | None:
    found = one(cursor.execute(query, list(values)))[0]
    return None if found is None else int(found)


def older_share(cursor: Cursor, batch: int) -> float:
    """Of all rows stored, whatever the model, the share that came before an ingest number."""
    older = rows = 0
    for model in Catalogue(cursor).models.values():
        counts = one(cursor.execute(f"SELECT count(*) FILTER (batch < ?), count(*) FROM {model.table}", [batch]))
        older, rows = older + int(counts[0]), rows + int(counts[1])
    return older / rows if rows else 0.0


def by_arrival(cursor: Cursor, model: Model, stretch: Stretch, length: int) -> Iterator[Stretch]:
    """Pieces of about `length` rows, whole reports each, in the order they came."""
    left, after = stretch.rows, stretch.after
    while left > 0:
        ahead = replace(stretch, after=after)
        # Rows lie in the order they came: to sort them would read all that follow.
        query = f"SELECT max(batch) FROM (SELECT batch FROM {model.table} WHERE {OF} LIMIT ?)"
        upto = one(cursor.execute(query, [*ahead.values, length]))[0]
        if upto is None:
            return
        piece = replace(ahead, upto=int(upto), rows=left)
        piece = replace(piece, rows=extent(cursor, model, piece).rows)
        yield piece
        left, after = left - piece.rows, int(upto)


def by_time(cursor: Cursor, model: Model, stretch: Stretch, length: int) -> Iterator[Stretch]:
    """Pieces of at most `length` rows, or of one report, in the order of event time to within 1/1024 of the stretch."""
    width = -(-(stretch.end - stretch.start) // PARTS)
    query = f"SELECT (time - ?) // ? AS part, count(*) FROM {model.table} WHERE {OF} GROUP BY part ORDER BY part"
    found = cursor.execute(query, [stretch.start, width, *stretch.values]).fetchall()
    counts = [(stretch.start + int(part) * width, int(rows)) for part, rows in found]
    while counts:
        start, rows = counts.pop(0)
        end = start + width
        while counts and rows + counts[0][1] <= length:
            start_of_next, more = counts.pop(0)
            rows, end = rows + more, start_of_next + width
        piece = replace(stretch, start=start, end=min(end, stretch.end), rows=rows)
        if rows <= length:
            yield piece
        else:
            yield from by_arrival(cursor, model, piece, length)


def read(cursor: Cursor, model: Model, piece: Stretch, columns: Sequence[Column]) -> dict[str, Array]:
    """Its rows as stored: time and the given columns."""
    names = ["time", *(name for column in columns for name in stored_names(column))]
    query = f"SELECT {', '.join(names)} FROM {model.table} WHERE {OF} LIMIT ?"
    return filled(cursor.execute(query, [*piece.values, piece.rows]).fetchnumpy())


def sample(
    cursor: Cursor, model: Model, stretch: Stretch, columns: Sequence[Column], every: int, neighbours: int
) -> dict[str, Array]:
    """Columns of one in `every` runs of neighbouring rows, spread by chance but the same each time."""
    some = f"hash(rowid // {neighbours:d}) % {every:d} = 0" if every > 1 else "true"
    names = ", ".join(name for column in columns for name in stored_names(column))
    query = f"SELECT {names} FROM {model.table} WHERE {OF} AND {some} LIMIT ?"
    return filled(cursor.execute(query, [*stretch.values, stretch.rows]).fetchnumpy())
