"""A wrapped model: it is what it was, and every call of its verbs is one record."""

import asyncio
import copy
import pickle
from typing import Any

import numpy as np
import pytest

from tenure import Monitor, SettingError, Settings, prediction_id
from tenure.testing import MemoryTransport

DEADLINE = 60.0
ROWS = np.array([[1.0, 2.0], [3.0, 4.0]])


class Model:
    """A classifier of three classes."""

    def __init__(self) -> None:
        self.classes_ = np.array(["cat", "dog", "cow"])

    def predict(self, rows: Any) -> Any:
        return self.classes_[self.predict_proba(rows).argmax(1)]

    def predict_proba(self, rows: Any) -> Any:
        if len(rows) == 0:
            raise ValueError("no rows")
        return np.tile([0.1, 0.7, 0.2], (len(rows), 1))

    def fit(self) -> "Model":
        return self

    def __len__(self) -> int:
        return 3

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Model)

    __hash__ = None  # type: ignore[assignment]


class Called:
    def __call__(self, features: dict[str, Any]) -> float:
        return 0.5


class Awaited:
    async def predict(self, features: dict[str, Any]) -> float:
        return 0.5


@pytest.fixture
def wrapped(monitor: Monitor) -> Model:
    return monitor.wrap(Model())


def sent(monitor: Monitor, transport: MemoryTransport) -> list[dict[str, Any]]:
    assert monitor.flush(DEADLINE)
    return transport.predictions(monitor.model)


def test_it_is_what_it_was(wrapped: Model) -> None:
    assert isinstance(wrapped, Model)
    assert (len(wrapped), wrapped == Model(), wrapped.__class__, wrapped.__doc__) == (3, True, Model, Model.__doc__)
    assert "predict" in dir(wrapped)
    with pytest.raises(TypeError):
        hash(wrapped)
    with pytest.raises(AttributeError):
        _ = wrapped.absent  # type: ignore[attr-defined]


def test_attributes_are_the_models_own(monitor: Monitor) -> None:
    model: Any = Model()
    wrapped = monitor.wrap(model)

    wrapped.threshold = 0.5

    assert model.threshold == 0.5
    assert repr(wrapped) == repr(model)
    del wrapped.threshold
    assert not hasattr(model, "threshold")


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_pickled_it_is_the_plain_model(wrapped: Model, protocol: int) -> None:
    data = pickle.dumps(wrapped, protocol)

    assert b"tenure.wrapping" not in data
    assert type(pickle.loads(data)) is Model


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_copy_is_the_plain_model(wrapped: Model, copied: Any) -> None:
    assert type(copied(wrapped)) is Model


def test_fitted_it_stays_watched(wrapped: Model) -> None:
    assert wrapped.fit() is wrapped


class Odd(Model):
    """Its classes cannot be told, and it takes a dict too."""

    @property
    def classes_(self) -> Any:
        raise RuntimeError("not fitted")

    @classes_.setter
    def classes_(self, classes: Any) -> None: ...

    def predict(self, rows: Any) -> Any:
        return np.array([[0.25, 0.75]] * (1 if isinstance(rows, dict) else len(rows)))

    def predict_proba(self, rows: Any) -> Any:
        return np.array([0.1, 0.7, 0.2]) if isinstance(rows, dict) else np.tile([0.1, 0.7, 0.2], (len(rows), 1))


@pytest.mark.parametrize("rows", [{"a": 1.0}, [{"a": 1.0}], ROWS])
def test_without_classes_they_are_numbered(monitor: Monitor, transport: MemoryTransport, rows: Any) -> None:
    monitor.wrap(Odd()).predict_proba(rows)

    assert sent(monitor, transport)[0]["outputs"] == {"prediction": "1", "score": 0.7}


@pytest.mark.parametrize("rows", [{"a": 1.0}, [{"a": 1.0}], ROWS])
def test_what_predict_gives_is_no_probability(monitor: Monitor, transport: MemoryTransport, rows: Any) -> None:
    """Although it adds up to 1: that is what predict_proba is for."""
    monitor.wrap(Odd()).predict(rows)

    assert sent(monitor, transport)[0]["outputs"] == {"prediction.0": 0.25, "prediction.1": 0.75}


def test_one_row_has_the_names_of_its_classes_too(monitor: Monitor, transport: MemoryTransport, wrapped: Model) -> None:
    wrapped.predict_proba({"a": 1.0})

    scores = {"prediction": "dog", "score": 0.7, "score.cat": 0.1, "score.dog": 0.7, "score.cow": 0.2}
    assert [row["outputs"] for row in sent(monitor, transport)] == [scores]


def test_an_id_that_is_to_be_redacted_is_refused(transport: MemoryTransport) -> None:
    with pytest.raises(SettingError, match="id: 'email' cannot be used"):
        Monitor("m", transport=transport, redact={"email": "hash"}).wrap(Model(), id="email")


def test_classes_name_the_scores(monitor: Monitor, transport: MemoryTransport, wrapped: Model) -> None:
    wrapped.predict_proba(ROWS)

    scores = {"prediction": "dog", "score": 0.7, "score.cat": 0.1, "score.dog": 0.7, "score.cow": 0.2}
    assert [row["outputs"] for row in sent(monitor, transport)] == [scores, scores]


@pytest.mark.parametrize(
    ("calls", "records"),
    [
        pytest.param(["predict"], 2, id="once"),
        pytest.param(["predict", "predict_proba"], 2, id="both verbs"),
        pytest.param(["predict_proba", "predict"], 2, id="the other way round"),
        pytest.param(["predict", "predict"], 4, id="one verb twice"),
        pytest.param(["predict", "predict_proba", "predict"], 4, id="a new case"),
    ],
)
@pytest.mark.parametrize("rows", [ROWS, ROWS.tolist(), [{"a": 1, "b": None}, {"a": 2, "b": "x"}]])
def test_both_verbs_on_the_same_rows_are_one_case(
    monitor: Monitor, transport: MemoryTransport, wrapped: Model, calls: list[str], records: int, rows: Any
) -> None:
    for verb in calls:
        getattr(wrapped, verb)(copy.deepcopy(rows))

    assert len(sent(monitor, transport)) == records


def test_other_rows_are_another_case(monitor: Monitor, transport: MemoryTransport, wrapped: Model) -> None:
    rows = ROWS.copy()
    wrapped.predict(rows)
    rows[0, 0] = 9.0
    wrapped.predict_proba(rows)

    assert len(sent(monitor, transport)) == 4


def test_another_model_is_another_case(monitor: Monitor, transport: MemoryTransport, wrapped: Model) -> None:
    wrapped.predict(ROWS)
    monitor.wrap(Model()).predict_proba(ROWS)

    assert len(sent(monitor, transport)) == 4


def test_large_tables_are_the_same_by_identity(
    monkeypatch: pytest.MonkeyPatch, monitor: Monitor, transport: MemoryTransport, wrapped: Model
) -> None:
    monkeypatch.setattr("tenure.wrapping.MOST_CELLS", 1)
    for rows in (ROWS, ROWS.copy()):
        wrapped.predict(ROWS)
        wrapped.predict_proba(rows)

    assert len(sent(monitor, transport)) == 2 + 4


def test_the_second_verb_keeps_the_id(wrapped: Model) -> None:
    wrapped.predict(ROWS)
    first = prediction_id()
    wrapped.predict_proba(ROWS)

    assert prediction_id() == first


def test_an_error_is_recorded_and_raised(monitor: Monitor, transport: MemoryTransport, wrapped: Model) -> None:
    with pytest.raises(TypeError):
        wrapped.predict_proba(None)

    assert [row["error"] for row in sent(monitor, transport)] == ["TypeError"]


def test_a_callable_is_watched(monitor: Monitor, transport: MemoryTransport) -> None:
    assert monitor.wrap(Called(), id="id", role="shadow", version="9")({"id": "A17", "amount": 1.5}) == 0.5

    [row] = sent(monitor, transport)
    assert (row["id"], row["role"], row["version"], row["features"]) == ("A17", "shadow", "9", {"amount": 1.5})


def test_an_async_predict_is_watched(monitor: Monitor, transport: MemoryTransport) -> None:
    assert asyncio.run(monitor.wrap(Awaited()).predict({"amount": 1.5})) == 0.5
    assert [row["outputs"] for row in sent(monitor, transport)] == [{"prediction": 0.5}]


def test_disabled_it_is_the_model_itself() -> None:
    model = Model()
    assert Monitor("m", settings=Settings(disabled=True)).wrap(model) is model
