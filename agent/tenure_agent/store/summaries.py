"""Summaries by version, role or segment, and bucket of time, and how far they have come. Those of one bucket add up."""

from __future__ import annotations

from collections.abc import Sequence

from tenure_agent.store.database import Cursor
from tenure_agent.store.predictions import CHAMPION, one
from tenure_agent.summary import Packed, Summary


def watermark(cursor: Cursor, model: int, version: int) -> int:
    """The ingest number up to which a version's rows are in its summaries."""
    query = "SELECT coalesce(max(batch), 0) FROM watermarks WHERE model = ? AND version = ?"
    return int(one(cursor.execute(query, [model, version]))[0])


def append(
    cursor: Cursor,
    model: int,
    version: int,
    hash_: str,
    span: int,
    upto: int,
    summaries: Sequence[tuple[int, int, Summary | Packed]],
) -> None:
    """Add (role, bucket, summary) and move the watermark, in the caller's transaction.

    Parameters
    ----------
    span
        Microseconds a bucket covers.
    upto
        Ingest number up to which rows are in summaries now.
    """
    _insert(cursor, model, version, hash_, span, summaries)
    cursor.execute("DELETE FROM watermarks WHERE model = ? AND version = ?", [model, version])
    cursor.execute("INSERT INTO watermarks VALUES (?, ?, ?)", [model, version, upto])


def append_segments(
    cursor: Cursor,
    model: int,
    version: int,
    hash_: str,
    span: int,
    summaries: Sequence[tuple[str, int, Summary | Packed]],
) -> None:
    """Add (segment, bucket, summary) of champion rows, in the transaction that moves the watermark."""
    for segment in dict.fromkeys(name for name, _, _ in summaries):
        own = [(CHAMPION, bucket, summary) for name, bucket, summary in summaries if name == segment]
        _insert(cursor, model, version, hash_, span, own, segment)


def _insert(
    cursor: Cursor,
    model: int,
    version: int,
    hash_: str,
    span: int,
    summaries: Sequence[tuple[int, int, Summary | Packed]],
    segment: str = "",
) -> None:
    if not summaries:
        return
    roles, buckets, blobs = zip(*((role, at, summary.to_bytes()) for role, at, summary in summaries), strict=True)
    cursor.execute(
        "INSERT INTO summaries (model, version, role, bucket, hash, summary, span, segment) "
        "SELECT ?, ?, unnest(?::UTINYINT[]), unnest(?::BIGINT[]), ?, unnest(?::BLOB[]), ?, ?",
        [model, version, roles, buckets, hash_, blobs, span, segment],
    )


def segments(cursor: Cursor, model: int, version: int) -> list[str]:
    """Names of the parts of a version's rows that have summaries of their own, and the empty one of all rows."""
    query = "SELECT DISTINCT segment FROM summaries WHERE model = ? AND version = ? ORDER BY 1"
    return [name for (name,) in cursor.execute(query, [model, version]).fetchall()]


def extent(cursor: Cursor, model: int, version: int, below: int, now: int, segment: str = "") -> tuple[int, int] | None:
    """Event times of the oldest bucket that covers less than `below`, and of the newest bucket by now."""
    query = (
        "SELECT min(bucket) FILTER (span < ?), max(bucket) FROM summaries "
        "WHERE model = ? AND version = ? AND segment = ? AND bucket <= ?"
    )
    oldest, newest = one(cursor.execute(query, [below, model, version, segment, now]))
    return None if oldest is None else (int(oldest), int(newest))


def before(
    cursor: Cursor, model: int, version: int, hash_: str, time: int, below: int, segment: str = ""
) -> list[tuple[int, int, bytes]]:
    """(role, bucket, encoded summary) of buckets before a time that cover less than `below`, by role and time."""
    query = (
        "SELECT role, bucket, summary FROM summaries WHERE model = ? AND version = ? AND segment = ? AND hash = ? "
        "AND bucket < ? AND span < ? ORDER BY role, bucket"
    )
    found = cursor.execute(query, [model, version, segment, hash_, time, below]).fetchall()
    return [(int(role), int(bucket), bytes(blob)) for role, bucket, blob in found]


def replace_before(
    cursor: Cursor,
    model: int,
    version: int,
    hash_: str,
    time: int,
    span: int,
    summaries: Sequence[tuple[int, int, Summary | Packed]],
    segment: str = "",
) -> None:
    """Put summaries of buckets that cover `span` in the place of all finer ones before a time."""
    of = "model = ? AND version = ? AND segment = ? AND bucket < ? AND span < ?"
    cursor.execute(f"DELETE FROM summaries WHERE {of}", [model, version, segment, time, span])
    _insert(cursor, model, version, hash_, span, summaries, segment)


def since(
    cursor: Cursor, model: int, version: int, role: int, hash_: str, time: int, segment: str = ""
) -> list[tuple[int, bytes]]:
    """(event time, encoded summary) of buckets from a time on."""
    query = (
        "SELECT bucket, summary FROM summaries "
        "WHERE model = ? AND version = ? AND segment = ? AND role = ? AND hash = ? AND bucket >= ?"
    )
    found = cursor.execute(query, [model, version, segment, role, hash_, time]).fetchall()
    return [(int(bucket), bytes(blob)) for bucket, blob in found]


def reset(cursor: Cursor, model: int, version: int) -> None:
    """Forget a version's summaries: a new reference has other bins."""
    cursor.execute("DELETE FROM summaries WHERE model = ? AND version = ?", [model, version])
    cursor.execute("DELETE FROM watermarks WHERE model = ? AND version = ?", [model, version])


def expire(cursor: Cursor, model: int, keep: int, now: int) -> int:
    """Remove a model's summaries older than its newest by `keep` microseconds; how many that were.

    They age by event time, as windows do: a model that has fallen silent keeps those its checks read last.
    """
    newest = one(cursor.execute("SELECT max(bucket) FROM summaries WHERE model = ? AND bucket <= ?", [model, now]))[0]
    if newest is None:
        return 0
    removed = cursor.execute("DELETE FROM summaries WHERE model = ? AND bucket < ?", [model, newest - keep])
    return int(one(removed)[0])
