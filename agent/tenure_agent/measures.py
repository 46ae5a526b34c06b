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


def default_metric(task: str) -> str:
    """What is shown where nobody chose a metric."""
    return {"binary": "auc_roc", "regression": "mae"}.get(task, "accuracy")
