"""What a new store takes over from one that could not be read any more: names, producers, decisions, verdicts, references.

The rows themselves stay in the file that was set aside. Their reports are counted as lost, and who sent them is known
again: what comes twice is stored once, and what a producer says it has acked is compared with the right number.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import duckdb

from tenure_agent.gaps import opened
from tenure_agent.store import producers
from tenure_agent.store.catalogue import Catalogue
from tenure_agent.store.connection import Cursor
from tenure_agent.store.damage import StoreFull
from tenure_agent.store.database import Database
from tenure_agent.store.producers import Producer
from tenure_agent.store.schema import SCHEMA

logger = logging.getLogger(__name__)
T = TypeVar("T")

NAMES = ("models", "versions", "columns")  # without them, the numbers in the others mean nothing
NUMBERED = ("refs", "jobs", "verdicts", "decisions", "hours")
SENDERS = ("producers", "losses")
SETTINGS: dict[str, str | bool | int | float | list[str]] = {"memory_limit": f"{64 << 20}B", "threads": 1}
UNREADABLE = (duckdb.Error, ValueError)  # a text may be none any more

Columns = dict[str, Any]  # NumPy arrays, as DuckDB gives and takes them


@dataclass(slots=True)
class Saved:
    """What could be read of a file, by table."""

    tables: dict[str, Columns] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)


def carry_over(database: Database, remembered: Mapping[str, Producer], age: int) -> int:
    """Fill a new store with what can be saved of the one set aside for it; how many reports are lost.

    Parameters
    ----------
    remembered
        The producers that memory knows: the file may not tell them any more.
    age
        Microseconds for which rows are kept: of a producer silent for longer nothing was left to lose.
    """
    path, database.aside = database.aside, None
    if path is None:
        return 0
    saved = read(path)
    lost = _written(database, lambda cursor: _save_senders(cursor, saved, remembered, age), SENDERS, saved) or 0
    _written(database, lambda cursor: _save_numbered(cursor, saved), (*NAMES, *NUMBERED), saved)
    told = {"reports": lost, "path": str(path), "why": ", ".join(dict.fromkeys(saved.unread)) or "none"}
    logger.error("%(reports)d reports are lost with %(path)s; tables that could not be saved: %(why)s", told)
    return lost


def _written(database: Database, work: Callable[[Cursor], T], tables: Sequence[str], saved: Saved) -> T | None:
    """What cannot be written is no reason not to go on: the store is empty then, as one that was deleted."""
    try:
        return database.write(work, into_floor=True).result()
    except (duckdb.Error, StoreFull, ValueError):
        logger.exception("a part of the former store is not taken over")
        saved.unread += tables
        return None


def read(path: Path) -> Saved:
    """Every table by itself: one that is damaged costs no other."""
    saved = Saved(unread=[*NAMES, *NUMBERED, *SENDERS])
    left = ["meta", *saved.unread]
    opened = True
    while left and opened:
        opened = False  # what has failed once may be of no more use: the next table is read with the file opened anew
        try:
            with duckdb.connect(str(path), read_only=True, config=SETTINGS) as file:
                opened = True
                while left:
                    found = file.execute(f"SELECT * FROM {(table := left.pop(0))}").fetchnumpy()
                    if table == "meta" and str(SCHEMA) not in found["value"]:
                        return saved
                    saved.tables[table] = found
        except UNREADABLE:
            opened = opened and "meta" in saved.tables
    saved.unread = [table for table in saved.unread if table not in saved.tables]
    return saved


def _save_senders(cursor: Cursor, saved: Saved, remembered: Mapping[str, Producer], age: int) -> int:
    """The last report of each may not have been acked: should it come again, it is new."""
    for table in SENDERS:
        _insert(cursor, saved, table)
    producers.append(cursor, remembered.values())
    for producer in remembered.values():
        if producer.losses:
            producers.save_losses(cursor, producer.name, producer.losses)
    producers.compact(cursor)
    before = producers.totals(cursor).lost
    stored = "last_seq::HUGEINT - missed - lost"
    of = f"{stored} > 0 AND last_seen >= (SELECT max(last_seen) FROM producers) - ?"
    late = cursor.execute(f"SELECT producer FROM producers WHERE late_seq > 0 AND {of}", [age]).fetchall()
    cursor.execute(
        f"UPDATE producers SET lost = lost + {stored} - (late_seq = 0)::INTEGER, "
        f"last_seq = last_seq - (late_seq = 0)::INTEGER, rejections = '{{}}' WHERE {of}",
        [age],
    )
    for (name,) in late:
        if (known := producers.find(cursor, name)) is not None:
            gaps = opened(known.gaps, known.late_seq, known.late_seq, acked=True)
            cursor.execute("DELETE FROM producers WHERE producer = ?", [name])
            producers.append(cursor, [replace(known, gaps=gaps, late_seq=0)])
    return producers.totals(cursor).lost - before


def _save_numbered(cursor: Cursor, saved: Saved) -> None:
    if any(name not in saved.tables for name in NAMES):
        saved.unread += NUMBERED
        return
    for table in (*NAMES, *NUMBERED):
        _insert(cursor, saved, table)
    try:
        catalogue = Catalogue(cursor)
    except duckdb.Error as error:  # it is the old file that is damaged, not the new one
        raise ValueError("names do not add up") from error
    catalogue.make_tables(cursor)


def _insert(cursor: Cursor, saved: Saved, table: str) -> None:
    columns = saved.tables.get(table, {})
    if any(len(column) for column in columns.values()):
        cursor.register("saved", columns)
        try:
            cursor.execute(f"INSERT INTO {table} BY NAME SELECT * FROM saved")
        finally:
            cursor.unregister("saved")
