"""The segments of a reference, from the rows it was built from: gone through twice more, never held whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tenure_agent.bins import Array, Layout
from tenure_agent.builder import MAX_BLOCKS, MIN_BLOCK_ROWS, Source, in_blocks
from tenure_agent.coarse import Coarse
from tenure_agent.discretion import discreet
from tenure_agent.records import FEATURE
from tenure_agent.reference import Reference
from tenure_agent.segments import FEWEST, Segment, numbers, top_values
from tenure_agent.summary import Summary
from tenure_agent.tally import summarise


def with_segments(reference: Reference, source: Source, features: Sequence[str]) -> Reference:
    """A reference with the segments of some features; one that has none to tell apart is noticed.

    Parameters
    ----------
    source
        The rows it was built from.
    """
    layout = reference.layout
    if not features or not len(layout):
        return reference
    sample, notices, known = source.sample(), list(reference.notices), {}
    for name in features:
        values = sample.get((FEATURE, name))
        if values is None or values.dtype.kind == "M":
            notices.append(f"{name}: no segments, it is no feature of these rows")
        elif found := top_values(values):
            known[name] = found
        else:
            notices.append(f"{name}: no segments, it has no value to name")
    counted = _counted(layout, source, known)
    kept = {name: _shared(counted[name], values) for name, values in known.items()}
    for name, own in list(kept.items()):
        if len(own) < 2 and (not own or own[0].rows == reference.rows):
            rare = f"no value comes often enough: in {FEWEST} rows"
            notices.append(f"{name}: no segments, {'all rows have one value' if own and own[0].value else rare}")
            del kept[name]
    segments = _with_blocks(layout, source, kept)
    return replace(reference, segments=segments, notices=tuple(notices))


def _counted(layout: Layout, source: Source, known: dict[str, tuple[str, ...]]) -> dict[str, list[Summary]]:
    """By feature, the summaries of each value and, last, of all others."""
    totals = {name: [Summary.empty(layout)] * (len(values) + 1) for name, values in known.items()}
    wanted = {column.key for column in layout.columns} | {(FEATURE, name) for name in known}
    for columns in source.chunks(wanted) if known else ():
        for name, values in known.items():
            found = summarise(layout, columns, numbers(columns[FEATURE, name], values), len(values) + 1)
            totals[name] = [total + one for total, one in zip(totals[name], found, strict=True)]
    return totals


def _shared(counted: Sequence[Summary], values: Sequence[str]) -> list[Segment]:
    """The segments that have enough rows; what has not is among the others."""
    nothing = np.zeros((0, 0), np.int64)
    found, others = [], counted[-1]
    for value, summary in zip(values, counted, strict=False):
        if int(summary.seen.max()) >= FEWEST:
            found.append(Segment("", value, summary, nothing))
        else:
            others = others + summary
    if int(others.seen.max()) >= FEWEST:
        found.append(Segment("", None, others, nothing))
    return found


def _with_blocks(layout: Layout, source: Source, kept: dict[str, list[Segment]]) -> tuple[Segment, ...]:
    coarse = {name: [Coarse(layout, one.summary) for one in own] for name, own in kept.items()}
    blocks: dict[str, list[Array]] = {}
    for name, own in kept.items():
        counts = [min(MAX_BLOCKS, one.rows // MIN_BLOCK_ROWS) for one in own]
        blocks[name] = [np.zeros((n, int(c.starts[-1])), np.int64) for n, c in zip(counts, coarse[name], strict=True)]
    done = {name: [0] * len(own) for name, own in kept.items()}
    wanted = {column.key for column in layout.columns} | {(FEATURE, name) for name in kept}
    for columns in source.chunks(wanted) if kept else ():
        for name, own in kept.items():
            of = numbers(columns[FEATURE, name], [one.value for one in own if one.value is not None])
            for i, one in enumerate(own):
                rows = np.flatnonzero(of == i)
                part = {key: values[rows] for key, values in columns.items()}
                for block, found in in_blocks(layout, part, len(rows), done[name][i], one.rows, len(blocks[name][i])):
                    blocks[name][i][block] += coarse[name][i].counts(found)
                done[name][i] += len(rows)
    return tuple(
        replace(one, feature=name, summary=discreet(layout, one.summary), blocks=blocks[name][i])
        for name, own in kept.items()
        for i, one in enumerate(own)
    )
