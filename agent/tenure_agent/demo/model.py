"""The model the demo serves: a logistic regression on one-hot categories and scaled numbers, "arrives late"."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression

from tenure_agent.demo.flights import CATEGORIES, NUMBERS

Array = npt.NDArray[np.float64]
MIN_CATEGORY_ROWS = 50
FOLDS = 8


class LateModel:
    """Probability that a flight arrives over 15 minutes late. A category unseen in training counts for nothing."""

    def __init__(self, rows: pd.DataFrame, late: Array) -> None:
        self._at: dict[str, dict[Any, int]] = {}
        width = len(NUMBERS)
        for name in CATEGORIES:
            counts = rows[name].value_counts()
            seen = sorted(counts[counts >= MIN_CATEGORY_ROWS].index)
            self._at[name] = {value: width + i for i, value in enumerate(seen)}
            width += len(seen)
        self._width = width
        numbers = rows[NUMBERS].to_numpy(float)
        self._mean, self._std = np.nanmean(numbers, 0), np.nanstd(numbers, 0)
        self._fitted = LogisticRegression(C=0.1, max_iter=200).fit(csr_matrix(self._encode(rows)), late)

    def predict(self, rows: pd.DataFrame) -> Array:
        probability: Array = self._fitted.predict_proba(self._encode(rows))[:, 1]
        return probability

    def _encode(self, rows: pd.DataFrame) -> Array:
        encoded = np.zeros((len(rows), self._width + 1))  # the last column takes what is unseen, and is dropped
        for i, name in enumerate(NUMBERS):
            encoded[:, i] = rows[name].to_numpy()
        scaled = (encoded[:, : len(NUMBERS)] - self._mean) / self._std
        encoded[:, : len(NUMBERS)] = np.nan_to_num(scaled, nan=0.0)
        for name in CATEGORIES:
            at = self._at[name]
            encoded[np.arange(len(rows)), [at.get(value, self._width) for value in rows[name].tolist()]] = 1.0
        return encoded[:, :-1]

    def save(self, path: Path) -> None:
        path.write_bytes(pickle.dumps(self))

    @classmethod
    def load(cls, path: Path) -> Self:
        loaded = pickle.loads(path.read_bytes())  # noqa: S301  # a file this demo wrote itself
        assert isinstance(loaded, cls)  # noqa: S101
        return loaded


def out_of_sample(rows: pd.DataFrame, late: Array) -> Array:
    """Predictions of each of eight contiguous stretches of time by a model that never saw it.

    Rows are in the order their truth became known: the reference's losses must be such as the model will have in
    service, never those of its own training rows.
    """
    fold = np.arange(len(rows)) * FOLDS // len(rows)
    predicted = np.empty(len(rows))
    for i in range(FOLDS):
        model = LateModel(rows[fold != i], late[fold != i])
        predicted[fold == i] = model.predict(rows[fold == i])
    return predicted
