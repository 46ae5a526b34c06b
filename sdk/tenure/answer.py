"""What predict returned, held so that the caller can no longer change it. What it means is worked out by the sender."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from tenure.capture import PLAIN, UNSUPPORTED
from tenure.cells import MAX_DEPTH, array_of, fields_of, plain


@dataclass(frozen=True, slots=True)
class Answer:
    """An output of which it is known what it is, as a wrapped model's verbs tell.

    Parameters
    ----------
    value
        What the verb returned.
    probabilities
        Whether its vectors hold class probabilities, or else several outputs; None: their values decide.
    classes
        Names of the classes, where the model tells them.
    """

    value: Any
    probabilities: bool | None = None
    classes: Any = None


def snapshot_output(value: Any) -> Any:
    """A copy of what predict returned; a value of its own marks what cannot be copied, and is counted by the sender."""
    if type(value) in PLAIN:
        return value
    if isinstance(value, Answer):
        return replace(value, value=snapshot_output(value.value))
    return _held(value, 0)


def _held(value: Any, depth: int) -> Any:
    if type(value) in PLAIN:
        return value
    try:
        return _copied(value, depth) if depth <= MAX_DEPTH else UNSUPPORTED
    except Exception:  # noqa: BLE001  # a host's object may raise anything when it is read; its row is kept
        return UNSUPPORTED


def _copied(value: Any, depth: int) -> Any:
    inner = value if isinstance(value, Mapping) else fields_of(value)
    if inner is not None:
        return _flat(inner, depth + 1)
    if isinstance(value, list | tuple):
        if PLAIN.issuperset(map(type, value)):
            return list(value)
        return [_held(one, depth + 1) for one in value]
    if isinstance(value, set | frozenset):
        return frozenset(value)
    if hasattr(value, "detach"):  # a torch tensor
        value = array_of(value)
    dimensions = getattr(value, "ndim", None)
    if dimensions == 0 or (dimensions is None and not hasattr(value, "__len__")):
        return plain(value)
    copy = getattr(value, "copy", None) or getattr(value, "clone", None)
    if copy is not None:
        return copy()
    return value.tolist() if hasattr(value, "tolist") else value  # Python's own arrays; what else has a length stays


def _flat(mapping: Mapping[Any, Any], depth: int) -> dict[str, Any]:
    """One level of names, those of nested mappings joined by dots."""
    flat: dict[str, Any] = {}
    for name, value in mapping.items():
        held = _held(value, depth)
        flat |= {f"{name}.{inner}": one for inner, one in held.items()} if isinstance(held, dict) else {f"{name}": held}
    return flat
