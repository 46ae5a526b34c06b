"""What a new store takes over from one that could not be read any more: names, producers, decisions, verdicts, references.

The rows themselves stay in the file that was set aside. Their reports are counted as lost, and who sent them is known
again: what comes twice is stored once, and what a producer says it has acked is compared with the right number.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import duckdb

from tenure_agent.store import damage, producers
from tenure_agent.store.catalogue import Catalogue
from tenure_agent.store.connection import Cursor
from tenure_agent.store.database import Database
from tenure_agent.store.producers import FORGOTTEN, Producer
from tenure_agent.store.schema import SCHEMA

logger = logging.getLogger(__name__)

NAMES = ("models", "versions", "columns")  # without them, the numbers in the others mean nothing
TABLES = ("refs", "jobs", "verdicts", "decisions")
MEMORY = 64 << 20

Columns = dict[str, Any]  # NumPy arrays, as DuckDB gives and takes them


@dataclass(slots=True)
class Saved:
    """What could be read of a file, by table."""

    tables: dict[str, Columns] = field(default_factory=dict)
    producers: dict[str, Producer] = field(default_factory=dict)
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
    known = {**saved.producers, **remembered}
    lost = database.write(lambda cursor: _save_producers(cursor, known, age), into_floor=True).result()
    try:
        database.write(lambda cursor: _save_tables(cursor, saved), into_floor=True).result()
    except (duckdb.Error, ValueError):  # what was read was damaged and did not look it
        logger.exception("nothing but producers could be taken from %(path)s", {"path": str(path)})
    told = {"reports": lost, "path": str(path), "why": ", ".join(saved.unread) or "none"}
    logger.error("%(reports)d reports are lost with %(path)s; tables that could not be saved: %(why)s", told)
    return lost


def read(path: Path) -> Saved:
    """Every table by itself, so that damage to one costs no other."""
    saved = Saved()
    settings: dict[str, str | bool | int | float | list[str]] = {"memory_limit": f"{MEMORY}B", "threads": 1}
    try:
        with duckdb.connect(str(path), read_only=True, config=settings) as file:
            schema = file.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()
            if schema != (str(SCHEMA),):
                raise duckdb.DataError("of another schema")
            for table in (*NAMES, *TABLES):
                try:
                    saved.tables[table] = file.execute(f"SELECT * FROM {table}").fetchnumpy()
                except duckdb.Error:
                    saved.unread.append(table)
            try:
                saved.producers = producers.load(file)
                past = producers.find(file, FORGOTTEN)
                saved.producers |= {FORGOTTEN: past} if past is not None else {}
            except (duckdb.Error, ValueError, TypeError):
                saved.unread.append("producers")
    except duckdb.Error as error:
        logger.warning("%(path)s cannot be opened: %(why)s", {"path": str(path), "why": damage.told(error)})
        saved.unread = [*NAMES, *TABLES, "producers"]
    return saved


def _save_producers(cursor: Cursor, known: Mapping[str, Producer], age: int) -> int:
    """The last report of each may not have been acked: should it come again, it is new."""
    newest = max((producer.last_seen for producer in known.values()), default=0)
    kept, lost = [], 0
    for producer in known.values():
        gone = max(0, producer.last_seq - 1 - producer.missed - producer.lost)
        if producer.last_seq and producer.last_seen >= newest - age:
            lost += gone
            kept.append(replace(producer, last_seq=producer.last_seq - 1, lost=producer.lost + gone, refused=[]))
        else:
            kept.append(producer)
    producers.append(cursor, kept)
    for producer in kept:
        producers.save_losses(cursor, producer.name, producer.losses)
    return lost


def _save_tables(cursor: Cursor, saved: Saved) -> None:
    if any(name not in saved.tables for name in NAMES):
        saved.unread += [table for table in TABLES if table not in saved.unread]
        return
    for table, columns in saved.tables.items():
        if len(next(iter(columns.values()))):
            cursor.register("saved", columns)
            try:
                cursor.execute(f"INSERT INTO {table} BY NAME SELECT * FROM saved")
            finally:
                cursor.unregister("saved")
    try:
        catalogue = Catalogue(cursor)
    except duckdb.Error as error:  # it is the old file that is damaged, not the new one
        raise ValueError("names do not add up") from error
    catalogue.make_tables(cursor)
