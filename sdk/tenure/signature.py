"""How a call's arguments become features: what the decorator works out once, so that no call has to."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from tenure.capture import UNSUPPORTED
from tenure.errors import SettingError
from tenure.features import Rows, features_of, features_of_row, flattened, is_row, table_of

Identify = str | Callable[..., Any] | None


class Binding:
    """Reads one function's arguments.

    The one argument that is a row or rows holds the features, and plain arguments beside a row are features too; where
    there is none, or several, the arguments are features by their names.

    Parameters
    ----------
    function
        The watched function; a first parameter named self or cls is left out.
    id
        The name that holds the prediction's id, or a function of the same arguments (less self) that tells it.
    time
        The name that holds the event time.
    """

    def __init__(self, function: Callable[..., Any], id: Identify, time: str | None) -> None:
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
    def shallow(self) -> bool:
        """What has to be known of a call stands in its row, as it is."""
        return self.time is None and not callable(self.id)

    def id_of(self, value: dict[str, Any] | Rows, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """The id of one row, taken out of it; of many, the name of a column or one id per row. None: not given."""
        if callable(self.id):
            found = self.id(*args[self._skip :], **kwargs)
            if isinstance(value, Rows) and isinstance(found, str):
                raise SettingError("id", found, f"one id for each of {value.count} rows")
        elif isinstance(value, Rows):
            return self.id
        else:
            found = value.pop(self.id, None) if self.id is not None else None
        if found is UNSUPPORTED:
            raise SettingError("id", self.id, "a feature that is a text or a number")
        return found if found is None or isinstance(value, Rows) else str(found)

    def snapshot(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any] | Rows:
        """The features of a call, copied."""
        if len(args) == self.arity and not kwargs:
            found = features_of(args[-1], self._names[self._skip] if len(self._names) > self._skip else "input")
        elif len(args) == self._skip and len(kwargs) == 1:
            [(name, value)] = kwargs.items()
            found = features_of(value, name)
        else:
            found = None
        return self._named(args, kwargs) if found is None else found

    def _named(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any] | Rows:
        places = enumerate(args[self._skip :], self._skip)
        named = {self._names[i] if i < len(self._names) else f"arg{i}": value for i, value in places} | dict(kwargs)
        holders = [name for name, value in named.items() if is_row(value)]
        tables = [rows for rows in (_table(value, name) for name, value in named.items()) if rows is not None]
        if len(tables) == 1 and not holders:
            return tables[0]  # what stands beside it is the same for every row
        if len(holders) == 1:
            row = named.pop(holders[0])
            return features_of_row(row) | flattened(named)
        return flattened(named)


def _table(value: Any, name: str) -> Rows | None:
    rows = isinstance(value, list | tuple) and any(map(is_row, value[:1]))
    found = features_of(value, name) if rows else table_of(value, name)
    return found if isinstance(found, Rows) else None
