"""What one cell of a row may hold: a plain value that the caller can no longer change, or the mark of what is none.

Everything is recognised by its shape, not its type: no library is imported here.
"""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Mapping
from typing import Any

from tenure.capture import MISSING_TYPES, MOST_NAME, PLAIN, UNSUPPORTED, wire_text

MAX_DEPTH = 8  # of what is nested
_KEPT = (dt.date, dt.time, dt.timedelta)  # cannot be changed; the sender turns them into numbers or texts
_KEPT_TYPES = MISSING_TYPES | {"UUID", "datetime64", "timedelta64"}


def plain(value: Any) -> Any:
    """A single value that the caller can no longer change; what holds several, or cannot be read, is UNSUPPORTED."""
    if type(value) in PLAIN:
        return value
    try:
        return _settled(value)
    except Exception:  # noqa: BLE001  # a host's object may raise anything when it is read
        return UNSUPPORTED


def _settled(value: Any) -> Any:
    if isinstance(value, _KEPT) or type(value).__name__ in _KEPT_TYPES:
        return value
    if isinstance(value, enum.Enum):
        return plain(value.value)
    if isinstance(value, str):
        return str.__str__(value)
    if hasattr(value, "as_py"):  # a scalar of Arrow
        return plain(value.as_py())
    dimensions = getattr(value, "ndim", None)
    if dimensions == 0:  # a scalar of numpy or torch
        if hasattr(value, "filled") or getattr(value.dtype, "kind", "") in {"m", "M"}:
            return plain(value[()])  # item() gives a masked value as 0, and nanoseconds as a bare number
        value = value.item()
    if type(value) in PLAIN:
        return value
    return UNSUPPORTED if dimensions or not hasattr(value, "__float__") else _number(value)


def _number(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def array_of(tensor: Any) -> Any:
    """A tensor's values as an array of its own: numpy() alone shares the tensor's memory."""
    tensor = tensor.detach().cpu()
    try:
        return tensor.numpy().copy()
    except TypeError:  # a type numpy has not: bfloat16
        return tensor.float().numpy().copy()


def values_of(vector: Any) -> list[Any]:
    """The values of an array, Series or column."""
    if getattr(getattr(vector, "dtype", None), "kind", "") in {"m", "M"} and not hasattr(vector, "iloc"):
        return list(vector)  # tolist() gives nanoseconds as bare numbers
    method = next(name for name in ("tolist", "to_pylist", "to_list") if hasattr(vector, name))
    found: list[Any] = getattr(vector, method)()
    return found


def is_vector(value: Any) -> bool:
    """True for a 1-D array, a Series, or a single column of polars or Arrow."""
    dimensions = getattr(value, "ndim", None)
    if dimensions is None:
        return hasattr(value, "__len__") and (hasattr(value, "to_list") or hasattr(value, "to_pylist"))
    return bool(dimensions == 1) and hasattr(value, "tolist")


def fields_of(value: Any) -> Mapping[str, Any] | None:
    """The fields of a dataclass, pydantic model or NamedTuple; None for anything else."""
    kind = type(value)
    if hasattr(kind, "__dataclass_fields__"):
        return {name: getattr(value, name, UNSUPPORTED) for name in kind.__dataclass_fields__}
    if hasattr(kind, "model_fields"):
        declared = {name: getattr(value, name, UNSUPPORTED) for name in kind.model_fields}
        return declared | (getattr(value, "model_extra", None) or {})
    if isinstance(value, tuple) and hasattr(kind, "_fields"):
        return dict(zip(kind._fields, value, strict=True))
    return None


def wire_name(name: str) -> str:
    """A name as the agent takes it: not empty, at most 256 characters."""
    return wire_text(name)[:MOST_NAME] or "_"
