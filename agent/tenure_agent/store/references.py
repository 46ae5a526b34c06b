"""References by version, newest first."""

from __future__ import annotations

from tenure_agent.reference import Reference
from tenure_agent.store.database import Cursor


def newest(cursor: Cursor, model: int, version: int) -> Reference | None:
    query = "SELECT document FROM refs WHERE model = ? AND version = ? ORDER BY created DESC LIMIT 1"
    found = cursor.execute(query, [model, version]).fetchone()
    return None if found is None else Reference.loads(found[0])


def save(cursor: Cursor, model: int, version: int, reference: Reference, now: int) -> None:
    row = [model, version, reference.hash, now, reference.dumps()]
    cursor.execute("DELETE FROM refs WHERE model = ? AND version = ?", row[:2])
    cursor.execute("INSERT INTO refs VALUES (?, ?, ?, ?, ?)", row)
