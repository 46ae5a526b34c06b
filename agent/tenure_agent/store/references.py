"""References by version, newest first."""

from __future__ import annotations

from tenure_agent.reference import Reference
from tenure_agent.store.database import Cursor


def newest(cursor: Cursor, model: int, version: int) -> Reference | None:
    query = "SELECT document FROM refs WHERE model = ? AND version = ? ORDER BY created DESC LIMIT 1"
    found = cursor.execute(query, [model, version]).fetchone()
    return None if found is None else Reference.loads(found[0])


def uploaded(cursor: Cursor, model: int, version: int) -> str:
    """The sha256 of the file that a monitor has uploaded; empty where it is from elsewhere, or there is none."""
    found = cursor.execute("SELECT uploaded FROM refs WHERE model = ? AND version = ?", [model, version]).fetchone()
    return "" if found is None else str(found[0])


def save(
    cursor: Cursor, model: int, version: int, reference: Reference, now: int, document: str = "", uploaded: str = ""
) -> None:
    """`document` is what it dumps, where that is at hand; see `uploaded`."""
    row = [model, version, reference.hash, now, document or reference.dumps(), uploaded]
    cursor.execute("DELETE FROM refs WHERE model = ? AND version = ?", row[:2])
    cursor.execute("INSERT INTO refs VALUES (?, ?, ?, ?, ?, ?)", row)


def amend(cursor: Cursor, model: int, version: int, document: str) -> None:
    """The same reference with something learnt since."""
    cursor.execute("UPDATE refs SET document = ? WHERE model = ? AND version = ?", [document, model, version])
