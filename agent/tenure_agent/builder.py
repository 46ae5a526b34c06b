"""References from rows: gone through a few times, never held whole."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tenure_agent.bins import Array, Layout, build_column
from tenure_agent.coarse import Coarse
from tenure_agent.covariance import fit
from tenure_agent.discretion import discreet
from tenure_agent.losses import LossProfile
from tenure_agent.reference import Reference
from tenure_agent.summary import Summary, merge
from tenure_agent.tally import summarise

MAX_BLOCKS, MIN_BLOCK_ROWS = 256, 20
AT_ONCE = 16  # blocks in memory
SAMPLE, STRETCH = 200_000, 64  # rows that bins are chosen by, in stretches of so many
Key = tuple[str, str]


class Source(Protocol):
    """Rows in time order that can be gone through more than once.

    Columns are by (part, name), part being "feature" or "output": float64 with NaN, bool, datetime64, or objects (text)
    with None.
    """

    @property
    def rows(self) -> int: ...

    def sample(self) -> Mapping[Key, Array]:
        """All rows, or enough of them, spread evenly, to choose bins by."""

    def chunks(self, wanted: Collection[Key]) -> Iterator[Mapping[Key, Array]]:
        """All rows in order; no other columns than the wanted ones are needed."""


@dataclass(frozen=True)
class Rows:
    """Whole columns in memory."""

    columns: Mapping[Key, Array]

    @property
    def rows(self) -> int:
        return max((len(values) for values in self.columns.values()), default=0)

    def sample(self) -> Mapping[Key, Array]:
        return self.columns

    def chunks(self, wanted: Collection[Key]) -> Iterator[Mapping[Key, Array]]:
        yield {key: values for key, values in self.columns.items() if key in wanted}


class Lazy(Mapping[Key, Array]):
    """Columns that are read when they are asked for, and not kept."""

    def __init__(self, keys: Sequence[Key], read: Callable[[Key], Array]) -> None:
        self._keys, self._get = tuple(keys), read

    def __getitem__(self, key: Key) -> Array:
        if key not in self._keys:
            raise KeyError(key)
        return self._get(key)

    def __iter__(self) -> Iterator[Key]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)


def build_reference(
    model: str,
    version: str,
    source: Source,
    *,
    declared: Mapping[str, str] | None = None,
    losses: Sequence[LossProfile] = (),
    told: str = "",
    span: tuple[int, int] = (0, 0),
    notices: Sequence[str] = (),
) -> Reference:
    """A reference from rows, gone through for the bins, for the counts, for the blocks, and twice for what goes together.

    Parameters
    ----------
    declared
        Column name → numeric, categorical, boolean or ignore.
    told
        Where the rows are from, in words.
    span
        Event times of the first and the last row, in microseconds since 1970 UTC.
    notices
        What a person should know of the rows, beside what is found here.
    """
    bins, noticed = [], list(notices)
    for (part, name), values in source.sample().items():
        column = build_column(name, part, values, (declared or {}).get(name))
        if isinstance(column, str):
            noticed.append(f"{name}: left out, {column}")
        else:
            bins.append(column)
    layout = Layout(bins)
    n = min(MAX_BLOCKS, source.rows // MIN_BLOCK_ROWS) if bins else 0
    summary = merge(layout, (found for _, found in _parts(layout, source, n)))
    coarse = Coarse(layout, summary)
    blocks = np.zeros((n, int(coarse.starts[-1])), np.int64)
    for block, found in _parts(layout, source, n) if n else ():
        blocks[block] += coarse.counts(found)
    covariance = fit(layout, summary, source.chunks, source.rows, n)
    shown = discreet(layout, summary)
    return Reference(
        model,
        version,
        layout.columns,
        shown,
        blocks,
        span,
        tuple(losses),
        told,
        tuple(noticed),
        covariance=covariance,
    )


def _parts(layout: Layout, source: Source, blocks: int) -> Iterator[tuple[int, Summary]]:
    """Summaries of a source's rows, none of more than one block, with the block's number."""
    done = 0
    for columns in source.chunks({column.key for column in layout.columns}):
        length = max((len(values) for values in columns.values()), default=0)
        yield from in_blocks(layout, columns, length, done, source.rows, blocks)
        done += length


def in_blocks(
    layout: Layout, columns: Mapping[tuple[str, str], Array], length: int, done: int, rows: int, blocks: int
) -> Iterator[tuple[int, Summary]]:
    """Summaries of the next `length` rows of `rows`, none of more than one block, with the block's number.

    Parameters
    ----------
    done
        How many rows came before.
    blocks
        How many of equal length all rows make.
    """
    if not length:
        return
    block = (np.arange(done, done + length) * max(blocks, 1)) // max(rows, 1)
    for low in range(int(block[0]), int(block[-1]) + 1, AT_ONCE):
        here = slice(*np.searchsorted(block, (low, low + AT_ONCE)).tolist())
        groups = block[here] - low
        found = summarise(layout, {key: values[here] for key, values in columns.items()}, groups, AT_ONCE)
        present = np.unique(groups).tolist()
        yield from ((low + group, found[group]) for group in present)
