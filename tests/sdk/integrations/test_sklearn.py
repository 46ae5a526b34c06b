"""scikit-learn estimators, wrapped."""

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone, is_classifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.utils.validation import check_is_fitted

from tenure import Monitor
from tenure.testing import MemoryTransport

X = np.random.default_rng(7).normal(size=(60, 2))
Y = np.arange(60) % 3
FRAME = pd.DataFrame(X, columns=["amount", "age"])


def sent(monitor: Monitor, transport: MemoryTransport) -> list[dict[str, Any]]:
    assert monitor.flush(60)
    return transport.predictions(monitor.model)


@pytest.mark.parametrize(("rows", "names"), [(X, {"x0", "x1"}), (FRAME, {"amount", "age"})])
def test_a_pipeline(monitor: Monitor, transport: MemoryTransport, rows: Any, names: set[str]) -> None:
    plain = make_pipeline(StandardScaler(), LogisticRegression()).fit(rows, Y)
    model = monitor.wrap(plain)

    assert np.array_equal(model.predict_proba(rows), plain.predict_proba(rows))
    assert np.array_equal(model.predict(rows), plain.predict(rows))

    found = sent(monitor, transport)
    assert (len(found), set(found[0]["features"])) == (60, names)
    assert set(found[0]["outputs"]) == {"prediction", "score", "score.0", "score.1", "score.2"}
    assert isinstance(model, Pipeline)
    assert (len(model), model[0], "scaler" in repr(model).lower()) == (2, plain[0], True)


def test_a_regressor(monitor: Monitor, transport: MemoryTransport) -> None:
    model = monitor.wrap(LinearRegression().fit(X, Y))
    said = model.predict(X)

    assert [row["outputs"]["prediction"] for row in sent(monitor, transport)] == said.tolist()


def test_the_library_takes_it_for_the_estimator(monitor: Monitor, transport: MemoryTransport) -> None:
    model = monitor.wrap(LogisticRegression(C=0.5))

    assert is_classifier(model)
    assert type(clone(model)) is LogisticRegression
    assert model.fit(X, Y) is model
    check_is_fitted(model)
    assert type(pickle.loads(pickle.dumps(model))) is LogisticRegression
    assert not hasattr(monitor.wrap(LinearSVC()), "predict_proba")
    GridSearchCV(make_pipeline(StandardScaler(), model), {"logisticregression__C": [0.1, 1.0]}, cv=2).fit(X, Y)
    assert sent(monitor, transport) == []
