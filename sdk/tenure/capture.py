"""A call's arguments and result, held as cheaply as they can be until the sender encodes them.

Captures are what waits in the queue. They hold the host's values by snapshot: a dict is copied, an array or frame is
copied as one block. Turning them into columns is the sender's work (columns.py), off the host's path.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

CHAMPION, CHALLENGER, SHADOW = "champion", "challenger", "shadow"
ROLES = (CHAMPION, CHALLENGER, SHADOW)
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class Stream:
    """Where rows belong: one model, version and role."""

    model: str
    version: str
    role: str = CHAMPION


class Row(NamedTuple):
    """One prediction. `time` is microseconds since 1970 UTC, `latency` nanoseconds, `counter` makes the id."""

    stream: Stream
    features: Mapping[str, Any]
    output: Any
    time: int
    counter: int
    id: str | None = None
    latency: int = -1
    error: str | None = None


class Table(NamedTuple):
    """Many predictions of one call. `columns` is a frame or a mapping of sequences, already a snapshot."""

    stream: Stream
    columns: Any
    output: Any
    times: Any  # one moment in microseconds for all rows, or a sequence of moments as they were given
    counter: int
    rows: int
    ids: Any = None
    latency: int = -1
    error: str | None = None
    aside: frozenset[str] = frozenset()  # columns that hold the id or the time: not features


class Truth(NamedTuple):
    """One delayed outcome of an earlier prediction."""

    model: str
    id: str
    label: Any
    value: float | None
    time: int


Capture = Row | Table | Truth


def micros_of(value: Any) -> int:
    """A moment as microseconds since 1970 UTC: a datetime (naive means UTC), a date, or seconds as `time.time()`."""
    if isinstance(value, dt.datetime):
        moment = value if value.tzinfo is not None else value.replace(tzinfo=dt.UTC)
        return (moment - EPOCH) // dt.timedelta(microseconds=1)
    if isinstance(value, dt.date):
        return (value - EPOCH.date()).days * 86_400_000_000
    return round(float(value) * 1_000_000)


def wire_text(text: str) -> str:
    """Text as UTF-8 can carry it: a lone surrogate becomes U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def rows_in(capture: Capture) -> int:
    return capture.rows if type(capture) is Table else 1


def model_of(capture: Capture) -> str:
    return capture.model if type(capture) is Truth else capture.stream.model  # type: ignore[union-attr]


def is_table(value: Any) -> bool:
    """True for a data frame, a 2-D array or a list of dicts: many rows in one call."""
    if isinstance(value, list):
        return bool(value) and isinstance(value[0], Mapping)
    return getattr(value, "ndim", None) == 2 or (hasattr(value, "columns") and hasattr(value, "shape"))


def snapshot_table(value: Any) -> tuple[Any, int]:
    """A copy of a table that the caller can no longer change, and its number of rows."""
    if isinstance(value, list):
        return [dict(row) for row in value], len(value)
    if hasattr(value, "columns"):
        copy = value.clone() if hasattr(value, "clone") else value.copy()
        return copy, len(value)
    return value.copy(), int(value.shape[0])


def snapshot_output(value: Any) -> Any:
    """A copy of what predict returned, where the caller could still change it."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, list):
        return list(value)
    copy = getattr(value, "copy", None)
    return copy() if copy is not None and getattr(value, "ndim", 0) > 0 else value


def columns_of(table: Any) -> dict[str, Sequence[Any]]:
    """Columns by name. Called in the sender, so that even this costs the host nothing."""
    if isinstance(table, list):
        names = list(dict.fromkeys(name for row in table for name in row))
        return {str(name): [row.get(name) for row in table] for name in names}
    if isinstance(table, Mapping):
        return {str(name): values for name, values in table.items()}
    if hasattr(table, "columns"):
        return {str(name): table[name] for name in table.columns}
    return {f"x{i}": table[:, i] for i in range(table.shape[1])}
