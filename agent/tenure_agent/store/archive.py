"""What is in the archive, what goes there next, and its rows as Parquet.

A model's rows are archived in ranges of ingest numbers, each once: a range and its files are noted before the first of
them is written, and the watermark moves when all are in their place. Whatever dies in between, the same files are
written again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import duckdb

from tenure_agent.quoting import literal, quoted
from tenure_agent.records import DAY
from tenure_agent.store import views
from tenure_agent.store.catalogue import Catalogue
from tenure_agent.store.database import Cursor
from tenure_agent.store.predictions import label_as_text, one

Part = Literal["predictions", "outcomes"]
MOST_ROWS, LEAST_ROWS = 1 << 19, 1 << 13  # of a range, and so of a file
MOST_GROUP, LEAST_GROUP = 122_880, 2_048  # of a row group
VALUES = 16 << 20  # of a range, where a model is wide
HIVE = frozenset({"model", "day"})  # what the folders are named after


@dataclass(frozen=True, slots=True)
class File:
    """One of a range: its part, and the day since 1970 of all times in it."""

    part: Part
    day: int


@dataclass(frozen=True, slots=True)
class Range:
    """Ingest numbers of one model, first to last."""

    model: str
    first: int
    last: int
    files: tuple[File, ...]


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a model is: up to `archived` everything is in the archive; up to `expired`, not all is in the store."""

    archived: int = 0
    expired: int = 0


def store_id(cursor: Cursor) -> str:
    """Tells this store's files from those of another one, whose ingest numbers mean something else; made once."""
    found = cursor.execute("SELECT value FROM meta WHERE key = 'store'").fetchone()
    if found is None:
        cursor.execute("INSERT INTO meta SELECT 'store', left(replace(uuid()::VARCHAR, '-', ''), 12)")
        found = one(cursor.execute("SELECT value FROM meta WHERE key = 'store'"))
    return str(found[0])


def reach(cursor: Cursor, model: int) -> Reach:
    query = "SELECT coalesce(max(batch), 0), coalesce(max(expired), 0) FROM archived WHERE model = ?"
    return Reach(*one(cursor.execute(query, [model])))


def waiting(cursor: Cursor, model: int) -> tuple[int, int]:
    """Rows and outcomes of a model that are not archived, and the first ingest number of them; 0 where none are."""
    query = f"SELECT count(*), coalesce(min(batch), 0) FROM ({_batches(cursor, model)})"
    count, first = one(cursor.execute(query))
    return int(count), int(first)


def age(cursor: Cursor, batch: int, now: int) -> int:
    """Microseconds that an ingest number has been stored for, at least."""
    time = one(cursor.execute("SELECT min(time) FROM ages WHERE batch >= ?", [batch]))[0]
    return 0 if time is None else max(0, now - int(time))


def most_rows(cursor: Cursor, model: int) -> int:
    """Of one range, so that its files are of a sensible size."""
    columns = one(cursor.execute("SELECT count(DISTINCT number) FROM columns WHERE model = ?", [model]))[0]
    return int(min(MOST_ROWS, max(LEAST_ROWS, VALUES // max(columns, 1))))


def unfinished(cursor: Cursor, name: str, model: int) -> Range | None:
    """The range whose files are on their way, or were when the agent died."""
    query = "SELECT first, last, part, day FROM archiving WHERE model = ? ORDER BY part DESC, day"
    found = cursor.execute(query, [model]).fetchall()
    return Range(name, found[0][0], found[0][1], tuple(File(part, day) for *_, part, day in found)) if found else None


def following(cursor: Cursor, name: str, model: int) -> Range | None:
    """The next range of a model, or None where all is archived."""
    batches = _batches(cursor, model)
    last = one(
        cursor.execute(f"SELECT max(batch) FROM (FROM ({batches}) ORDER BY batch LIMIT {most_rows(cursor, model)})")
    )[0]
    if last is None:
        return None
    after = reach(cursor, model).archived
    files: list[File] = []
    parts: tuple[tuple[Part, str], ...] = (("predictions", f"rows_{model}"), ("outcomes", "outcomes"))
    for part, table in parts:
        of = f" AND model = {model}" if part == "outcomes" else ""
        query = f"SELECT DISTINCT time // {DAY} FROM {table} WHERE batch > ? AND batch <= ?{of} ORDER BY 1"
        files += [File(part, int(day)) for (day,) in cursor.execute(query, [after, last]).fetchall()]
    return Range(name, after + 1, int(last), tuple(files))


def begin(cursor: Cursor, model: int, range_: Range) -> None:
    """Note the files that will be written."""
    parts, days = zip(*((file.part, file.day) for file in range_.files), strict=True)
    cursor.execute(
        "INSERT INTO archiving SELECT ?, ?, ?, unnest(?::VARCHAR[]), unnest(?::INTEGER[])",
        [model, range_.first, range_.last, list(parts), list(days)],
    )


def finish(cursor: Cursor, model: int, range_: Range) -> None:
    """All of them are in their place."""
    expired = reach(cursor, model).expired
    for table in ("archiving", "archived"):
        cursor.execute(f"DELETE FROM {table} WHERE model = ?", [model])
    cursor.execute("INSERT INTO archived VALUES (?, ?, ?)", [model, range_.last, expired])


def expired(cursor: Cursor, model: int, upto: int) -> None:
    """Not all that has ingest numbers up to this one is in the store any more."""
    cursor.execute("UPDATE archived SET expired = ? WHERE model = ? AND expired < ?", [upto, model, upto])


def copy(cursor: Cursor, model: int, range_: Range, file: File, path: str) -> int:
    """Write one file into the export directory, in a transaction; the number of its rows."""
    query = _predictions(cursor, range_.model) if file.part == "predictions" else _outcomes(model)
    start = file.day * DAY
    within = (
        f"r.batch BETWEEN {range_.first:d} AND {range_.last:d} AND r.time >= {start:d} AND r.time < {start + DAY:d}"
    )
    group = min(MOST_GROUP, max(LEAST_GROUP, most_rows(cursor, model) // 4))
    while True:
        try:
            options = f"FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {group:d}"
            return int(one(cursor.execute(f"COPY ({query} AND {within}) TO {literal(path)} ({options})"))[0])
        except duckdb.OutOfMemoryException:  # long texts: a group is held in memory until it is written
            if group <= LEAST_GROUP:
                raise
            group = max(LEAST_GROUP, group // 16)
            cursor.rollback()
            cursor.begin()


def _batches(cursor: Cursor, model: int) -> str:
    after = reach(cursor, model).archived
    return (
        f"SELECT batch FROM rows_{model:d} WHERE batch > {after:d} UNION ALL "
        f"SELECT batch FROM outcomes WHERE model = {model:d} AND batch > {after:d}"
    )


def _predictions(cursor: Cursor, name: str) -> str:
    model = Catalogue(cursor).models[name]  # as of this snapshot: the writer may be adding columns
    columns = views.columns(model)
    names = in_files(name for name, _ in columns)
    chosen = ", ".join(f"{value} AS {quoted(name)}" for name, (_, value) in zip(names, columns, strict=True))
    return f"SELECT {chosen} FROM {views.rows(model)} WHERE true"


def _outcomes(model: int) -> str:
    label = label_as_text().replace("o.", "r.")
    chosen = f"r.id, make_timestamp(r.time) AS time, {label} AS label, r.value, r.batch"
    return f"SELECT {chosen} FROM outcomes r WHERE r.model = {model:d}"


def in_files(names: Iterable[str]) -> list[str]:
    """Column names as they stand in files: those of the folders are taken."""
    return views.distinct(f"feature.{name}" if name.lower() in HIVE else name for name in names)


def from_files(name: str) -> str:
    """The name that `in_files` was given."""
    bare = name.removeprefix("feature.")
    return bare if bare.lower() in HIVE else name
