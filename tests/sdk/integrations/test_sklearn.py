"""scikit-learn estimators, wrapped."""

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone, is_classifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
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
    stats = monitor.stats()
    assert stats.emitted == stats.acked == len(transport.predictions(monitor.model)), stats
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


def test_a_binary_classifier(monitor: Monitor, transport: MemoryTransport) -> None:
    labels = np.where(Y > 0, "yes", "no")
    model = monitor.wrap(LogisticRegression().fit(X, labels))
    said = model.predict_proba(X[:2])

    assert [row["outputs"] for row in sent(monitor, transport)] == [
        {"prediction": yes, "score.no": no, "score.yes": yes} for no, yes in said.tolist()
    ]


def test_classes_by_number_are_named_as_their_labels(monitor: Monitor, transport: MemoryTransport) -> None:
    """As texts: so that the agent does not take three classes for numbers."""
    plain = LogisticRegression().fit(X, Y + 1)
    monitor.wrap(plain).predict_proba(X)

    assert [row["outputs"]["prediction"] for row in sent(monitor, transport)] == [str(y) for y in plain.predict(X)]


def test_several_outputs(monitor: Monitor, transport: MemoryTransport) -> None:
    """Two shares, which add up to 1 as probabilities do, and yet are none."""
    shares = np.column_stack([np.full(60, 0.25), np.full(60, 0.75)])
    model = monitor.wrap(LinearRegression().fit(X, shares))
    said = model.predict(X)

    assert [[*row["outputs"].items()] for row in sent(monitor, transport)] == [
        [("prediction.0", first), ("prediction.1", second)] for first, second in said.tolist()
    ]


def test_several_labels(monitor: Monitor, transport: MemoryTransport) -> None:
    labels = np.column_stack([Y > 0, Y > 1])
    model = monitor.wrap(KNeighborsClassifier().fit(X, labels))
    said = model.predict_proba(X)
    model.predict(X[:1])

    found = [row["outputs"] for row in sent(monitor, transport)]
    assert found[:-1] == [
        {"prediction.0": first, "prediction.1": second}
        for first, second in zip(said[0][:, 1].tolist(), said[1][:, 1].tolist(), strict=True)
    ]
    assert set(found[-1]) == {"prediction.0", "prediction.1"}


def test_inside_a_pipeline_it_stays_watched(monitor: Monitor, transport: MemoryTransport) -> None:
    whole = make_pipeline(StandardScaler(), monitor.wrap(LogisticRegression()))
    whole.fit(X, Y)
    said = whole.predict(X[:5])

    found = sent(monitor, transport)
    assert [row["outputs"]["prediction"] for row in found] == said.tolist()
    assert [row["features"]["x0"] for row in found] == whole[0].transform(X[:5])[:, 0].tolist()
    assert type(pickle.loads(pickle.dumps(whole))[-1]) is LogisticRegression


@pytest.mark.parametrize("wrap_search", [True, False])
def test_a_search(monitor: Monitor, transport: MemoryTransport, wrap_search: bool) -> None:
    model = LogisticRegression() if wrap_search else monitor.wrap(LogisticRegression())
    search = GridSearchCV(model, {"C": [0.1, 1.0]}, cv=2)
    search = monitor.wrap(search) if wrap_search else search
    search.fit(X, Y)
    search.predict_proba(X[:5])

    assert search.score(X, Y) > 0.0
    assert type(search.best_estimator_) is LogisticRegression
    names = {"prediction", "score", "score.0", "score.1", "score.2"}
    assert [set(row["outputs"]) for row in sent(monitor, transport)] == [names] * (5 if wrap_search else 0)
