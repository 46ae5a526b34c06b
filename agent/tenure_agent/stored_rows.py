"""Rows as they are stored, into columns and summaries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tenure_agent.bins import CATEGORICAL, as_texts
from tenure_agent.model_config import ModelConfig
from tenure_agent.records import FEATURE
from tenure_agent.reference import Reference
from tenure_agent.segments import MOST_VALUES, Segment, numbers
from tenure_agent.store.catalogue import Column, Model
from tenure_agent.store.predictions import CHAMPION
from tenure_agent.summary import Summary
from tenure_agent.tally import summarise

Array = npt.NDArray[Any]

ROLES = 256  # as many as a row can hold
SEGMENTS = MOST_VALUES + 1  # of a feature
AT_ONCE = 64  # buckets summarised together


def declared_columns(model: Model, config: ModelConfig) -> dict[str, str]:
    """Column name → what it is to be taken for."""
    times = {column.name: "ignore" for column in model.columns.values() if column.kinds == {"DATETIME"}}
    return times | dict(config.columns)  # time always moves on


def needed(model: Model, reference: Reference, features: Sequence[str] = ()) -> Sequence[Column]:
    """The stored columns a reference speaks of, and some features besides."""
    keys = dict.fromkeys([*(column.key for column in reference.columns), *((FEATURE, name) for name in features)])
    return [model.columns[key] for key in keys if key in model.columns]


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
    return [
        ((key % ROLES, key // ROLES * bucket), one)
        for key, one in _grouped(model, reference, rows, rows["time"] // bucket * ROLES + rows["role"])
    ]


def pieces(
    rows: Mapping[str, Array], spans: tuple[int, int], features: int, most: int
) -> Iterator[Mapping[str, Array]]:
    """Rows just read, in parts that make about so many summaries at most, in order of time; as they are if that is one.

    Parameters
    ----------
    spans
        Microseconds that a summary covers, and one of a segment.
    features
        That have segments.
    """
    order = np.argsort(rows["time"], kind="stable")
    times = rows["time"][order]
    made = (_rank(times // spans[0]) == 0) + features * (_rank(times // spans[1]) < SEGMENTS)
    part = (np.cumsum(made) - 1) // most
    if not len(part) or part[-1] == 0:
        yield rows
        return
    for here in np.split(order, np.flatnonzero(np.diff(part)) + 1):
        yield {name: array[here] for name, array in rows.items()}


def _rank(keys: Array) -> Array:
    """int64 per row: how many rows before it have the same key."""
    _, codes = np.unique(keys, return_inverse=True)
    order = np.argsort(codes, kind="stable")
    rank = np.empty(len(keys), np.int64)
    rank[order] = np.arange(len(keys)) - np.searchsorted(codes[order], codes[order])
    return rank


def segment_summaries_of(
    model: Model, reference: Reference, segments: Sequence[Segment], rows: Mapping[str, Array], bucket: int
) -> list[tuple[tuple[str, int], Summary]]:
    """Name of the segment, time and summary of champion rows just read, by buckets of event time."""
    done: list[tuple[tuple[str, int], Summary]] = []
    champions = np.flatnonzero(rows["role"] == CHAMPION)
    for feature in dict.fromkeys(one.feature for one in segments) if len(champions) else ():
        own = [one for one in segments if one.feature == feature]
        values = [one.value for one in own if one.value is not None]
        kept = {name: array[champions] for name, array in rows.items()}
        column = model.columns.get((FEATURE, feature))
        if column is None:
            of = np.full(len(champions), len(values), np.int64)
        else:
            of = numbers(read_column(column, kept, CATEGORICAL if column.has_texts else None), values)
        known = np.flatnonzero(of < len(own))  # the others may have too few rows in the reference to be judged
        kept = {name: array[known] for name, array in kept.items()}
        found = _grouped(model, reference, kept, kept["time"] // bucket * SEGMENTS + of[known])
        done += [((own[key % SEGMENTS].name, key // SEGMENTS * bucket), one) for key, one in found]
    return done


def _grouped(model: Model, reference: Reference, rows: Mapping[str, Array], keys: Array) -> list[tuple[int, Summary]]:
    """Summaries of rows with the same key."""
    found, groups = np.unique(keys, return_inverse=True)
    order = slice(None) if (np.diff(groups) >= 0).all() else np.argsort(groups, kind="stable")
    groups = groups[order]
    values = {
        column.key: read_column(model.columns[column.key], rows, column.kind)[order]
        for column in reference.columns
        if column.key in model.columns
    }
    done: list[tuple[int, Summary]] = []
    for low in range(0, len(found), AT_ONCE):
        here = slice(*np.searchsorted(groups, (low, low + AT_ONCE)).tolist())
        part = found[low : low + AT_ONCE].tolist()
        made = summarise(
            reference.layout, {key: array[here] for key, array in values.items()}, groups[here] - low, len(part)
        )
        done += zip(part, made, strict=True)
    return done
