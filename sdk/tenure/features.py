"""What predict was given, as features: one row as a flat dict, many rows as a snapshot of their table.

Everything is recognised by its shape, not its type: no library is imported here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from tenure.capture import PLAIN, UNSUPPORTED, Stream, Table, micros_of
from tenure.errors import SettingError

MAX_DEPTH = 8


@dataclasses.dataclass(frozen=True, slots=True)
class Rows:
    """A snapshot of many rows: a frame, an Arrow table, a 2-D array, or a list of flat dicts."""

    table: Any
    count: int
    classes: tuple[Any, ...] | None = None  # named by the model, for a matrix of probabilities

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
    ) -> Table:
        """The rows as they wait in the queue. `id` and `time` are the name of a column, or one value per row."""
        aside = frozenset(name for name in (id, time) if isinstance(name, str))
        ids = self._column(id) if isinstance(id, str) else snapshot_output(id)
        times = self._column(time) if isinstance(time, str) else snapshot_output(time)
        if times is None:
            times = now
        elif not hasattr(times, "__len__"):
            times = micros_of(times)
        fixed = (ids, latency, error, aside, now, self.classes)
        return Table(stream, self.table, output, times, counter, self.count, *fixed)

    def _column(self, name: str) -> Any:
        if isinstance(self.table, list):
            return [row.get(name) for row in self.table]
        return self.table[name]


def features_of(value: Any) -> dict[str, Any] | Rows | None:
    """The features in one argument; None where it is not a row or rows but a single value.

    One row: a mapping, dataclass, pydantic model, NamedTuple, labelled Series (features by its index), or a 1-D array,
    tensor or list of numbers (x0, x1, ...). Many: a data frame, Arrow table, 2-D array or tensor, or a list of any of the
    former. What is nested is flattened with dots; what is no plain value is marked, left out and counted by the sender.
    """
    if is_row(value):
        return features_of_row(value)
    if isinstance(value, list | tuple):
        return _listed(value)
    if hasattr(value, "detach"):  # a torch tensor
        value = _array_of(value)
    if getattr(value, "ndim", None) == 1:
        index = getattr(value, "index", None)
        names = [f"x{i}" for i in range(len(value))] if index is None or callable(index) else map(str, index)
        return dict(zip(names, value.tolist(), strict=True))
    return table_of(value)


def _array_of(tensor: Any) -> Any:
    """A tensor's values as an array of its own: numpy() alone shares the tensor's memory."""
    tensor = tensor.detach().cpu()
    try:
        return tensor.numpy().copy()
    except TypeError:  # a type numpy has not: bfloat16
        return tensor.float().numpy().copy()


def is_row(value: Any) -> bool:
    """True for what names its features: a mapping, dataclass, pydantic model or NamedTuple."""
    return isinstance(value, Mapping) or fields_of(value) is not None


def features_of_row(value: Any) -> dict[str, Any]:
    return flattened(value if isinstance(value, Mapping) else fields_of(value) or {})


def table_of(value: Any) -> Rows | None:
    """A snapshot of a data frame, Arrow table or 2-D array; None for anything else."""
    if hasattr(value, "column_names") and hasattr(value, "num_rows"):  # an Arrow table does not change
        return Rows(value, value.num_rows)
    if hasattr(value, "toarray"):  # a sparse matrix has no rows to read
        return None
    if getattr(value, "ndim", None) == 2 or (hasattr(value, "columns") and hasattr(value, "shape")):
        return Rows(value.clone() if hasattr(value, "clone") else value.copy(), len(value))
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


def _listed(value: Sequence[Any]) -> dict[str, Any] | Rows | None:
    if not value:
        return Rows([], 0)
    first = value[0]
    if is_row(first):
        return Rows([features_of_row(row) for row in value], len(value))
    if getattr(first, "ndim", None) == 1 and hasattr(first, "tolist"):
        return _listed([one.tolist() if hasattr(one, "tolist") else one for one in value])
    if isinstance(first, list | tuple):
        return Rows([{f"x{i}": _plain(one) for i, one in enumerate(row)} for row in value], len(value))
    if type(first) in PLAIN:
        return {f"x{i}": _plain(one) for i, one in enumerate(value)}
    return None


def fields_of(value: Any) -> Mapping[str, Any] | None:
    """The fields of a dataclass, pydantic model or NamedTuple; None for anything else."""
    kind = type(value)
    if hasattr(kind, "__dataclass_fields__"):
        return {name: getattr(value, name, UNSUPPORTED) for name in kind.__dataclass_fields__}
    if hasattr(kind, "model_fields"):
        return {name: getattr(value, name, UNSUPPORTED) for name in kind.model_fields}
    if isinstance(value, tuple) and hasattr(kind, "_fields"):
        return dict(zip(kind._fields, value, strict=True))
    return None


def flattened(mapping: Mapping[Any, Any], before: str = "", depth: int = 0) -> dict[str, Any]:
    """A mapping as one level of plain values, the names of nested ones joined by dots."""
    flat: dict[str, Any] = {}
    for key, value in mapping.items():
        name = f"{before}{key}"
        if type(value) in PLAIN:
            flat[name] = value
            continue
        inner = value if isinstance(value, Mapping) else fields_of(value)
        if inner is None:
            flat[name] = _plain(value)
        elif depth < MAX_DEPTH:
            flat |= flattened(inner, f"{name}.", depth + 1)
        else:
            flat[name] = UNSUPPORTED
    return flat


def _plain(value: Any) -> Any:
    """A single value that the caller can no longer change; what holds several is unsupported."""
    if type(value) in PLAIN:
        return value
    if type(value).__name__ in {"datetime64", "timedelta64", "MaskedConstant"}:
        return value  # item() would give nanoseconds as a bare number, and a masked value as 0
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):  # a scalar of numpy or torch
        return value.item()
    several = isinstance(value, list | tuple | set | frozenset | dict | bytearray) or hasattr(value, "__array__")
    return UNSUPPORTED if several and not hasattr(value, "dtype") else _held(value)


def _held(value: Any) -> Any:
    return UNSUPPORTED if getattr(value, "ndim", 0) else value


def snapshot_output(value: Any) -> Any:
    """A copy of what predict returned, where the caller could still change it."""
    if type(value) in PLAIN:
        return value
    if isinstance(value, Mapping):
        return flattened(value)
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        return value
    fields = fields_of(value)
    if fields is not None:
        return flattened(fields)
    if hasattr(value, "detach"):  # a torch tensor
        value = _array_of(value)
    if isinstance(value, list):
        return [snapshot_output(one) if isinstance(one, Mapping) else one for one in value]
    copy = getattr(value, "copy", None) or getattr(value, "clone", None)
    return copy() if copy is not None and getattr(value, "ndim", 0) > 0 else value


def columns_of(table: Any) -> dict[str, Sequence[Any]]:
    """Columns by name. Called in the sender, so that even this costs the host nothing."""
    if isinstance(table, list):
        names = list(dict.fromkeys(name for row in table for name in row))
        return {str(name): [row.get(name) for row in table] for name in names}
    if isinstance(table, Mapping):
        return {str(name): values for name, values in table.items()}
    if hasattr(table, "column_names"):
        return {str(name): table.column(name) for name in table.column_names}
    if hasattr(table, "iloc"):  # by place: a label may come twice
        return {str(name): table.iloc[:, i] for i, name in reversed([*enumerate(table.columns)])}
    if hasattr(table, "columns"):
        return {str(name): table[name] for name in table.columns}
    return {f"x{i}": table[:, i] for i in range(table.shape[1])}
