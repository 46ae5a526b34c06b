"""The store's tables: schema.sql is a section per schema, and a file gets those it does not have yet."""

from __future__ import annotations

import re
from importlib import resources

from tenure.errors import TenureError
from tenure_agent.store.connection import Cursor

SECTION = re.compile(r"^-- Schema (\d+)\b", re.MULTILINE)


def sections(text: str) -> list[str]:
    """The SQL of each schema; the first is that of an empty file, each other one changes the one before it.

    Raises
    ------
    ValueError
        They are not numbered 1, 2, 3, …
    """
    _, *parts = SECTION.split(text)
    numbers = [int(number) for number in parts[::2]]
    if numbers != list(range(1, len(numbers) + 1)):
        raise ValueError(f"schema.sql: sections {numbers}")
    return [f"--{part}" for part in parts[1::2]]


STEPS = sections(resources.files("tenure_agent.store").joinpath("schema.sql").read_text())
SCHEMA = len(STEPS)


def migrate(cursor: Cursor) -> None:
    """Bring a file forward to this agent's schema, in the caller's transaction.

    Raises
    ------
    TenureError
        The file is newer than this agent, or no store at all.
    """
    tables = {name for (name,) in cursor.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    if tables and "meta" not in tables:
        raise TenureError("store.path: a DuckDB file, and no store of Tenure's. Try: another store.path")
    found = _found(cursor) if tables else 0
    if found > SCHEMA:
        raise TenureError(f"store.path: schema {found} is newer than this agent's {SCHEMA}. Try: a newer tenure-agent")
    for step in STEPS[found:]:
        cursor.execute(step)
    if found < SCHEMA:
        cursor.execute("DELETE FROM meta WHERE key = 'schema'")
        cursor.execute("INSERT INTO meta VALUES ('schema', ?)", [str(SCHEMA)])


def _found(cursor: Cursor) -> int:
    row = cursor.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()
    if row is None or not str(row[0]).isdigit() or int(row[0]) == 0:
        raise TenureError("store.path: its schema is not told. Try: another store.path")
    return int(row[0])
