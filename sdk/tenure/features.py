"""What predict was given, as features: one row as a flat dict, many rows as a snapshot of their table.

Everything is recognised by its shape, not its type: no library is imported here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tenure.answer import Answer
from tenure.capture import PLAIN, UNSUPPORTED, Row, Stream, Table, is_missing, micros_of
from tenure.cells import MAX_DEPTH, array_of, fields_of, is_vector, plain, values_of, wire_name
from tenure.errors import SettingError

MOST_WIDE = 2000  # columns the agent takes of a model: a wider sparse matrix holds no features to watch one by one
MOST_NESTED = 10_000  # names in a row from which on nothing nested is opened: a mapping may hold itself, many times


@dataclasses.dataclass(frozen=True, slots=True)
class Rows:
    """A snapshot of many rows: a frame, an Arrow table, a 2-D array, a list of flat dicts, or columns by name."""

    table: Any
    count: int
    alone: Mapping[str, Any] | None = None  # the features where the output tells that it was one row after all

    def captured(
        self,
        stream: Stream,
        output: Any,
        counter: int,
        *,
        id: Any,
        time: Any,
        now: int,
        latency: int = -1,
        error: str | None = None,
    ) -> Table | Row:
        """The rows as they wait in the queue. `id` and `time` are the name of a column, or one value per row."""
        aside = frozenset(name for name in (id, time) if isinstance(name, str))
        ids = self._column(id) if isinstance(id, str) else _copied(id)
        if ids is not None and len(ids) != self.count:
            raise SettingError("id", ids, f"one id for each of {self.count} rows")
        times = self._column(time) if isinstance(time, str) else _copied(time)
        if times is None:
            times = now
        elif not hasattr(times, "__len__"):
            times = micros_of(times)
        if self.alone is not None and not _is_each(output, self.count):
            given = self.first(id)
            return Row(
                stream, self.alone, output, times if isinstance(times, int) else now, counter, given, latency, error
            )
        return Table(stream, self.table, output, times, counter, self.count, ids, latency, error, aside, now)

    def first(self, ids: Any) -> str | None:
        """The first row's id, where one is given.

        Raises
        ------
        SettingError
            They are not one per row.
        """
        column = self._column(ids) if isinstance(ids, str) else ids
        if column is None or not self.count:
            return None
        if len(column) != self.count:
            raise SettingError("id", ids, f"one id for each of {self.count} rows")
        first = plain(column.iloc[0] if hasattr(column, "iloc") else column[0])
        return None if is_missing(first) else str(first)

    def _column(self, name: str) -> Any:
        """None where there is no such column: rows without ids are rows all the same, as a dict without its id is one."""
        if isinstance(self.table, list):
            return [row.get(name) for row in self.table]
        try:
            return self.table[name]
        except Exception:  # noqa: BLE001  # each library has an error of its own for it
            return None


@dataclasses.dataclass(frozen=True, slots=True)
class Again:
    """A name that the row has already: carried along beside it, so that the sender can count what it leaves out."""

    name: Any

    def __str__(self) -> str:
        return str(self.name)


def _is_each(output: Any, rows: int) -> bool:
    """Whether an output has one value per row."""
    value = output.value if isinstance(output, Answer) else output
    if isinstance(value, str | bytes | Mapping) or not hasattr(value, "__len__") or getattr(value, "ndim", 1) == 0:
        return False
    return len(value) == rows


def _copied(values: Any) -> Any:
    """Ids or times, as the caller can no longer change them."""
    copy = getattr(values, "copy", None) or getattr(values, "clone", None)
    return values if copy is None or not hasattr(values, "__len__") else copy()


def features_of(value: Any, name: str = "input") -> dict[str, Any] | Rows | None:
    """The features in one argument; None where it is not a row or rows but a single value.

    One row: a mapping, dataclass, pydantic model, NamedTuple, labelled Series (features by its index), or a 1-D array,
    tensor or list of numbers (x0, x1, ...). Many: a data frame, Arrow table, 2-D array or tensor, structured array, sparse
    matrix, or a list of any of the former; and a list, array or column of texts, which text models take: one feature by the
    argument's `name`. What is nested is flattened with dots; what is no plain value is marked, left out and counted by the
    sender. Where it is a list of such things, or an array of three dimensions and more (images), the output tells whether
    they are many.
    """
    if is_row(value):
        return features_of_row(value)
    if isinstance(value, list | tuple):
        return _listed(value, name)
    if hasattr(type(value), "detach"):  # a torch tensor
        value = array_of(value)
    table = table_of(value, name)
    if table is not None:
        return table
    if is_vector(value):
        return _in_vector(value, name)
    return _opaque(name, len(value)) if (getattr(value, "ndim", None) or 0) > 2 else None


def is_row(value: Any) -> bool:
    """True for what names its features: a mapping, dataclass, pydantic model or NamedTuple."""
    return isinstance(value, Mapping) or fields_of(value) is not None


def features_of_row(value: Any) -> dict[str, Any]:
    return flattened(value if isinstance(value, Mapping) else fields_of(value) or {})


def table_of(value: Any, name: str = "input") -> Rows | None:
    """A snapshot of a data frame, Arrow table, 2-D or structured array or sparse matrix; None for anything else."""
    kind = type(value)  # asked for what it has, it answers at once: an absent attribute of a frame takes 10 us
    if hasattr(kind, "column_names") and hasattr(kind, "num_rows"):  # an Arrow table does not change
        return Rows(value, value.num_rows)
    dimensions = getattr(value, "ndim", None)
    if hasattr(kind, "tocsr"):
        if dimensions != 2:
            return None
        rows, width = value.shape
        return Rows({name: [UNSUPPORTED] * rows}, rows) if width > MOST_WIDE else Rows(value.tocsr(copy=True), rows)
    names = getattr(getattr(value, "dtype", None), "names", None) if dimensions == 1 else None
    if names:
        return Rows({field: value[field].copy() for field in names}, len(value))
    if dimensions == 2 or (hasattr(value, "shape") and hasattr(value, "columns")):
        return Rows(value.clone() if hasattr(kind, "clone") else value.copy(), len(value))
    return None


def rows_of(value: Any) -> dict[str, Any] | Rows:
    """`features_of` where nothing but a row or rows will do.

    Raises
    ------
    SettingError
        It is a single value.
    """
    found = features_of(value)
    if found is None:
        raise SettingError("features", value, "a dict, or rows of them: a list of dicts, a data frame, a 2-D array")
    return found


def _listed(values: Sequence[Any], name: str) -> dict[str, Any] | Rows:
    first = next((one for one in values if one is not None), None)
    if not len(values) or is_row(first) or isinstance(first, list | tuple) or is_vector(first):
        return Rows([_row(one, name) for one in values], len(values))
    kept = [plain(one) for one in values]
    if _are_texts(kept):
        return Rows({name: kept}, len(kept))
    if all(one is UNSUPPORTED for one in kept):
        return _opaque(name, len(kept))
    return {f"x{i}": one for i, one in enumerate(kept)}


def _in_vector(vector: Any, name: str) -> dict[str, Any] | Rows:
    index, values = getattr(vector, "index", None), values_of(vector)
    if index is None or callable(index) or not len(values):
        return _listed(values, name)
    if not isinstance(index[0], str) and _are_texts([plain(one) for one in values]):
        return Rows({name: values}, len(values))  # a column of texts: a row of them would be labelled by their names
    return _flat(zip(index, values, strict=True))


def _row(value: Any, name: str) -> dict[str, Any]:
    """One of many rows, of whatever shape."""
    try:
        if is_row(value):
            return features_of_row(value)
        if hasattr(value, "detach"):
            value = array_of(value)
        if isinstance(value, list | tuple) or is_vector(value):
            index = getattr(value, "index", None)
            values = value if isinstance(value, list | tuple) else values_of(value)
            labels = (f"x{i}" for i in range(len(values))) if index is None or callable(index) else index
            return _flat(zip(labels, values, strict=True))
        return {} if value is None else {name: plain(value)}
    except Exception:  # noqa: BLE001  # one row that cannot be read must not cost its whole table
        return {name: UNSUPPORTED}


def _are_texts(values: Sequence[Any]) -> bool:
    return any(type(one) is str for one in values) and all(type(one) is str or is_missing(one) for one in values)


def _opaque(name: str, count: int) -> Rows:
    """Things that hold no features, such as images."""
    return Rows({name: [UNSUPPORTED] * count}, count, alone={name: UNSUPPORTED})


def flattened(mapping: Mapping[Any, Any]) -> dict[str, Any]:
    """A mapping as one level of plain values, the names of nested ones joined by dots."""
    return _flat(mapping.items())


def _flat(pairs: Iterable[tuple[Any, Any]]) -> dict[str, Any]:
    flat: dict[Any, Any] = {}
    _flatten(pairs, flat, "", 0)
    return flat


def _flatten(pairs: Iterable[tuple[Any, Any]], flat: dict[Any, Any], before: str, depth: int) -> None:
    for key, value in pairs:
        name: Any = f"{before}{key}"
        while name in flat:
            name = Again(name)
        flat[name] = value if type(value) in PLAIN else UNSUPPORTED
        if type(value) in PLAIN:
            continue
        try:
            inner = value if isinstance(value, Mapping) else fields_of(value)
            if inner is None:
                flat[name] = plain(value)
            elif depth < MAX_DEPTH and len(flat) < MOST_NESTED:
                del flat[name]
                _flatten(inner.items(), flat, f"{before}{key}.", depth + 1)
        except Exception:  # noqa: BLE001  # a host's mapping may raise anything when it is read
            flat[name] = UNSUPPORTED


def columns_of(table: Any) -> dict[str, Any]:
    """Columns by name; of those that share one, the first. Called in the sender: even this costs the host nothing."""
    found: dict[str, Any] = {}
    for name, values in named_columns(table):
        found.setdefault(name, values)
    return found


def named_columns(table: Any) -> Iterator[tuple[str, Any]]:
    """Columns with their names, in their order."""
    if isinstance(table, list):
        yield from _gathered(table)
    elif isinstance(table, Mapping):
        yield from ((str(name), values) for name, values in table.items())
    elif hasattr(table, "column_names"):
        yield from ((str(name), table.column(i)) for i, name in enumerate(table.column_names))
    elif hasattr(table, "iloc"):  # by place: a label may come twice
        yield from ((str(name), table.iloc[:, i]) for i, name in enumerate(table.columns))
    elif hasattr(table, "columns"):
        yield from ((str(name), table[name]) for name in table.columns)
    else:
        matrix = table.toarray() if hasattr(table, "toarray") else table
        yield from ((f"x{i}", matrix[:, i]) for i in range(matrix.shape[1]))


def _gathered(rows: Sequence[Mapping[Any, Any]]) -> Iterator[tuple[str, Sequence[Any]]]:
    """The columns of rows whose names may differ: what a row lacks is missing."""
    keys: dict[str, list[Any]] = {}
    for key in dict.fromkeys(key for row in rows for key in row):
        keys.setdefault(wire_name(str(key)), []).append(key)
    for alike in keys.values():
        if len(alike) == 1:
            yield str(alike[0]), [row.get(alike[0]) for row in rows]
            continue
        found = [[row[key] for key in alike if key in row] for row in rows]  # names that are one to the agent
        for place in range(max(map(len, found))):
            yield str(alike[0]), [values[place] if place < len(values) else None for values in found]
