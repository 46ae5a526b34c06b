"""Which reports of which producer are stored: what makes a resend harmless, and a gap visible."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, field
from itertools import chain

from tenure_agent.store.connection import Cursor, parsed
from tenure_agent.wire import Refusal

AT_ONCE = 32  # lines of a statement


@dataclass(slots=True)
class Producer:
    """One SDK process (or fork).

    `last_seq` is the newest report stored, `refused` what was refused of it (a resend gets the same answer),
    `missed` the reports that never came.
    """

    name: str
    last_seq: int = 0
    refused: list[Refusal] = field(default_factory=list)
    stored: int = 0
    missed: int = 0
    last_seen: int = 0


def load(cursor: Cursor) -> dict[str, Producer]:
    """The newest line of each producer."""
    query = (
        "SELECT producer, last_seq, rejections, stored, missed, last_seen FROM producers "
        "QUALIFY row_number() OVER (PARTITION BY producer ORDER BY last_seq DESC, last_seen DESC) = 1"
    )
    rows = cursor.execute(query).fetchall()
    return {
        name: Producer(name, seq, [Refusal(*one) for one in json.loads(refused)], stored, missed, seen)
        for name, seq, refused, stored, missed, seen in rows
    }


def compact(cursor: Cursor) -> None:
    """Keep the newest line of each producer only."""
    newest = "SELECT arg_max(rowid, (last_seq, last_seen)) FROM producers GROUP BY producer"
    cursor.execute(f"DELETE FROM producers WHERE rowid NOT IN ({newest})")


def append(cursor: Cursor, producers: Iterable[Producer]) -> None:
    """A line per producer, in the transaction that stores its report: appending is cheaper than replacing."""
    lines = [
        (p.name, p.last_seq, json.dumps([astuple(refusal) for refusal in p.refused]), p.stored, p.missed, p.last_seen)
        for p in producers
    ]
    for some in (lines[start : start + AT_ONCE] for start in range(0, len(lines), AT_ONCE)):
        insert = "INSERT INTO producers VALUES " + ", ".join(["(?, ?, ?, ?, ?, ?)"] * len(some))
        cursor.execute(parsed(cursor, insert), list(chain.from_iterable(some)))


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
        models, reasons = zip(*losses, strict=True)
        cursor.execute(
            "INSERT INTO losses SELECT ?, unnest(?::VARCHAR[]), unnest(?::VARCHAR[]), unnest(?::UBIGINT[])",
            [producer, models, reasons, list(losses.values())],
        )
