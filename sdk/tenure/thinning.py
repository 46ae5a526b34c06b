"""Calls on more rows than may be captured: every second, third, … row stands for all, evenly, whatever their order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from tenure.answer import Answer
from tenure.capture import PLAIN

TOO_MANY_ROWS = "too_many_rows"


@dataclass(frozen=True, slots=True)
class Thinning:
    """Takes every `step`-th of `rows` rows."""

    rows: int
    step: int

    @property
    def left_out(self) -> int:
        return self.rows - -(-self.rows // self.step)

    def of(self, value: Any) -> Any:
        """The rows taken, of what has one value per row; anything else as it is."""
        if isinstance(value, Answer):
            return replace(value, value=self.of(value.value))
        if _length(value) != self.rows:
            return value
        if hasattr(value, "to_pylist"):  # Arrow
            return value.take(list(range(0, self.rows, self.step)))
        if hasattr(value, "tocsr"):  # a sparse matrix of a kind that may have no rows to take
            return value.tocsr()[:: self.step]
        if hasattr(value, "gather_every"):  # polars
            return value.gather_every(self.step)
        return value.iloc[:: self.step] if hasattr(value, "iloc") else value[:: self.step]


def thinning(arguments: Iterable[Any], most: int) -> Thinning | None:
    """What has to be done so that none of a call's arguments has more than `most` rows; None: nothing."""
    rows = max(map(_rows, arguments), default=0)
    return Thinning(rows, -(-rows // most)) if rows > most else None


def _rows(argument: Any) -> int:
    """How many rows it holds; 0 where it is one row, or none, or cannot be told."""
    try:
        return _told(argument)
    except Exception:  # noqa: BLE001  # a host's object may raise anything when it is read
        return 0


def _told(argument: Any) -> int:
    length = _length(argument)
    if length < 2 or len(getattr(argument, "shape", ())) > 1 or hasattr(type(argument), "to_pylist"):
        return length
    first = argument.iloc[0] if hasattr(argument, "iloc") else argument[0]
    one_row = type(first) is not str and (type(first) in PLAIN or getattr(first, "ndim", None) == 0)
    return 0 if one_row else length


def _length(value: Any) -> int:
    """Values in a list, array, frame or Arrow table; 0 for anything else."""
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple):
        return int(shape[0]) if shape else 0
    if isinstance(value, list) or type(value) is tuple or hasattr(value, "to_pylist"):
        return len(value)
    return 0
