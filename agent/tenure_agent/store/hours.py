"""Rows served by hour and model: a few bytes each, so that what is usual is known for longer than rows are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tenure_agent.records import HOUR, SHADOW  # a shadow scores the rows of others once more
from tenure_agent.store.catalogue import Model
from tenure_agent.store.database import Cursor
from tenure_agent.store.predictions import one


@dataclass(frozen=True, slots=True)
class Counted:
    """Hours as they stand.

    Parameters
    ----------
    upto
        Ingest number up to which rows are counted.
    rows
        By hour: event time over an hour. None: missed, see `tenure_agent.hours`.
    judged
        Hours that were judged.
    """

    upto: int
    rows: Mapping[int, int | None]
    judged: frozenset[int]


def load(cursor: Cursor, model: int) -> Counted:
    """What was counted of a model."""
    upto = one(cursor.execute("SELECT coalesce(max(batch), 0) FROM counted WHERE model = ?", [model]))[0]
    found = cursor.execute("SELECT hour, rows, judged FROM hours WHERE model = ?", [model]).fetchall()
    judged = frozenset(int(hour) for hour, _, judged in found if judged)
    return Counted(int(upto), {int(hour): rows for hour, rows, _ in found}, judged)


def save(cursor: Cursor, model: int, counted: Counted, keep: int) -> None:
    """Keep hours that have changed, in the caller's transaction, and let go of those before `keep`."""
    cursor.execute("DELETE FROM counted WHERE model = ?", [model])
    cursor.execute("INSERT INTO counted VALUES (?, ?)", [model, counted.upto])
    hours = list(counted.rows)
    if not hours:
        return
    cursor.execute(
        "DELETE FROM hours WHERE model = ? AND (hour < ? OR hour IN (SELECT unnest(?::BIGINT[])))", [model, keep, hours]
    )
    judged = [hour in counted.judged for hour in hours]
    cursor.execute(
        "INSERT INTO hours SELECT ?, unnest(?::BIGINT[]), unnest(?::BIGINT[]), unnest(?::BOOLEAN[])",
        [model, hours, list(counted.rows.values()), judged],
    )


def count(cursor: Cursor, model: Model, batches: tuple[int, int], hours: tuple[int, int]) -> dict[int, int]:
    """Rows served, by hour: ingest number in (first, last], and hour in [first, last)."""
    query = (
        f"SELECT time // {HOUR} AS hour, count(*) FROM {model.table} WHERE batch > ? AND batch <= ? AND role != ? "
        "AND time >= ? AND time < ? GROUP BY hour"
    )
    first, last = hours
    found = cursor.execute(query, [*batches, SHADOW, first * HOUR, last * HOUR]).fetchall()
    return {int(hour): int(rows) for hour, rows in found}
