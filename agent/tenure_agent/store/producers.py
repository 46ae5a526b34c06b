"""Which reports of which producer are stored: what makes a resend harmless, and a gap visible."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tenure_agent.store.database import Cursor


@dataclass(slots=True)
class Producer:
    """One SDK process (or fork).

    `last_seq` is the newest report stored, `rejections` what was refused of it (a resend gets the same answer),
    `missed` the reports that never came.
    """

    name: str
    last_seq: int = 0
    rejections: list[tuple[str, str, int]] = field(default_factory=list)  # (model, reason, rows)
    stored: int = 0
    missed: int = 0
    last_seen: int = 0


def load(cursor: Cursor) -> dict[str, Producer]:
    rows = cursor.execute("SELECT producer, last_seq, rejections, stored, missed, last_seen FROM producers").fetchall()
    return {
        name: Producer(name, seq, [tuple(r) for r in json.loads(rejections)], stored, missed, seen)
        for name, seq, rejections, stored, missed, seen in rows
    }


def save(cursor: Cursor, producers: Iterable[Producer]) -> None:
    rows = [(p.name, p.last_seq, json.dumps(p.rejections), p.stored, p.missed, p.last_seen) for p in producers]
    cursor.executemany("DELETE FROM producers WHERE producer = ?", [(row[0],) for row in rows])
    cursor.executemany("INSERT INTO producers VALUES (?, ?, ?, ?, ?, ?)", rows)


def load_losses(cursor: Cursor) -> dict[str, dict[tuple[str, str], int]]:
    """Rows lost per producer, by (model, reason)."""
    losses: dict[str, dict[tuple[str, str], int]] = {}
    for producer, model, reason, lost in cursor.execute("SELECT * FROM losses").fetchall():
        losses.setdefault(producer, {})[model, reason] = lost
    return losses


def save_losses(cursor: Cursor, producer: str, losses: Mapping[tuple[str, str], int]) -> None:
    """A producer's totals; each call replaces the one before."""
    cursor.execute("DELETE FROM losses WHERE producer = ?", [producer])
    if losses:
        cursor.executemany(
            "INSERT INTO losses VALUES (?, ?, ?, ?)",
            [(producer, model, reason, lost) for (model, reason), lost in losses.items()],
        )
