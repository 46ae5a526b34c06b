"""What the rows of a reference tell of leakage: a feature that knows the label alone, or says what another one says.

Only the few numbers found here go into the reference; the rows do not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tenure_agent.bins import Layout, numbered

Array = npt.NDArray[Any]
Key = tuple[str, str]

LABEL = "label"
AUC, EXPLAINED, SAVED, CORRELATION = "auc", "r2", "lambda", "correlation"
GROUPS, TEXTS = 20, 50
ENOUGH = 100  # rows with a label
SAME = 0.9999  # correlation of two columns from which they say the same
COMPARED = 20_000  # rows


@dataclass(frozen=True)
class Hint:
    """One column held against another.

    Parameters
    ----------
    about
        "label", or a column's name.
    measure
        How far the column alone tells the label: `auc` (binary), `r2` (regression; the share of the variance), `lambda`
        (multiclass; the share of the errors of always saying the most frequent class that it saves). Or `correlation`,
        the absolute one, which is told from 0.9999 on.
    """

    column: str
    about: str
    measure: str
    score: float


def label_hints(layout: Layout, sample: Mapping[Key, Array], label: Array, task: str) -> tuple[Hint, ...]:
    """How far each feature alone tells the label.

    Parameters
    ----------
    sample
        Columns of rows, as long as the label.
    label
        float64 with NaN, or texts with None.
    """
    known = present(label)
    if known.sum() < ENOUGH:
        return ()
    truth = label[known]
    if task == "multiclass":
        truth = numbered(truth)[1]
    measure = {"binary": AUC, "regression": EXPLAINED}.get(task, SAVED)
    score = {AUC: _auc, EXPLAINED: _explained, SAVED: _saved}[measure]
    found = []
    for column in layout.columns:
        if column.part == "feature" and column.key in sample:
            groups = _groups(sample[column.key][known])
            found.append(Hint(column.name, LABEL, measure, round(score(groups, truth), 6)))
    return tuple(found)


def twin_hints(layout: Layout, sample: Mapping[Key, Array], label: Array | None) -> tuple[Hint, ...]:
    """Features that are another column, or the label, once more, up to scale and offset."""
    names, rows, found = [], [], []
    texts: dict[int, str] = {}
    held = [(column.name, column.part, sample[column.key]) for column in layout.columns if column.key in sample]
    held.sort(key=lambda one: one[1] == "feature")  # a feature is a twin of the prediction, not the prediction of it
    for name, part, values in ([] if label is None else [(LABEL, "label", label)]) + held:
        few = values[:: max(1, len(values) // COMPARED)]
        if few.dtype.kind == "O":
            first = texts.setdefault(hash(tuple(few)), name)
            if first != name and part == "feature":
                found.append(Hint(name, first, CORRELATION, 1.0))
        else:
            unit = _standardised(few)
            if unit is not None:
                names.append((name, part))
                rows.append(unit)
    if rows:
        matrix = np.abs(np.stack(rows) @ np.stack(rows).T)
        for i, (name, part) in enumerate(names):
            same = np.flatnonzero(matrix[i, :i] >= SAME)
            if len(same) and part == "feature":
                found.append(Hint(name, names[same[0]][0], CORRELATION, round(min(float(matrix[i, same[0]]), 1.0), 6)))
    return tuple(found)


def present(values: Array) -> Array:
    """Which values are there."""
    if values.dtype.kind == "O":
        return np.array([value is not None for value in values], bool)
    return np.asarray(~np.isnan(values))


def _standardised(values: Array) -> Array | None:
    """Of length one and mean zero, what is missing at the mean; None of a constant."""
    finite = np.isfinite(values)
    if finite.sum() < ENOUGH:
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        centred = np.where(finite, values - values[finite].mean(), 0.0)
        length = float(np.sqrt(np.dot(centred, centred)))
    return centred / length if 0 < length < np.inf else None


def _groups(values: Array) -> Array:
    """A small number per row: which twentieth of its column, or which text, it is, or that it is missing."""
    if values.dtype.kind == "O":
        codes = numbered(values)[1]
        counts = np.bincount(codes)
        rank = np.empty(len(counts), np.int64)
        rank[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
        return np.minimum(rank[codes], TEXTS)
    held = values[np.isfinite(values)]
    edges = np.unique(np.quantile(held, np.arange(1, GROUPS) / GROUPS, method="lower")) if len(held) else held
    return np.where(np.isnan(values), GROUPS + 1, np.searchsorted(edges, values, "left"))


def _auc(groups: Array, truth: Array) -> float:
    """The area under the curve of the best order of the groups."""
    counts = np.bincount(groups)
    hits = np.bincount(groups, truth)
    total, positive = len(truth), float(truth.sum())
    if not 0 < positive < total:
        return 0.5
    order = np.argsort(hits / np.maximum(counts, 1))
    hits, misses = hits[order], (counts - np.bincount(groups, truth))[order]
    below = np.cumsum(misses) - misses
    return float((hits * (below + misses / 2)).sum() / (positive * (total - positive)))


def _explained(groups: Array, truth: Array) -> float:
    """The share of the variance that lies between the groups."""
    centred = truth - truth.mean()
    whole = float(np.dot(centred, centred))
    sums, counts = np.bincount(groups, centred), np.bincount(groups)
    return float((sums**2 / np.maximum(counts, 1)).sum()) / whole if whole > 0 else 0.0


def _saved(groups: Array, truth: Array) -> float:
    """Goodman and Kruskal's lambda."""
    table = np.zeros((int(groups.max()) + 1, int(truth.max()) + 1), np.int64)
    np.add.at(table, (groups, truth), 1)
    wrong = len(truth) - int(table.sum(0).max())
    return (wrong - (len(truth) - int(table.max(1).sum()))) / wrong if wrong else 0.0
