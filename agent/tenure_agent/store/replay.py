"""A sorted history into the store, piece by piece, as traffic would have come."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from tenure_agent.records import SHADOW
from tenure_agent.store.catalogue import Catalogue, Model
from tenure_agent.store.database import Cursor
from tenure_agent.store.history import History
from tenure_agent.store.predictions import CHAMPION, filled, one
from tenure_agent.store.stretches import MOST

Array = npt.NDArray[Any]


def register(cursor: Cursor, catalogue: Catalogue, name: str, history: History) -> Model:
    """Make the model of a history, with its versions and columns."""
    model = catalogue.model(cursor, name, 0)
    for version in history.versions:
        catalogue.version(cursor, model, version, 0)
    for column in history.columns:
        catalogue.column(cursor, model, column.part, column.name, column.kind, 0)
    return model


def piece(cursor: Cursor, history: History, start: int, length: int, rows: int) -> tuple[int, int]:
    """The next live rows from `start` on: no more than `length` microseconds of them, and about `rows`.

    Returns
    -------
    Event times of the first, and just after the last: rows of one moment stay together.
    """
    query = (
        "WITH ahead AS MATERIALIZED (SELECT time FROM read_parquet(?) WHERE time >= ? AND NOT reference LIMIT ?) "
        "SELECT min(time), max(time) FILTER (time < (SELECT min(time) FROM ahead) + ?) FROM ahead"
    )
    first, last = one(cursor.execute(query, [str(history.path), start, rows, length]))
    return int(first), int(last) + 1


def extent(cursor: Cursor, history: History, rows: int, end: int = MOST) -> tuple[int, int]:
    """The first so many champion rows that are live, before an event time: how many, and microseconds that they span."""
    query = (
        "SELECT count(*), coalesce(max(time) - min(time), 0) FROM "
        "(SELECT time FROM read_parquet(?) WHERE NOT reference AND role = ? AND time < ? LIMIT ?)"
    )
    found, span = one(cursor.execute(query, [str(history.path), CHAMPION, end, rows]))
    return int(found), int(span)


def load(cursor: Cursor, model: Model, history: History, batch: int, start: int, end: int) -> int:
    """Store the live rows with event time in [start, end), and their labels, under the next ingest number.

    Returns
    -------
    How many rows.
    """
    columns = [model.columns[column.part, column.name] for column in history.columns]
    kept = [f"{'t' if column.has_texts else 'n'}{column.number}" for column in columns]
    stored = [column.stored for column in history.columns]
    span = [str(history.path), start, end]
    rows = one(
        cursor.execute(
            f"INSERT INTO {model.table} ({', '.join(['batch', 'time', 'version', 'role', 'id', *kept])}) "
            f"SELECT {', '.join(['?', 'h.time', 'v.version', 'h.role', 'h.id', *(f'h.{name}' for name in stored)])} "
            "FROM read_parquet(?) h JOIN versions v ON v.model = ? AND v.name = h.version "
            "WHERE h.time >= ? AND h.time < ? AND NOT h.reference",
            [batch, span[0], model.number, start, end],
        )
    )
    cursor.execute(  # a shadow row has its champion's id, and the truth is the same
        "INSERT INTO outcomes SELECT ?, ?, id, known, label_number, label_text, NULL FROM read_parquet(?) "
        "WHERE time >= ? AND time < ? AND NOT reference AND role != ? AND known IS NOT NULL "
        "AND (label_number IS NOT NULL OR label_text IS NOT NULL)",
        [batch, model.number, *span, SHADOW],
    )
    return int(rows[0])


def reference_rows(cursor: Cursor, history: History, version: str) -> dict[str, Array]:
    """A version's rows of the reference in time order: time, known, label_number, label_text, and the columns as stored."""
    names = ", ".join(["time", "known", "label_number", "label_text", *(c.stored for c in history.columns)])
    query = f"SELECT {names} FROM read_parquet(?) WHERE reference AND version = ?"
    return filled(cursor.execute(query, [str(history.path), version]).fetchnumpy())
