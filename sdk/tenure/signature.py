"""How a call's arguments become features: what the decorator works out once, so that no call has to."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from tenure.features import Rows, features_of, features_of_row, flattened, is_row, table_of


class Binding:
    """Reads one function's arguments.

    The one argument that is a row or rows holds the features, and plain arguments beside a row are features too; where
    there is none, or several, the arguments are features by their names.

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

    @property
    def arity(self) -> int:
        """Positional arguments of a call whose last one holds the features."""
        return self._skip + 1

    @property
    def simple(self) -> bool:
        """Neither id nor time is to be looked for."""
        return self.id is None and self.time is None

    def snapshot(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any] | Rows:
        """The features of a call, copied."""
        if len(args) == self.arity and not kwargs:
            found = features_of(args[-1])
        elif len(args) == self._skip and len(kwargs) == 1:
            found = features_of(next(iter(kwargs.values())))
        else:
            found = None
        return self._named(args, kwargs) if found is None else found

    def _named(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any] | Rows:
        places = enumerate(args[self._skip :], self._skip)
        named = {self._names[i] if i < len(self._names) else f"arg{i}": value for i, value in places} | dict(kwargs)
        holders = [name for name, value in named.items() if is_row(value)]
        tables = [rows for rows in map(table_of, named.values()) if rows is not None]
        if len(tables) == 1 and not holders:
            return tables[0]  # what stands beside it is the same for every row
        if len(holders) == 1:
            row = named.pop(holders[0])
            return features_of_row(row) | flattened(named)
        return flattened(named)
