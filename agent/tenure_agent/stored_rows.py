"""Rows as they are stored, into columns and summaries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tenure_agent.bins import CATEGORICAL, as_texts
from tenure_agent.model_config import ModelConfig
from tenure_agent.reference import Reference
from tenure_agent.store.catalogue import Column, Model
from tenure_agent.summary import Summary
from tenure_agent.tally import summarise

Array = npt.NDArray[Any]

ROLES = 256  # as many as a row can hold
AT_ONCE = 64  # buckets summarised together


def declared_columns(model: Model, config: ModelConfig) -> dict[str, str]:
    """Column name → what it is to be taken for."""
    times = {column.name: "ignore" for column in model.columns.values() if column.kinds == {"DATETIME"}}
    return times | dict(config.columns)  # time always moves on


def needed(model: Model, reference: Reference) -> Sequence[Column]:
    """The stored columns a reference speaks of."""
    return [model.columns[column.key] for column in reference.columns if column.key in model.columns]


def read_column(column: Column, rows: Mapping[str, Array], kind: str | None = None) -> Array:
    """A stored column as float64 or as text objects; where it holds both, as `kind` asks or as the fuller one."""
    numbers, texts = rows.get(f"n{column.number}"), rows.get(f"t{column.number}")
    if texts is None:
        only: Array = rows[f"n{column.number}"]
        return as_texts(only) if kind == CATEGORICAL else only
    if numbers is None:
        return texts
    if (kind is not None and kind != CATEGORICAL) or (
        kind is None and np.isfinite(numbers).sum() > sum(text is not None for text in texts)
    ):
        return numbers
    return np.where([text is not None for text in texts], texts, as_texts(numbers))


def summaries_of(
    model: Model, reference: Reference, rows: Mapping[str, Array], bucket: int
) -> list[tuple[tuple[int, int], Summary]]:
    """Role, time and summary of rows just read, by buckets of event time."""
    keys, groups = np.unique(rows["time"] // bucket * ROLES + rows["role"], return_inverse=True)
    order = slice(None) if (np.diff(groups) >= 0).all() else np.argsort(groups, kind="stable")
    groups = groups[order]
    values = {
        column.key: read_column(model.columns[column.key], rows, column.kind)[order]
        for column in reference.columns
        if column.key in model.columns
    }
    done: list[tuple[tuple[int, int], Summary]] = []
    for low in range(0, len(keys), AT_ONCE):
        here = slice(*np.searchsorted(groups, (low, low + AT_ONCE)).tolist())
        part = keys[low : low + AT_ONCE].tolist()
        found = summarise(
            reference.layout, {key: array[here] for key, array in values.items()}, groups[here] - low, len(part)
        )
        done += [((key % ROLES, key // ROLES * bucket), one) for key, one in zip(part, found, strict=True)]
    return done
