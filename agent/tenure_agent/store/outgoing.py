"""Reports a relay has acked and its hub has not: written once, read once, in order of their ingest numbers.

They stand in tables of some 64 MiB, each named after the first ingest number in it, which are dropped whole: DuckDB gives
the room of deleted rows back by groups of 122,880, and of reports that would be gigabytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from tenure_agent.store.database import Cursor

SEGMENT = 64 << 20  # bytes
LISTED = 1000  # reports whose sizes are looked at to fill a chunk
PREFIX = "outgoing_"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One report: its ingest number, when it came (microseconds), and the encoded `ReportRequest`."""

    number: int
    time: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Unsent:
    """What waits: reports, their bytes, and when the oldest came (0: none)."""

    reports: int = 0
    size: int = 0
    since: int = 0


def newest(cursor: Cursor) -> int:
    """The highest ingest number ever used here."""
    segments = _segments(cursor)
    stored = _one(cursor, f"SELECT max(number) FROM {PREFIX}{segments[-1]}")[0] if segments else None
    return max(sent(cursor), int(stored or 0))


def sent(cursor: Cursor) -> int:
    """The ingest number up to which the hub has acked."""
    return int(_one(cursor, "SELECT coalesce(max(value::BIGINT), 0) FROM meta WHERE key = 'sent'")[0])


def unsent(cursor: Cursor) -> Unsent:
    """What waits, counted."""
    total, mark = Unsent(), sent(cursor)
    for segment in _segments(cursor):
        query = f"SELECT count(*), coalesce(sum(size), 0), min(time) FROM {PREFIX}{segment} WHERE number > ?"
        reports, size, since = _one(cursor, query, [mark])
        total = Unsent(total.reports + reports, total.size + int(size), total.since or since or 0)
    return total


def append(cursor: Cursor, reports: Sequence[Outgoing], segment: int = SEGMENT) -> None:
    """Append reports in the order of their numbers, in the caller's transaction; a table takes about `segment` bytes."""
    if not reports:
        return
    segments = _segments(cursor)
    if segments and _size(cursor, segments[-1]) < segment:
        table = f"{PREFIX}{segments[-1]}"
    else:
        table = f"{PREFIX}{reports[0].number:d}"
        blob = "BLOB USING COMPRESSION uncompressed"  # it would be tried in vain at every checkpoint
        cursor.execute(f"CREATE TABLE {table} (number BIGINT, time BIGINT, size BIGINT, report {blob})")
    payloads = np.empty(len(reports), object)
    payloads[:] = [report.payload for report in reports]
    arrays = {
        "number": np.array([report.number for report in reports], np.int64),
        "time": np.array([report.time for report in reports], np.int64),
        "size": np.array([len(report.payload) for report in reports], np.int64),
        "report": payloads,
    }
    cursor.register("incoming", arrays)
    try:
        cursor.execute(f"INSERT INTO {table} SELECT number, time, size, report FROM incoming")
    finally:
        cursor.unregister("incoming")


def read(cursor: Cursor, after: int, size: int) -> list[Outgoing]:
    """The next reports after an ingest number: one at least where there is one, and about `size` bytes at most."""
    segments = _segments(cursor)
    for segment, following in zip(segments, [*segments[1:], None], strict=False):
        if following is not None and following <= after + 1:
            continue
        table = f"{PREFIX}{segment}"
        listed = cursor.execute(
            f"SELECT number, size FROM {table} WHERE number > ? ORDER BY number LIMIT {LISTED}", [after]
        ).fetchall()
        if listed:
            total, last = 0, listed[0][0]
            for number, length in listed:
                total += length
                if total > size:
                    break
                last = number
            query = f"SELECT number, time, report FROM {table} WHERE number > ? AND number <= ? ORDER BY number"
            return [Outgoing(*row) for row in cursor.execute(query, [after, last]).fetchall()]
    return []


def forget(cursor: Cursor, upto: int, segment: int = SEGMENT) -> int:
    """Keep that everything up to an ingest number is sent; the tables dropped with that."""
    if not cursor.execute("UPDATE meta SET value = ? WHERE key = 'sent' RETURNING key", [str(upto)]).fetchall():
        cursor.execute("INSERT INTO meta VALUES ('sent', ?)", [str(upto)])
    segments = _segments(cursor)
    gone = [start for start, following in pairwise(segments) if following <= upto + 1]
    if segments and len(gone) == len(segments) - 1 and _size(cursor, segments[-1]) >= segment // 4:
        left = _one(cursor, f"SELECT count(*) FROM {PREFIX}{segments[-1]} WHERE number > ?", [upto])[0]
        gone += [] if left else [segments[-1]]
    for start in gone:
        cursor.execute(f"DROP TABLE {PREFIX}{start}")
    return len(gone)


def _segments(cursor: Cursor) -> list[int]:
    """The first ingest number of each table, in order."""
    query = "SELECT table_name FROM duckdb_tables() WHERE starts_with(table_name, ?)"
    return sorted(int(name.removeprefix(PREFIX)) for (name,) in cursor.execute(query, [PREFIX]).fetchall())


def _size(cursor: Cursor, segment: int) -> int:
    return int(_one(cursor, f"SELECT coalesce(sum(size), 0) FROM {PREFIX}{segment}")[0])


def _one(cursor: Cursor, query: str, parameters: Sequence[object] = ()) -> tuple[Any, ...]:
    """The only row of a result, read to its end: `register` refuses to follow one that is not."""
    [row] = cursor.execute(query, parameters).fetchall()
    return tuple(row)
