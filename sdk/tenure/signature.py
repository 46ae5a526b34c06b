"""How a call's arguments become features: what the decorator works out once, so that no call has to."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from tenure.capture import is_table, snapshot_table


class Binding:
    """Reads one function's arguments.

    A single mapping, table or array argument holds the features; otherwise the arguments are features by their names.

    Parameters
    ----------
    function
        The watched function; a first parameter named self or cls is left out.
    id, time
        Names that hold the prediction's id and event time.
    """

    def __init__(self, function: Callable[..., Any], id: str | None, time: str | None) -> None:
        self.id, self.time = id, time
        self._names: list[str] = []
        self._skip = 0
        try:
            parameters = inspect.signature(function).parameters.values()
        except (TypeError, ValueError):  # a builtin without a signature: its arguments are numbered
            return
        self._names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        self._skip = int(bool(self._names) and self._names[0] in {"self", "cls"})

    def snapshot(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """A dict of features, or a snapshot of a table with its number of rows."""
        if len(args) == self._skip + 1 and not kwargs:
            value = args[-1]
            if type(value) is dict:
                return value.copy()
        elif len(args) == self._skip and len(kwargs) == 1:
            value = next(iter(kwargs.values()))
        else:
            return self._named(args, kwargs)
        if isinstance(value, Mapping):
            return dict(value)
        if is_table(value):
            return snapshot_table(value)
        if getattr(value, "ndim", 0) == 1:
            return {f"x{i}": item for i, item in enumerate(value.tolist())}
        return self._named(args, kwargs)

    def _named(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        features: dict[str, Any] = {}
        for i, value in enumerate(args[self._skip :], self._skip):
            name = self._names[i] if i < len(self._names) else f"arg{i}"
            if isinstance(value, Mapping):
                features.update(value)
            else:
                features[name] = value
        for name, value in kwargs.items():
            if isinstance(value, Mapping):
                features.update(value)
            else:
                features[name] = value
        return features
