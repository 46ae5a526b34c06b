"""Parts of what was captured: halves of a table too large to send, and the rows that are in the sample."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tenure.capture import Capture, Row, Table, Tick, Truth, model_of, wire_text
from tenure.columns import is_missing
from tenure.features import columns_of


def halves(table: Table) -> list[Table]:
    middle = table.rows // 2
    parts = []
    for start, end in ((0, middle), (middle, table.rows)):
        cut = slice(start, end)
        parts.append(
            table._replace(
                columns={name: _part(values, cut) for name, values in columns_of(table.columns).items()},
                output=None if table.output is None else _part(table.output, cut),
                times=table.times if isinstance(table.times, int) else _part(table.times, cut),
                ids=None if table.ids is None else _part(table.ids, cut),
                counter=table.counter + start,
                rows=end - start,
            )
        )
    return parts


def _part(values: Any, cut: slice) -> Any:
    return values.iloc[cut] if hasattr(values, "iloc") else values[cut]  # pandas may read a plain slice as labels


def sampled(chunk: Sequence[Capture], prefix: str) -> tuple[Sequence[Capture], Counter[str]]:
    """What is in the sample, and how many rows of each model are not."""
    left_out: Counter[str] = Counter()
    screens = {capture.screen if isinstance(capture, Truth) else capture[0].screen for capture in chunk}
    if all(screen is None or screen.sample >= 1 for screen in screens):
        return chunk, left_out
    kept: list[Capture] = []
    for capture in chunk:
        screen = capture.screen if isinstance(capture, Truth) else capture[0].screen
        if screen is None or screen.sample >= 1:
            kept.append(capture)
        elif isinstance(capture, Table):
            ids = table_ids(capture, prefix)
            rows = [i for i, id_ in enumerate(ids) if screen.keeps(id_)]
            left_out[model_of(capture)] += capture.rows - len(rows)
            if rows:
                kept.append(_picked_rows(capture, rows, ids))
        elif screen.keeps(wire_text(_id_of(capture, prefix))):
            kept.append(capture)
        else:
            left_out[model_of(capture)] += 1
    return kept, +left_out


def _id_of(capture: Row | Tick | Truth, prefix: str) -> str:
    if isinstance(capture, Truth):
        return capture.id
    if isinstance(capture, Row):
        return capture.id or f"{prefix}-{capture.counter}"
    return f"{prefix}-{capture[5]}"


def table_ids(table: Table, prefix: str) -> list[str]:
    if table.ids is None:
        return [f"{prefix}-{counter}" for counter in range(table.counter, table.counter + table.rows)]
    texts = ("" if is_missing(given) else wire_text(str(given)) for given in table.ids)
    return [text or f"{prefix}-{counter}" for counter, text in enumerate(texts, table.counter)]


def _picked_rows(table: Table, rows: Sequence[int], ids: Sequence[str]) -> Table:
    """The table with those rows alone; their ids are then told one by one."""
    return table._replace(
        columns={name: _picked(values, rows) for name, values in columns_of(table.columns).items()},
        output=_picked(table.output, rows),
        times=table.times if isinstance(table.times, int) else _picked(table.times, rows),
        ids=[ids[i] for i in rows],
        rows=len(rows),
    )


def _picked(values: Any, rows: Sequence[int]) -> Any:
    if values is None:
        return None
    if isinstance(values, Mapping):
        return {name: _picked(column, rows) for name, column in values.items()}
    if hasattr(values, "iloc"):
        return values.iloc[rows]
    if hasattr(values, "to_pylist"):  # Arrow
        return values.take(rows)
    return values[rows] if hasattr(values, "shape") else [values[i] for i in rows]
