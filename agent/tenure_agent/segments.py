"""Segments: the rows of a model version that share a value of one feature, and what they looked like in its reference.

Every row is in one segment of each feature: that of its value where the reference knows it, else that of all others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tenure_agent.bins import Array, as_texts, counted
from tenure_agent.summary import Summary

OTHER = "(other)"  # of a name: rows with any other value, or none
MOST_VALUES = 8  # of a feature, beside the others
LONGEST = 100  # characters of a value that has a segment
FEWEST = (
    240  # rows of a reference that a segment needs: twelve blocks, so that windows of it can be held against the rest
)


@dataclass(frozen=True, eq=False)
class Segment:
    """One segment of a reference.

    Parameters
    ----------
    value
        As text; None: all others.
    summary
        Of its rows, over the reference's bins.
    blocks
        int64 (blocks, coarse bins of this summary): how many rows of each equal stretch of the segment's own rows, in time
        order, fell into which coarse bin.
    """

    feature: str
    value: str | None
    summary: Summary
    blocks: Array

    @property
    def name(self) -> str:
        """As people read it: country=DE."""
        return f"{self.feature}={OTHER if self.value is None else self.value}"

    @property
    def rows(self) -> int:
        return int(self.summary.seen.max(initial=0))


def numbers(values: Array, known: Sequence[str]) -> Array:
    """int64 per row: which of some values it has; of any other, and of none, how many there are.

    Parameters
    ----------
    values
        Numbers with NaN, or objects (text) with None.
    """
    if values.dtype.kind != "O":
        distinct, codes = np.unique(values, return_inverse=True)
        found: Array = numbers(as_texts(distinct), known)[codes]
        return found
    index, other = {value: i for i, value in enumerate(known)}, len(known)
    return np.fromiter((index.get(value, other) for value in values), np.int64, len(values))


def top_values(values: Array) -> tuple[str, ...]:
    """The most frequent values that can be named, the most frequent first."""
    if values.dtype.kind != "O":
        distinct, rows = np.unique(values[~np.isnan(values.astype(np.float64))], return_counts=True)
        distinct = as_texts(distinct)
    else:
        distinct, rows = counted(values)
    pairs = sorted(zip((-rows).tolist(), distinct.tolist(), strict=True))
    named = [name for _, name in pairs if name.isprintable() and 0 < len(name) <= LONGEST and name != OTHER]
    return tuple(named[:MOST_VALUES])
