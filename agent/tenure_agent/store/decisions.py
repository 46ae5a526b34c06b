"""Decisions and their outbox: a decision is pending until it is delivered, or dead-lettered in plain sight."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tenure_agent.records import Action, Decision, Trigger, Urgency, iso
from tenure_agent.store.database import Cursor
from tenure_agent.store.predictions import one

RECORDED, PENDING, DELIVERED, DEAD = "recorded", "pending", "delivered", "dead"

_FIELDS = (
    'd.id, m.name, v.name, d.action, d."trigger", d.urgency, d.mode, d.reason, d.time, d.evidence, d.state, '
    "d.attempts, d.last_error"
)
_FROM = (
    "FROM decisions d JOIN models m ON m.model = d.model JOIN versions v ON v.model = d.model AND v.version = d.version"
)


@dataclass(frozen=True, slots=True)
class Letter:
    """A decision in the outbox."""

    decision: Decision
    state: str
    attempts: int
    last_error: str | None

    def document(self) -> dict[str, Any]:
        """The decision as command-line verbs and the demo show it."""
        d = self.decision
        return {
            "id": d.id,
            "model": d.model,
            "version": d.version,
            "action": d.action,
            "trigger": d.trigger,
            "urgency": d.urgency,
            "mode": d.mode,
            "reason": d.reason,
            "event_time": iso(d.event_time),
            "delivered": self.state == DELIVERED,
            "state": self.state,
            "attempts": self.attempts,
            "last_error": self.last_error,
            "evidence": d.evidence,
        }


def save(cursor: Cursor, model: int, version: int, decision: Decision, now: int, state: str) -> bool:
    """Keep a decision once; False when its id is there already."""
    if one(cursor.execute("SELECT count(*) FROM decisions WHERE id = ?", [decision.id]))[0]:
        return False
    d = decision
    row = [d.id, model, version, d.action, d.trigger, d.urgency, d.mode, d.reason, d.event_time]
    row += [json.dumps(d.evidence), now, state, 0, now, None]
    cursor.execute(f"INSERT INTO decisions VALUES ({', '.join('?' * len(row))})", row)
    return True


def last_time(cursor: Cursor, model: int, action: Action, version: int | None = None) -> int | None:
    """Event time of the newest decision of an action; of one version, or of any."""
    query = "SELECT max(time) FROM decisions WHERE model = ? AND action = ? AND (version = ? OR ?)"
    found = one(cursor.execute(query, [model, action, version, version is None]))[0]
    return None if found is None else int(found)


def listed(cursor: Cursor, limit: int = 1000) -> list[Letter]:
    """The newest decisions, oldest first."""
    rows = cursor.execute(f"SELECT {_FIELDS} {_FROM} ORDER BY d.time DESC, d.id LIMIT ?", [limit]).fetchall()
    return [_letter(row) for row in reversed(rows)]


def due(cursor: Cursor, now: int, most_delay: int, limit: int = 20) -> list[Letter]:
    """Pending decisions to post now, oldest first; those delayed by more than the most are a wrong clock's."""
    of = "d.state = ? AND (d.next_attempt <= ? OR d.next_attempt > ?)"
    query = f"SELECT {_FIELDS} {_FROM} WHERE {of} ORDER BY d.time, d.id LIMIT ?"
    return [_letter(row) for row in cursor.execute(query, [PENDING, now, now + most_delay, limit]).fetchall()]


def mark(cursor: Cursor, id_: str, state: str, attempts: int, next_attempt: int, error: str | None) -> None:
    cursor.execute(
        "UPDATE decisions SET state = ?, attempts = ?, next_attempt = ?, last_error = ? WHERE id = ?",
        [state, attempts, next_attempt, error, id_],
    )


def counts(cursor: Cursor) -> dict[str, int]:
    """Decisions by state."""
    found = cursor.execute("SELECT state, count(*) FROM decisions GROUP BY state").fetchall()
    return {RECORDED: 0, PENDING: 0, DELIVERED: 0, DEAD: 0} | {state: int(n) for state, n in found}


def _letter(row: tuple[Any, ...]) -> Letter:
    id_, model, version, action, trigger, urgency, mode, reason, time, evidence, state, attempts, error = row
    decision = Decision(
        model, version, Action(action), Trigger(trigger), Urgency(urgency), reason, time, mode, json.loads(evidence)
    )
    if decision.id != id_:
        raise LookupError(f"decision {id_} does not match its own content")
    return Letter(decision, state, attempts, error)
