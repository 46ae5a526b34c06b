"""Measures against scikit-learn's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as theirs

from tenure_agent.measures import LOWER_IS_BETTER, auc_roc, default_metric, measure

Array = npt.NDArray[Any]

SCORES = st.floats(0, 1).map(lambda score: round(score, 2))  # many ties
CASES = st.lists(st.tuples(SCORES, st.sampled_from([0.0, 1.0])), min_size=2, max_size=80)
LAWS = settings(deadline=None, derandomize=True, max_examples=100)


def split(cases: list[tuple[float, float]]) -> tuple[Array, Array]:
    scores, labels = zip(*cases, strict=True)
    return np.array(scores), np.array(labels)


@LAWS
@given(CASES)
def test_binary_measures(cases: list[tuple[float, float]]) -> None:
    scores, labels = split(cases)
    said = scores >= 0.5

    assert measure("accuracy", scores, labels) == pytest.approx(theirs.accuracy_score(labels, said))
    assert measure("brier", scores, labels) == pytest.approx(np.mean((scores - labels) ** 2))
    assert measure("precision", scores, labels) == pytest.approx(
        theirs.precision_score(labels, said, zero_division=np.nan), nan_ok=True
    )
    assert measure("recall", scores, labels) == pytest.approx(
        theirs.recall_score(labels, said, zero_division=np.nan), nan_ok=True
    )
    assert measure("f1", scores, labels) == pytest.approx(
        theirs.f1_score(labels, said, zero_division=np.nan), nan_ok=True
    )


@LAWS
@given(CASES)
def test_auc_counts_ties_half(cases: list[tuple[float, float]]) -> None:
    scores, labels = split(cases)

    if len(set(labels.tolist())) == 2:
        assert auc_roc(scores, labels) == pytest.approx(theirs.roc_auc_score(labels, scores))
        assert auc_roc(-scores, labels) == pytest.approx(1 - auc_roc(scores, labels))
    else:
        assert math.isnan(auc_roc(scores, labels))


@LAWS
@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)), min_size=1, max_size=60))
def test_regression_measures(cases: list[tuple[float, float]]) -> None:
    said, true = split(cases)

    assert measure("mae", said, true) == pytest.approx(theirs.mean_absolute_error(true, said), abs=1e-6)
    assert measure("rmse", said, true) == pytest.approx(theirs.root_mean_squared_error(true, said), abs=1e-6)


def test_accuracy_of_class_names() -> None:
    said, true = np.array(["a", "b", "c", "c"], object), np.array(["a", "b", "b", "c"], object)
    assert measure("accuracy", said, true) == theirs.accuracy_score(true.tolist(), said.tolist()) == 0.75


@pytest.mark.parametrize("metric", ["accuracy", "precision", "recall", "f1", "auc_roc", "brier", "mae", "rmse"])
def test_nothing_is_not_a_number(metric: str) -> None:
    assert math.isnan(measure(metric, np.empty(0), np.empty(0)))


@pytest.mark.parametrize(
    ("metric", "scores", "labels"),
    [
        ("precision", [0.1, 0.2], [1.0, 0.0]),  # nothing said
        ("recall", [0.9, 0.2], [0.0, 0.0]),  # nothing to find
        ("f1", [0.1, 0.2], [0.0, 0.0]),
        ("auc_roc", [0.1, 0.2], [1.0, 1.0]),
    ],
)
def test_undefined_is_not_a_number(metric: str, scores: list[float], labels: list[float]) -> None:
    assert math.isnan(measure(metric, np.array(scores), np.array(labels)))


def test_defaults() -> None:
    assert [default_metric(task) for task in ("binary", "multiclass", "regression")] == ["auc_roc", "accuracy", "mae"]
    assert {"brier", "mae", "rmse"} == LOWER_IS_BETTER
