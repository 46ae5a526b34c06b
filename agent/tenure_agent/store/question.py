"""One question of a person's in SQL: read only, for so long and no longer, and only so many rows."""

from __future__ import annotations

import datetime as dt
import json
import math
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import duckdb

from tenure.errors import TenureError
from tenure_agent.store import views
from tenure_agent.store.database import Cursor

MOST_BYTES = 3 << 20  # of the answer, which is one gRPC message
READING = frozenset({duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN})
BROKEN = (duckdb.FatalException, duckdb.InternalException)  # the store's to heal


class Refused(TenureError):
    """A question that is not answered."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a query gave; `complete` is False where it had more rows."""

    columns: list[tuple[str, str]]  # name, type
    rows: list[list[Any]]
    complete: bool


def ask(cursor: Cursor, query: str, *, rows: int, seconds: float) -> Answer:
    """Answer a query on a cursor of its own.

    Parameters
    ----------
    rows, seconds
        Most rows, longest time.

    Raises
    ------
    Refused
        It would change something, is wrong, or took too long.
    """
    late = threading.Event()

    def stop() -> None:
        late.set()
        cursor.interrupt()

    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    try:
        statement = _statement(query)
        views.create(cursor)
        cursor.execute("BEGIN TRANSACTION READ ONLY")
        timer.start()
        cursor.execute(statement)
        columns = [(str(name), str(type_)) for name, type_, *_ in cursor.description or ()]
        found, complete = _fetch(cursor, rows)
    except BROKEN:
        raise
    except duckdb.InterruptException as error:
        if not late.is_set():
            raise
        raise Refused(f"query: stopped after {seconds:g} s. Try: a narrower WHERE, or a longer --timeout") from error
    except duckdb.Error as error:
        raise Refused(f"query: {str(error).strip()}") from error
    finally:
        timer.cancel()
        with suppress(duckdb.Error):
            cursor.rollback()
    names = views.distinct(name for name, _ in columns)
    return Answer([(name, type_) for name, (_, type_) in zip(names, columns, strict=True)], found, complete)


def _statement(query: str) -> duckdb.Statement:
    statements = duckdb.extract_statements(query)
    if len(statements) != 1:
        raise Refused(f"query: {len(statements)} statements. Try: one")
    if statements[0].type not in READING:
        raise Refused(f"query: {statements[0].type.name} is not reading. Try: SELECT, WITH, DESCRIBE or EXPLAIN")
    return statements[0]


def _fetch(cursor: Cursor, most: int) -> tuple[list[list[Any]], bool]:
    rows: list[list[Any]] = []
    size = 0
    while len(rows) < most:
        row = cursor.fetchone()
        if row is None:
            return rows, True
        plain = [_plain(value) for value in row]
        size += len(json.dumps(plain))
        if size > MOST_BYTES:
            return rows, False
        rows.append(plain)
    return rows, cursor.fetchone() is None


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, dt.datetime | dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    return value.hex() if isinstance(value, bytes) else str(value)
