"""Live rows as a reference is built from them: gone through as often as is asked for, never held whole."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from tenure.errors import TenureError
from tenure_agent.bins import CATEGORICAL, NUMERIC, Array
from tenure_agent.builder import SAMPLE, STRETCH, Key, Lazy
from tenure_agent.store import stretches
from tenure_agent.store.catalogue import Model
from tenure_agent.store.database import Cursor
from tenure_agent.store.stretches import Stretch
from tenure_agent.stored_rows import read_column

Ask = Callable[[Callable[[Cursor], dict[str, Array]]], dict[str, Any]]


class RowsGone(TenureError):
    """Rows of a reference were removed while it was built."""


class LiveRows:
    """Rows of a store; each pass over them has as many as there were at first, or fails.

    Parameters
    ----------
    ask
        Runs a query on the store and waits for what it finds.
    stretch
        All of the rows; `pieces` are what is read of them at once, in order.
    """

    def __init__(self, ask: Ask, model: Model, stretch: Stretch, pieces: Sequence[Stretch]) -> None:
        self._ask, self._model, self._stretch, self._pieces = ask, model, stretch, pieces
        self._columns = dict(model.columns)
        self._kinds: dict[Key, str] = {}  # a column that holds numbers and texts is read as one of them throughout

    @property
    def rows(self) -> int:
        return sum(piece.rows for piece in self._pieces)

    def sample(self) -> Mapping[Key, Array]:
        """About 200,000 rows in short runs spread over all, or all where there are no more; read as they are asked for."""
        return Lazy(list(self._columns), self._sampled)

    def _sampled(self, key: Key) -> Array:
        column, every = self._columns[key], -(-self.rows // SAMPLE)
        rows = self._ask(lambda cursor: stretches.sample(cursor, self._model, self._stretch, [column], every, STRETCH))
        values = read_column(column, rows)
        self._kinds[key] = CATEGORICAL if values.dtype.kind == "O" else NUMERIC
        return values

    def chunks(self, wanted: Collection[Key]) -> Iterator[Mapping[Key, Array]]:
        """All rows, each piece in the order of event time, of the wanted columns.

        Raises
        ------
        RowsGone
            Some of them are no longer stored.
        """
        columns = {key: column for key, column in self._columns.items() if key in wanted}
        for piece in self._pieces if columns else ():
            rows = self._ask(partial(stretches.read, model=self._model, piece=piece, columns=list(columns.values())))
            if len(rows["time"]) != piece.rows:
                raise RowsGone("rows were removed while the reference was built from them")
            order = np.argsort(rows["time"], kind="stable")
            yield {key: read_column(column, rows, self._kinds.get(key))[order] for key, column in columns.items()}
