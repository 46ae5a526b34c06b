"""Quality of labelled predictions, by the names the field knows."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

LOWER_IS_BETTER = frozenset({"brier", "mae", "rmse"})
MOST_CHANGES, CHANGED = 2048, 16  # scores that came and went are kept apart up to so many, or one of so many


def measure(metric: str, predictions: Array, labels: Array) -> float:
    """One metric; NaN where it is not defined (no rows, one class only).

    Parameters
    ----------
    metric
        accuracy, precision, recall, f1, auc_roc, brier (binary: class 1 at 0.5), mae or rmse.
    predictions, labels
        float64; for accuracy also objects (class names).
    """
    if not len(labels):
        return float("nan")
    if metric == "accuracy" and (predictions.dtype.kind == "O" or labels.dtype.kind == "O"):
        pairs = map(str, predictions.tolist()), map(str, labels.tolist())
        return float(np.mean(np.fromiter(map(operator.eq, *pairs), bool, len(labels))))
    if metric == "brier":
        return float(np.mean((predictions - labels) ** 2))
    if metric == "mae":
        return float(np.mean(np.abs(predictions - labels)))
    if metric == "rmse":
        return float(np.sqrt(np.mean((predictions - labels) ** 2)))
    if metric == "auc_roc":
        return auc_roc(predictions, labels)
    said, true = predictions >= 0.5, labels >= 0.5
    if metric == "accuracy":
        return float(np.mean(said == true))
    hits = float(np.sum(said & true))
    precision = hits / said.sum() if said.any() else float("nan")
    recall = hits / true.sum() if true.any() else float("nan")
    if metric == "precision":
        return precision
    if metric == "recall":
        return recall
    return 2 * hits / float(said.sum() + true.sum()) if said.any() or true.any() else float("nan")


def auc_roc(scores: Array, labels: Array) -> float:
    """Area under the ROC curve by ranks (Mann-Whitney U), ties counted half."""
    true = labels >= 0.5
    positive, negative = int(true.sum()), int((~true).sum())
    if not positive or not negative:
        return float("nan")
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return float((ranks[true].sum() - positive * (positive + 1) / 2) / (positive * negative))


class SlidingAuc:
    """`auc_roc` of rows that come and go, the same to the last digit.

    Notes
    -----
    Counted is twice U: over all pairs of a positive and a negative row 2 where the positive's score is the higher one, 1
    where they are equal. A row that comes or goes is looked up among the sorted scores of the other class.
    """

    def __init__(self, scores: Array, labels: Array) -> None:
        true = labels >= 0.5
        self._positive, self._negative = Scores(scores[true]), Scores(scores[~true])
        self._wins = self._negative.twice_below(scores[true], scores[:0])

    def move(self, come: Array, come_labels: Array, gone: Array, gone_labels: Array) -> None:
        """Take rows in, and let rows go."""
        true, was_true = come_labels >= 0.5, gone_labels >= 0.5
        other, other_gone = come[~true], gone[~was_true]
        pairs = len(self._positive) * (len(other) - len(other_gone))
        self._wins += 2 * pairs - self._positive.twice_below(other, other_gone)
        self._negative.move(other, other_gone)
        self._wins += self._negative.twice_below(come[true], gone[was_true])
        self._positive.move(come[true], gone[was_true])

    @property
    def value(self) -> float:
        pairs = len(self._positive) * len(self._negative)
        return self._wins / 2 / pairs if pairs else float("nan")


class Scores:
    """Sorted scores, and beside them the few that came and went since."""

    def __init__(self, scores: Array) -> None:
        self._sorted = np.sort(scores)
        self._come, self._gone = scores[:0], scores[:0]

    def __len__(self) -> int:
        return len(self._sorted) + len(self._come) - len(self._gone)

    def move(self, come: Array, gone: Array) -> None:
        self._come, self._gone = np.sort(np.append(self._come, come)), np.sort(np.append(self._gone, gone))
        if len(self._come) + len(self._gone) > max(MOST_CHANGES, len(self._sorted) // CHANGED):
            self._settle()

    def _settle(self) -> None:
        joined = np.insert(self._sorted, self._sorted.searchsorted(self._come), self._come)
        among_equals = np.arange(len(self._gone)) - self._gone.searchsorted(self._gone)
        self._sorted = np.delete(joined, joined.searchsorted(self._gone) + among_equals)
        self._come = self._gone = self._come[:0]

    def twice_below(self, values: Array, less: Array) -> int:
        """Over all values, twice how many scores lie below, and how many are equal; less the same of other values."""
        signs = np.repeat((1, -1), (len(values), len(less)))
        values = np.append(values, less)
        order = np.argsort(values)  # neighbours are looked up faster one after the other
        values, signs = values[order], signs[order]
        parts = ((self._sorted, 1), (self._come, 1), (self._gone, -1))
        return sum(sign * int(signs @ _twice_below(scores, values)) for scores, sign in parts if len(scores))


def _twice_below(scores: Array, values: Array) -> Array:
    below = scores.searchsorted(values)
    equal = scores.take(below, mode="clip") == values
    found: Array = below + (scores.searchsorted(values, "right") if equal.any() else below)
    return found


def default_metric(task: str) -> str:
    """What is shown where nobody chose a metric."""
    return {"binary": "auc_roc", "regression": "mae"}.get(task, "accuracy")
