"""When each scheduled job last ran: schedules survive a restart."""

from __future__ import annotations

from tenure_agent.store.database import Cursor


def last_runs(cursor: Cursor) -> dict[str, int]:
    return {name: int(time) for name, time in cursor.execute("SELECT name, last_run FROM jobs").fetchall()}


def ran(cursor: Cursor, name: str, time: int) -> None:
    cursor.execute("DELETE FROM jobs WHERE name = ?", [name])
    cursor.execute("INSERT INTO jobs VALUES (?, ?)", [name, time])
