"""Summaries by version, role and bucket of time, and how far they have come. Rows of one bucket add up."""

from __future__ import annotations

from collections.abc import Sequence

from tenure_agent.store.database import Cursor
from tenure_agent.store.predictions import one
from tenure_agent.summary import Summary


def watermark(cursor: Cursor, model: int, version: int) -> int:
    """The ingest number up to which a version's rows are in its summaries."""
    query = "SELECT coalesce(max(batch), 0) FROM watermarks WHERE model = ? AND version = ?"
    return int(one(cursor.execute(query, [model, version]))[0])


def append(
    cursor: Cursor, model: int, version: int, hash_: str, upto: int, summaries: Sequence[tuple[int, int, Summary]]
) -> None:
    """Add (role, bucket, summary) and move the watermark, in the caller's transaction."""
    if summaries:
        roles, buckets, blobs = zip(*((role, at, summary.to_bytes()) for role, at, summary in summaries), strict=True)
        cursor.execute(
            "INSERT INTO summaries SELECT ?, ?, unnest(?::UTINYINT[]), unnest(?::BIGINT[]), ?, unnest(?::BLOB[])",
            [model, version, roles, buckets, hash_, blobs],
        )
    cursor.execute("DELETE FROM watermarks WHERE model = ? AND version = ?", [model, version])
    cursor.execute("INSERT INTO watermarks VALUES (?, ?, ?)", [model, version, upto])


def since(cursor: Cursor, model: int, version: int, role: int, hash_: str, time: int) -> list[tuple[int, bytes]]:
    """(event time, encoded summary) of buckets from a time on."""
    query = "SELECT bucket, summary FROM summaries WHERE model = ? AND version = ? AND role = ? AND hash = ? AND bucket >= ?"
    found = cursor.execute(query, [model, version, role, hash_, time]).fetchall()
    return [(int(bucket), bytes(blob)) for bucket, blob in found]


def reset(cursor: Cursor, model: int, version: int) -> None:
    """Forget a version's summaries: a new reference has other bins."""
    cursor.execute("DELETE FROM summaries WHERE model = ? AND version = ?", [model, version])
    cursor.execute("DELETE FROM watermarks WHERE model = ? AND version = ?", [model, version])
