"""Rows of predictions: bulk append, and the windows that checks read."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt

from tenure_agent.records import OUTPUT
from tenure_agent.store.catalogue import Catalogue, Column, Model
from tenure_agent.store.connection import Cursor, parsed
from tenure_agent.wire import Generated, Rows

Array = npt.NDArray[Any]
CHAMPION = 0


def append(cursor: Cursor, catalogue: Catalogue, batches: Sequence[tuple[int, Rows]], now: int) -> None:
    """Append decoded batches of one model in one statement.

    Parameters
    ----------
    batches
        Pairs of ingest number and rows, all of the same model.
    """
    model = catalogue.model(cursor, batches[0][1].model, now)
    lengths = [len(rows) for _, rows in batches]
    versions = [catalogue.version(cursor, model, rows.version, now) for _, rows in batches]
    arrays: dict[str, Array] = {
        "batch": np.repeat(np.array([number for number, _ in batches], np.int64), lengths),
        "time": _joined([rows.times for _, rows in batches]),
        "version": np.repeat(np.array(versions, np.int32), lengths),
        "role": np.repeat(np.array([rows.role for _, rows in batches], np.uint8), lengths),
    }
    sparse = Sparse(lengths)
    for i, (_, rows) in enumerate(batches):
        if rows.latencies is not None:
            sparse.put("latency", i, rows.latencies)
        if rows.errors is not None:
            sparse.put("error", i, rows.errors)
        for values in rows.columns:
            column = catalogue.column(cursor, model, values.part, values.name, values.kind, now)
            sparse.put(f"{'t' if values.kind == 'TEXT' else 'n'}{column.number}", i, values.values)
    arrays |= sparse.arrays
    id_, prefixes, parts = _ids([rows.ids for _, rows in batches], lengths)
    columns = f"id, {', '.join(arrays)}"
    insert = f"INSERT INTO {model.table} ({columns}) SELECT {id_}, * EXCLUDE ({', '.join(parts)}) FROM incoming"
    cursor.register("incoming", parts | arrays)  # NaN is NULL there
    try:
        cursor.execute(parsed(cursor, insert), prefixes)
    finally:
        cursor.unregister("incoming")


class Sparse:
    """Columns that some batches of a group lack, one after the other: NaN or None where they do.

    Parameters
    ----------
    lengths
        Rows of each batch.
    """

    def __init__(self, lengths: Sequence[int]) -> None:
        self._starts = [0, *accumulate(lengths)]
        self.arrays: dict[str, Array] = {}

    def put(self, name: str, batch: int, values: Array) -> None:
        rows = self._starts[-1]
        if len(values) == rows:
            self.arrays[name] = values
            return
        if name not in self.arrays:
            missing: Any = {"f": np.nan, "O": None}.get(values.dtype.kind, 0)
            self.arrays[name] = np.full(rows, missing, values.dtype)
        self.arrays[name][self._starts[batch] : self._starts[batch + 1]] = values


def _ids(batches: Sequence[Array | Generated], lengths: Sequence[int]) -> tuple[str, list[Any], dict[str, Array]]:
    """How to write ids: an expression, its parameters, its columns. Generated ones become text in DuckDB, not here."""
    prefixes: dict[str, int] = {}
    sparse = Sparse(lengths)
    for i, ids in enumerate(batches):
        if isinstance(ids, Generated):
            code = prefixes.setdefault(ids.prefix, len(prefixes) + 1)
            sparse.put("prefix", i, np.full(len(ids), code, np.int32))
            sparse.put("counter", i, ids.counters)
        else:
            sparse.put("given", i, ids)
    if not prefixes:
        return "given", [], sparse.arrays
    if len(prefixes) == 1 and "given" not in sparse.arrays:
        return "? || '-' || counter", list(prefixes), sparse.arrays
    generated = "(?::VARCHAR[])[prefix] || '-' || counter"  # there is no prefix 0: NULL
    return (f"coalesce(given, {generated})" if "given" in sparse.arrays else generated), [list(prefixes)], sparse.arrays


def _joined(arrays: list[Array]) -> Array:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def columns_after(
    cursor: Cursor, model: Model, version: int, batches: tuple[int, int], columns: Sequence[Column]
) -> dict[str, Array]:
    """A version's rows whose ingest number is in (first, last]: time, role and the given columns."""
    names = ["time", "role", *(name for column in columns for name in stored_names(column))]
    query = f"SELECT {', '.join(names)} FROM {model.table} WHERE batch > ? AND batch <= ? AND version = ?"
    return filled(cursor.execute(query, [*batches, version]).fetchnumpy())


def champion(cursor: Cursor, model: Model, before: int) -> int | None:
    """The version in service: the one that made the newest champion row before a time."""
    query = f"SELECT arg_max(version, (time, batch)) FROM {model.table} WHERE role = ? AND time < ? AND time >= ?"
    for since in (before - 3_600_000_000, before - 86_400_000_000, 0):  # most often the last hour tells
        found = one(cursor.execute(query, [CHAMPION, before, since]))[0]
        if found is not None:
            return int(found)
    return None


def first_time(cursor: Cursor, model: Model) -> int:
    """Event time of the oldest row."""
    return int(one(cursor.execute(f"SELECT coalesce(min(time), 0) FROM {model.table}"))[0])


def extent(cursor: Cursor, model: Model, version: int, before: int) -> tuple[int, int]:
    """A version's champion rows before a time: how many, and microseconds of event time from the first to the last."""
    query = (
        f"SELECT count(*), coalesce(max(time) - min(time), 0) FROM {model.table} "
        "WHERE version = ? AND role = ? AND time < ?"
    )
    rows, span = one(cursor.execute(query, [version, CHAMPION, before]))
    return int(rows), int(span)


def batch_bounds(cursor: Cursor, model: Model, after: int, rows: int) -> int:
    """The ingest number up to which about `rows` rows follow `after`; `after` itself where none do.

    Rows lie in the order they came: to sort them would read all that follow.
    """
    query = f"SELECT max(batch) FROM (SELECT batch FROM {model.table} WHERE batch > ? LIMIT ?)"
    found = one(cursor.execute(query, [after, rows]))[0]
    return after if found is None else int(found)


def rows_between(cursor: Cursor, model: Model, start: int, end: int) -> int:
    """Champion rows with event time in [start, end)."""
    query = f"SELECT count(*) FROM {model.table} WHERE time >= ? AND time < ? AND role = ?"
    return int(one(cursor.execute(query, [start, end, CHAMPION]))[0])


def last_batch(cursor: Cursor, model: Model) -> int:
    """The highest ingest number of a model's rows; 0 where there are none."""
    return int(one(cursor.execute(f"SELECT coalesce(max(batch), 0) FROM {model.table}"))[0])


def newest_batch(cursor: Cursor, catalogue: Catalogue) -> int:
    """The highest ingest number stored."""
    numbers = [one(cursor.execute(f"SELECT max(batch) FROM {m.table}"))[0] for m in catalogue.models.values()]
    numbers += [one(cursor.execute(f"SELECT max(batch) FROM {table}"))[0] for table in ("outcomes", "ages", "archived")]
    return max((int(number) for number in numbers if number is not None), default=0)


def count_zeroed(cursor: Cursor, catalogue: Catalogue) -> int:
    """Rows under numbers that are never given: zeros in place of what was written.

    DuckDB's checksums are sums: an even number of equal words that become zero, as a lost sector leaves them, goes by
    unnoticed. These numbers stand in runs of equal ones, so such a hole shows in them, and zone maps make looking cheap.
    """
    of = [f"SELECT count(*) FROM {m.table} WHERE batch < 1 OR version < 1" for m in catalogue.models.values()]
    of.append("SELECT count(*) FROM outcomes WHERE batch < 1 OR model < 1")
    return sum(int(one(cursor.execute(query))[0]) for query in of)


def newest_time(cursor: Cursor, catalogue: Catalogue) -> int:
    """The newest event time stored: the watermark of an event clock after a restart."""
    times = [one(cursor.execute(f"SELECT max(time) FROM {m.table}"))[0] for m in catalogue.models.values()]
    times.append(one(cursor.execute("SELECT max(time) FROM outcomes"))[0])
    return max((int(time) for time in times if time is not None), default=0)


def stored_counts(cursor: Cursor, model: Model) -> list[tuple[str, int, int]]:
    """Rows stored per version and role."""
    query = f"SELECT version, role, count(*) FROM {model.table} GROUP BY ALL ORDER BY ALL"
    return [(model.version_name(v), int(role), int(n)) for v, role, n in cursor.execute(query).fetchall()]


def latest_outcomes(model: Model, known: int, since: int = 0) -> str:
    """The newest word on each id that became known in [since, known]: corrections replace what they correct."""
    return (
        "SELECT id, max(time) AS known, arg_max(label_number, (time, batch)) AS label_number, "
        "arg_max(label_text, (time, batch)) AS label_text "
        f"FROM outcomes WHERE model = {model.number} AND time <= {known:d} AND time >= {since:d} GROUP BY id"
    )


def prediction_column(model: Model) -> Column | None:
    return model.columns.get((OUTPUT, "prediction"))


def stored_names(column: Column) -> list[str]:
    names = [f"n{column.number}"] if column.has_numbers else []
    return [*names, f"t{column.number}"] if column.has_texts else names


def as_text(number: str) -> str:
    """A number as SQL text, as `reference.as_texts` writes it: whole ones without their point."""
    return f"regexp_replace(CAST({number} AS VARCHAR), '[.]0$', '')"


def value_as_text(column: Column) -> str:
    """A stored column as SQL text, also where its type changed."""
    stored = [as_text(name) if name.startswith("n") else name for name in reversed(stored_names(column))]
    return f"coalesce({', '.join(stored)})"


def label_as_text() -> str:
    return f"coalesce(o.label_text, {as_text('o.label_number')})"


def filled(columns: dict[str, Any]) -> dict[str, Array]:
    """Masked arrays as plain ones: NaN for missing numbers, None for missing texts."""
    plain: dict[str, Array] = {}
    for name, array in columns.items():
        if isinstance(array, np.ma.MaskedArray):
            missing: Any = np.nan if array.dtype.kind == "f" else None  # `filled(None)` would fill with "?"
            plain[name] = np.where(np.ma.getmaskarray(array), missing, array.data)
        else:
            plain[name] = array
    return plain


def one(cursor: Cursor) -> tuple[Any, ...]:
    row: tuple[Any, ...] | None = cursor.fetchone()
    if row is None:
        raise LookupError("the query gave no row")
    return row
