"""A watched predict: it returns exactly what it returned before, and every call is recorded as it was made."""

import datetime as dt
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np
import pandas as pd
import polars as pl
import pytest

from tenure import Monitor, Stats
from tenure.testing import ManualClock, MemoryTransport

DEADLINE = 60.0
NOON = 1_718_625_600_000_000
LATER = dt.datetime(2024, 6, 17, 13, tzinfo=dt.UTC)
HOUR = 3_600_000_000

ROWS = [{"amount": 1.5, "country": "NL"}, {"amount": 2.5, "country": "DE"}]


def sent(monitor: Monitor, transport: MemoryTransport, key: str = "features") -> list[Any]:
    """One value of every prediction the agent has."""
    assert monitor.flush(DEADLINE)
    return [found[key] for found in transport.predictions(monitor.model)]


class Model:
    """Predicts with a method, as models do."""

    def __init__(self, monitor: Monitor, output: object) -> None:
        self.output = output
        self.predict = monitor.watch(self._predict)

    def _predict(self, features: dict[str, Any]) -> object:
        return self.output


Watch = Callable[[Monitor, Callable[..., Any]], Callable[..., Any]]
WATCHES = [
    pytest.param(lambda monitor, predict: monitor.watch(predict), id="bare"),
    pytest.param(lambda monitor, predict: monitor.watch()(predict), id="called"),
    pytest.param(lambda monitor, predict: monitor.watch(role="challenger")(predict), id="with arguments"),
]
CALLS = [
    pytest.param((ROWS[0],), {}, ROWS[:1], id="dict"),
    pytest.param((), {"features": ROWS[0]}, ROWS[:1], id="dict by name"),
    pytest.param((), ROWS[0], ROWS[:1], id="named arguments"),
    pytest.param((1.5,), {"country": "NL"}, [{"features": 1.5, "country": "NL"}], id="positional and named"),
    pytest.param((ROWS[0], 7), {}, [{**ROWS[0], "extra": 7.0}], id="dict and more"),
    pytest.param((ROWS,), {}, ROWS, id="list of dicts"),
    pytest.param((pd.DataFrame(ROWS, index=[5, 5]),), {}, ROWS, id="pandas"),
    pytest.param((), {"features": pd.DataFrame(ROWS)}, ROWS, id="pandas by name"),
    pytest.param((pl.DataFrame(ROWS),), {}, ROWS, id="polars"),
    pytest.param((np.array([[1, 2], [3, 4]]),), {}, [{"x0": 1.0, "x1": 2.0}, {"x0": 3.0, "x1": 4.0}], id="matrix"),
    pytest.param((np.array([1.0, 2.0]),), {}, [{"x0": 1.0, "x1": 2.0}], id="vector"),
    pytest.param((), {}, [{}], id="nothing"),
]


@pytest.mark.parametrize("watch", WATCHES)
@pytest.mark.parametrize(("args", "kwargs", "features"), CALLS)
def test_watch(
    monitor: Monitor,
    transport: MemoryTransport,
    watch: Watch,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    features: list[dict[str, Any]],
) -> None:
    output = [0.25] * len(features)
    calls: list[tuple[Any, Any]] = []

    def predict(features: Any = None, extra: Any = None, **more: Any) -> list[float]:
        calls.append((features, extra or more))
        return output

    watched = watch(monitor, predict)

    assert watched(*args, **kwargs) is output
    assert sent(monitor, transport) == features
    assert sent(monitor, transport, "outputs") == [{"prediction": 0.25}] * len(features)
    assert sent(monitor, transport, "time") == [NOON] * len(features)
    assert set(sent(monitor, transport, "version")) == {"3.2"}
    assert len(calls) == 1
    assert all(given is calls[0][0] for given in args[:1])
    assert monitor.stats() == Stats(len(features), len(features), 0, {})


@pytest.mark.parametrize(
    "output",
    [0.5, "fraud", True, None, {"a": 0.9, "b": 0.1}, [0.1, 0.9], (0.1, 0.9), np.array([0.5]), np.float64(0.5)],
    ids=repr,
)
def test_the_output_is_the_very_object(monitor: Monitor, transport: MemoryTransport, output: object) -> None:
    assert Model(monitor, output).predict(ROWS[0]) is output
    assert sent(monitor, transport) == ROWS[:1]


def test_a_watched_function_is_still_itself(monitor: Monitor) -> None:
    @monitor.watch
    def predict(amount: float) -> float:
        """Say so."""
        return amount

    assert (predict.__name__, predict.__doc__) == ("predict", "Say so.")


def test_a_watched_method(monitor: Monitor, transport: MemoryTransport) -> None:
    class Fraud:
        @monitor.watch
        def predict(self, amount: float, country: str) -> float:
            return 0.5

        @monitor.watch
        def predict_one(self, features: dict[str, Any]) -> float:
            return 0.5

    assert Fraud().predict(1.5, country="NL") == Fraud().predict_one(ROWS[0]) == 0.5
    assert sent(monitor, transport) == [ROWS[0], ROWS[0]]


def test_what_changes_after_the_call_is_not_what_was_predicted(monitor: Monitor, transport: MemoryTransport) -> None:
    frame, features, output = pd.DataFrame(ROWS), dict(ROWS[0]), np.array([0.25, 0.75])
    matrix, rows, ids = np.array([[1.0, 2.0]]), [dict(ROWS[0])], ["A"]

    @monitor.watch
    def predict(given: Any) -> Any:
        return output if given is frame else 0.5

    predict(frame)
    predict(features)
    monitor.record(matrix, [0.5], id=ids)
    monitor.record(rows, [0.5])
    frame["amount"], features["amount"], output[:], matrix[:] = 0.0, 0.0, 0.0, 0.0
    rows[0]["amount"], ids[0] = 0.0, "B"

    found = sent(monitor, transport)
    assert all(row in found for row in ROWS)
    assert {"x0": 1.0, "x1": 2.0} in found
    assert 0.0 not in [row.get("amount") for row in found]
    assert "A" in sent(monitor, transport, "id")
    assert {"prediction": 0.75} in sent(monitor, transport, "outputs")


@pytest.mark.parametrize("kind", [KeyError, ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("given", [ROWS[0], ROWS, pd.DataFrame(ROWS)], ids=["dict", "list", "frame"])
def test_an_exception_goes_through_unchanged(
    monitor: Monitor, transport: MemoryTransport, kind: type[BaseException], given: Any
) -> None:
    fault = kind("no such country")

    @monitor.watch
    def predict(features: Any) -> NoReturn:
        raise fault

    with pytest.raises(kind) as caught:
        predict(given)

    rows = 1 if isinstance(given, dict) else 2
    assert caught.value is fault
    assert (fault.__cause__, fault.__context__) == (None, None)
    assert sent(monitor, transport, "error") == [kind.__name__] * rows
    assert sent(monitor, transport) == ROWS[:rows]
    assert [found.get("prediction") for found in sent(monitor, transport, "outputs")] == [None] * rows


KEYED = [{"order": "A", "at": LATER, **ROWS[0]}, {"order": "B", "at": LATER, **ROWS[1]}]


@pytest.mark.parametrize(
    ("args", "kwargs", "rows"),
    [
        pytest.param((KEYED[0],), {}, 1, id="features"),
        pytest.param((), KEYED[0], 1, id="named arguments"),
        pytest.param((ROWS[0],), {"order": "A", "at": LATER}, 1, id="arguments beside the features"),
        pytest.param((KEYED,), {}, 2, id="keys of a list of dicts"),
        pytest.param((pd.DataFrame(KEYED),), {}, 2, id="columns of pandas"),
        pytest.param((pl.DataFrame(KEYED),), {}, 2, id="columns of polars"),
    ],
)
def test_id_and_time_are_no_features(
    monitor: Monitor, transport: MemoryTransport, args: tuple[Any, ...], kwargs: dict[str, Any], rows: int
) -> None:
    @monitor.watch(id="order", time="at")
    def predict(features: Any = None, **more: Any) -> list[float]:
        return [0.5] * rows

    predict(*args, **kwargs)

    assert sent(monitor, transport) == ROWS[:rows]
    assert sent(monitor, transport, "id") == ["A", "B"][:rows]
    assert sent(monitor, transport, "time") == [NOON + HOUR] * rows


def test_without_id_and_time_they_are_made(monitor: Monitor, transport: MemoryTransport, clock: ManualClock) -> None:
    @monitor.watch(id="order", time="at")
    def predict(features: dict[str, Any]) -> float:
        return 0.5

    predict({**ROWS[0], "order": None, "at": None})
    clock.advance(1.5)
    predict(ROWS[0])

    assert sent(monitor, transport) == [ROWS[0]] * 2
    assert len(set(sent(monitor, transport, "id"))) == 2
    assert sent(monitor, transport, "time") == [NOON, NOON + 1_500_000]
