"""Which reports of which producer are stored: what makes a resend harmless, and a gap visible.

A process has a line per transaction that stored something of it; the newest one counts. Of processes that ended long ago
only sums are kept, in the line of the producer without a name.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from itertools import chain
from typing import Any

from tenure_agent.gaps import Gap, Gaps
from tenure_agent.store.connection import Cursor, parsed
from tenure_agent.store.predictions import one
from tenure_agent.wire import MAX_SEQ, Refusal

KNOWN = 100_000  # producers with lines of their own, however long ago they were seen
FORGOTTEN = ""  # the name all others go by
LINES = 50_000  # written before they are put together
AT_ONCE = 32  # lines of a statement
REFUSED = 8  # reports with refusals that are remembered: more than a process has on their way

_NEWEST = "row_number() OVER (PARTITION BY producer ORDER BY last_seq DESC, late DESC, last_seen DESC, rowid DESC) = 1"
_LINE = "producer, last_seq, rejections, stored, missed, last_seen, lost, gaps, late, late_seq"


@dataclass(slots=True)
class Producer:
    """One SDK process (or fork).

    `last_seq` is the newest report stored, `refused` what was refused of those stored last (a resend gets the same answer),
    by number, `missed` the reports that have not come, `lost` those acked that are stored no more, `losses` the rows it told us it
    lost, by (model, reason); `gaps` is where those may still come that were passed over, `late` how many did, `late_seq`
    the one of them that was stored last of all; 0: `last_seq` was.
    """

    name: str
    last_seq: int = 0
    refused: Mapping[int, Sequence[Refusal]] = field(default_factory=dict)
    stored: int = 0
    missed: int = 0
    last_seen: int = 0
    lost: int = 0
    losses: Mapping[tuple[str, str], int] = field(default_factory=dict)
    gaps: Gaps = ()
    late: int = 0
    late_seq: int = 0

    def refuse(self, seq: int, refused: Sequence[Refusal]) -> None:
        """Remember what was refused of the report stored last, if anything."""
        if refused:
            self.refused = dict([*self.refused.items(), (seq, refused)][-REFUSED:])


@dataclass(slots=True)
class Totals:
    """Of all producers ever: rows stored, reports missed, reports lost after their ack, rows they lost by reason."""

    stored: int = 0
    missed: int = 0
    lost: int = 0
    dropped: Counter[str] = field(default_factory=Counter)


def load(cursor: Cursor, most: int = KNOWN) -> dict[str, Producer]:
    """The producers seen last."""
    query = f"SELECT {_LINE} FROM producers WHERE producer != ? QUALIFY {_NEWEST} ORDER BY last_seen DESC LIMIT ?"
    rows = cursor.execute(query, [FORGOTTEN, most]).fetchall()
    losses: dict[str, dict[tuple[str, str], int]] = {}
    for name, model, reason, lost in cursor.execute("SELECT producer, model, reason, lost FROM losses").fetchall():
        losses.setdefault(name, {})[model, reason] = lost
    return {row[0]: _producer(row, losses.get(row[0], {})) for row in rows}


def find(cursor: Cursor, name: str) -> Producer | None:
    """One that is not among those loaded."""
    query = (
        f"SELECT {_LINE} FROM producers WHERE producer = ? ORDER BY last_seq DESC, late DESC, last_seen DESC LIMIT 1"
    )
    row = cursor.execute(query, [name]).fetchone()
    if row is None:
        return None
    told = cursor.execute("SELECT model, reason, lost FROM losses WHERE producer = ?", [name]).fetchall()
    return _producer(row, {(model, reason): lost for model, reason, lost in told})


def _producer(row: tuple[Any, ...], losses: Mapping[tuple[str, str], int]) -> Producer:
    name, seq, told, stored, missed, seen, lost, passed, late, late_seq = row
    refused = {int(seq): [Refusal(*part) for part in parts] for seq, parts in json.loads(told).items()}
    gaps = tuple(Gap(*part) for part in json.loads(passed))
    return Producer(name, seq, refused, stored, missed, seen, lost, losses, gaps, late, late_seq)


def totals(cursor: Cursor) -> Totals:
    sums = "coalesce(sum(stored), 0), coalesce(sum(missed), 0), coalesce(sum(lost), 0)"
    found = one(cursor.execute(f"SELECT {sums} FROM (SELECT * FROM producers QUALIFY {_NEWEST})"))
    dropped = cursor.execute("SELECT reason, sum(lost) FROM losses GROUP BY reason").fetchall()
    stored, missed, lost = (int(value) for value in found)
    return Totals(stored, missed, lost, Counter({reason: int(rows) for reason, rows in dropped}))


def compact(cursor: Cursor) -> None:
    """Keep the newest line of each producer only."""
    last = one(cursor.execute("SELECT max(rowid) FROM producers"))[0]
    if last is not None:
        cursor.execute(f"INSERT INTO producers SELECT * FROM producers QUALIFY {_NEWEST}")
        cursor.execute("DELETE FROM producers WHERE rowid <= ?", [last])


def forget(cursor: Cursor, idle: int) -> None:
    """Add up the producers that are neither among the newest nor seen for long.

    Parameters
    ----------
    idle
        Microseconds without a report after which a producer may be forgotten: its rows have expired by then. Should it
        come back after all, its reports count as new.
    """
    compact(cursor)
    query = "SELECT last_seen FROM producers WHERE producer != ? ORDER BY last_seen DESC LIMIT 1 OFFSET ?"
    found = cursor.execute(query, [FORGOTTEN, KNOWN]).fetchone()
    if found is None:
        return
    times = "SELECT min(last_seen), max(last_seen) FROM producers WHERE producer != ?"
    oldest, newest = one(cursor.execute(times, [FORGOTTEN]))
    until = min(found[0], newest - idle)
    if until < oldest:
        return
    past, of = "producer = ? OR last_seen <= ?", [FORGOTTEN, until]
    sums = cursor.execute(f"SELECT sum(stored), sum(missed), sum(lost), max(last_seen) FROM producers WHERE {past}", of)
    stored, missed, lost, seen = one(sums)
    cursor.execute(f"DELETE FROM producers WHERE {past}", of)
    stored, missed, lost = (min(int(rows), MAX_SEQ) for rows in (stored, missed, lost))
    append(cursor, [Producer(FORGOTTEN, 0, {}, stored, missed, seen, lost)])
    gone = "producer NOT IN (SELECT producer FROM producers WHERE producer != ?)"
    told = f"SELECT model, reason, sum(lost) FROM losses WHERE {gone} GROUP BY ALL"
    losses = {(model, reason): int(rows) for model, reason, rows in cursor.execute(told, [FORGOTTEN]).fetchall()}
    cursor.execute(f"DELETE FROM losses WHERE {gone}", [FORGOTTEN])
    save_losses(cursor, FORGOTTEN, losses)


def append(cursor: Cursor, producers: Iterable[Producer]) -> None:
    """A line per producer, in the transaction that stores its report: appending is cheaper than replacing."""
    lines = [
        (
            *(p.name, p.last_seq, _told(p.refused), p.stored, p.missed),
            *(p.last_seen, p.lost, json.dumps(p.gaps), p.late, p.late_seq),
        )
        for p in producers
    ]
    for some in (lines[start : start + AT_ONCE] for start in range(0, len(lines), AT_ONCE)):
        insert = "INSERT INTO producers VALUES " + ", ".join([f"({', '.join('?' * 10)})"] * len(some))
        cursor.execute(parsed(cursor, insert), list(chain.from_iterable(some)))


def _told(refused: Mapping[int, Sequence[Refusal]]) -> str:
    return json.dumps({seq: [astuple(refusal) for refusal in parts] for seq, parts in refused.items()})


def save_losses(cursor: Cursor, producer: str, losses: Mapping[tuple[str, str], int]) -> None:
    """A producer's totals; each call replaces the one before."""
    cursor.execute("DELETE FROM losses WHERE producer = ?", [producer])
    if losses:
        models, reasons = zip(*losses, strict=True)
        cursor.execute(
            "INSERT INTO losses SELECT ?, unnest(?::VARCHAR[]), unnest(?::VARCHAR[]), unnest(?::UBIGINT[])",
            [producer, models, reasons, list(losses.values())],
        )
