"""Parts of what was captured: halves of a table too large to send, and the rows that are in the sample."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tenure.capture import COUNTER, ID, UNSUPPORTED, Capture, Row, Table, Tick, Truth, is_missing, model_of, wire_text
from tenure.cells import plain
from tenure.table_outputs import Named, table_outputs

MOST_ID = 4096


def parted(table: Table, count: int) -> Iterator[Table]:
    """The table as that many tables, of about as many rows each."""
    said = said_of(table)
    for i in range(count):
        start, end = table.rows * i // count, table.rows * (i + 1) // count
        cut = slice(start, end)
        yield table._replace(
            columns=_part(table.columns, cut),
            output=Named({name: _part(values, cut) for name, values in said.items()}),
            times=table.times if isinstance(table.times, int) else _part(table.times, cut),
            ids=None if table.ids is None else _part(table.ids, cut),
            counter=table.counter + start,
            rows=end - start,
        )


def width_of(table: Table) -> int:
    """How many columns it has, about."""
    columns = table.columns
    if isinstance(columns, list):
        return len(columns[0])
    return len(columns) if isinstance(columns, Mapping) else int(columns.shape[1])


def said_of(table: Table) -> Named:
    """What predict returned for the rows, by name."""
    return table_outputs(table.output, table.rows, table.stream.screen)


def _part(values: Any, cut: slice) -> Any:
    if isinstance(values, Mapping):
        return {name: _part(column, cut) for name, column in values.items()}
    if hasattr(values, "to_pylist"):  # Arrow
        return values.slice(cut.start, cut.stop - cut.start)
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
    return capture[ID] or f"{prefix}-{capture[COUNTER]}"


def wire_id(given: str) -> str:
    """An id as the agent takes it. What is cut is cut of the prediction's and its outcome's alike: they still meet."""
    return wire_text(given)[:MOST_ID]


def table_ids(table: Table, prefix: str) -> list[str]:
    if table.ids is None:
        return [f"{prefix}-{counter}" for counter in range(table.counter, table.counter + table.rows)]
    ids = table.ids.to_pylist() if hasattr(table.ids, "to_pylist") else table.ids
    kept = (UNSUPPORTED if is_missing(one := plain(given)) else one for given in ids)
    texts = ("" if one is UNSUPPORTED else wire_id(str(one)) for one in kept)
    return [text or f"{prefix}-{counter}" for counter, text in enumerate(texts, table.counter)]


def _picked_rows(table: Table, rows: Sequence[int], ids: Sequence[str]) -> Table:
    """The table with those rows alone; their ids are then told one by one."""
    return table._replace(
        columns=_picked(table.columns, rows),
        output=Named({name: _picked(values, rows) for name, values in said_of(table).items()}),
        times=table.times if isinstance(table.times, int) else _picked(table.times, rows),
        ids=[ids[i] for i in rows],
        rows=len(rows),
    )


def _picked(values: Any, rows: Sequence[int]) -> Any:
    if isinstance(values, Mapping):
        return {name: _picked(column, rows) for name, column in values.items()}
    if hasattr(values, "iloc"):
        return values.iloc[rows]
    if hasattr(values, "to_pylist"):  # Arrow
        return values.take(rows)
    return values[rows] if hasattr(values, "shape") else [values[i] for i in rows]
