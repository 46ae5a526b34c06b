"""Blocks judged, by version: what windows to come are held against."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence

import numpy as np

from tenure_agent.past import KEPT, Step
from tenure_agent.store.database import Cursor
from tenure_agent.store.predictions import one

OF = "model = ? AND version = ? AND segment = ? AND hash = ? AND length = ?"
KEPT_STEPS = 2 * KEPT  # some of them were not judged


def append(
    cursor: Cursor, model: int, version: int, hash_: str, length: int, steps: Sequence[Step], segment: str = ""
) -> None:
    """Keep steps over a reference's bins, in the caller's transaction, and let go of those too old to count.

    A block without rows counts for nothing but as the newest: an outage, however long, makes nothing forgotten.

    Parameters
    ----------
    length
        Of a block in microseconds.
    """
    for step in steps:
        counts = zlib.compress(step.counts.astype("<u4").tobytes(), 1) if step.counts.any() else b""  # an outage
        readings = b""
        if step.judged:
            readings = step.readings.astype("<f4").tobytes()
        score = None if math.isnan(step.score) else step.score
        cursor.execute(
            "INSERT INTO steps VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [model, version, hash_, length, step.block, score, step.critical, counts, readings, segment],
        )
    if steps:
        of = [model, version, segment, hash_, length]
        stale = "model = ? AND version = ? AND segment = ? AND (hash != ? OR length != ?)"
        cursor.execute(f"DELETE FROM steps WHERE {stale}", of)
        outage = "score IS NULL AND octet_length(counts) = 0 AND block < ?"
        cursor.execute(f"DELETE FROM steps WHERE {OF} AND {outage}", [*of, steps[-1].block])
        old = f"SELECT block FROM steps WHERE {OF} ORDER BY block DESC OFFSET ? LIMIT 1"
        cursor.execute(f"DELETE FROM steps WHERE {OF} AND block <= ({old})", [*of, *of, KEPT_STEPS])


def length(cursor: Cursor, model: int, version: int, hash_: str, segment: str = "") -> int | None:
    """Of a version's blocks in microseconds, where any was judged over these bins."""
    query = "SELECT max(length) FROM steps WHERE model = ? AND version = ? AND hash = ? AND segment = ?"
    found = one(cursor.execute(query, [model, version, hash_, segment]))[0]
    return None if found is None else int(found)


def longest(cursor: Cursor, model: int) -> int:
    """Block of a model's versions and segments in microseconds; 0 where none was judged."""
    return int(one(cursor.execute("SELECT coalesce(max(length), 0) FROM steps WHERE model = ?", [model]))[0])


def newest(cursor: Cursor, model: int, version: int, hash_: str, length: int, segment: str = "") -> list[Step]:
    """The newest steps over these bins and blocks so long, oldest first."""
    query = f"SELECT block, score, critical, counts, readings FROM steps WHERE {OF} ORDER BY block DESC LIMIT ?"
    found = cursor.execute(query, [model, version, segment, hash_, length, KEPT_STEPS]).fetchall()
    return [_step(*row) for row in reversed(found)]


def _step(block: int, score: float | None, critical: bool, counts: bytes, readings: bytes) -> Step:
    own = np.frombuffer(zlib.decompress(counts) if counts else b"", "<u4").astype(np.int64)
    if score is None:
        return Step.unjudged(block, own, critical)
    values = np.frombuffer(readings, "<f4").astype(np.float64)
    five = values[:-2].reshape(5, -1)
    return Step(block, own, five[0], five[1], five[2], five[3], five[4], values[-2:], score, critical)


def reset(cursor: Cursor, model: int, version: int, segment: str | None = None) -> None:
    """Forget a version's steps, or those of one segment: a new reference has other bins, or counts."""
    of = "model = ? AND version = ? AND (segment = ? OR ? IS NULL)"
    cursor.execute(f"DELETE FROM steps WHERE {of}", [model, version, segment, segment])
