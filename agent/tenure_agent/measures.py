"""Quality of labelled predictions, by the names the field knows."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

LOWER_IS_BETTER = frozenset({"brier", "mae", "rmse"})


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
        return float(np.mean(predictions.astype(str) == labels.astype(str)))
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
        self._wins = self._negative.twice_below(scores[true])

    def move(self, come: Array, come_labels: Array, gone: Array, gone_labels: Array) -> bool:
        """Take rows in, then let rows go; False where so much has moved that to begin anew is quicker."""
        for scores, labels, sign in ((come, come_labels, 1), (gone, gone_labels, -1)):
            true = labels >= 0.5
            self._wins += sign * self._negative.twice_below(scores[true])
            self._positive.move(scores[true], sign)
            other = scores[~true]
            self._wins += sign * (2 * len(self._positive) * len(other) - self._positive.twice_below(other))
            self._negative.move(other, sign)
        return not (self._positive.worn or self._negative.worn)

    @property
    def value(self) -> float:
        pairs = len(self._positive) * len(self._negative)
        return self._wins / 2 / pairs if pairs else float("nan")


class Scores:
    """Sorted scores, and beside them the few that came and went since."""

    def __init__(self, scores: Array) -> None:
        self._sorted = np.sort(scores)
        self._changes: dict[int, Array] = {1: scores[:0], -1: scores[:0]}

    def __len__(self) -> int:
        return len(self._sorted) + len(self._changes[1]) - len(self._changes[-1])

    def move(self, scores: Array, sign: int) -> None:
        if len(scores):
            self._changes[sign] = np.sort(np.concatenate((self._changes[sign], scores)))

    @property
    def worn(self) -> bool:
        changes = len(self._changes[1]) + len(self._changes[-1])
        return changes > max(2048, len(self._sorted) // 16)

    def twice_below(self, values: Array) -> int:
        """Over all values, twice how many scores lie below, and how many are equal."""
        values = np.sort(values)  # neighbours are looked up faster one after the other
        parts = ((self._sorted, 1), *((scores, sign) for sign, scores in self._changes.items()))
        return sum(
            sign * int(scores.searchsorted(values, side).sum())
            for scores, sign in parts
            for side in (("left", "right") if len(scores) and len(values) else ())
        )


def default_metric(task: str) -> str:
    """What is shown where nobody chose a metric."""
    return {"binary": "auc_roc", "regression": "mae"}.get(task, "accuracy")
