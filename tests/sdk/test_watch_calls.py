"""Every kind of function can be watched, and stays what it was: to inspect, to asyncio, to whoever reads a traceback."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tenure import Monitor, Settings
from tenure.errors import SettingError
from tenure.testing import MemoryTransport

ROW = {"amount": 1.5, "order": "A17"}


def sent(monitor: Monitor, transport: MemoryTransport) -> list[dict[str, Any]]:
    assert monitor.flush(60.0)
    return transport.predictions(monitor.model)


def plain(features: dict[str, Any]) -> float:
    """Say so."""
    return 0.5


async def coroutine(features: dict[str, Any]) -> float:
    return 0.5


def generator(features: dict[str, Any]) -> Iterator[float]:
    yield 0.5


async def async_generator(features: dict[str, Any]) -> AsyncIterator[float]:
    yield 0.5


KINDS = [plain, coroutine, generator, async_generator]


def run(function: Callable[..., Any], *args: Any) -> list[Any]:
    """What it gives, whatever its kind."""
    result = function(*args)

    async def gathered() -> list[Any]:
        return [item async for item in result]

    if inspect.isasyncgen(result):
        return asyncio.run(gathered())
    if inspect.iscoroutine(result):
        return [asyncio.run(result)]
    return list(result) if inspect.isgenerator(result) else [result]


@pytest.mark.parametrize("function", KINDS)
def test_it_is_recorded_and_stays_of_its_kind(
    monitor: Monitor, transport: MemoryTransport, function: Callable[..., Any]
) -> None:
    watched = monitor.watch(function)
    assert run(watched, ROW) == [0.5]
    [row] = sent(monitor, transport)
    assert row["features"] == ROW
    assert row["outputs"]["prediction"] == 0.5

    assert inspect.unwrap(watched) is function
    assert inspect.signature(watched) == inspect.signature(function)
    assert (watched.__name__, watched.__doc__, watched.__module__) == (
        function.__name__,
        function.__doc__,
        function.__module__,
    )
    for kind in (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction):
        assert kind(watched) is kind(function)


class Model:
    """Methods of every binding."""

    def method(self, features: dict[str, Any]) -> float:
        return 0.5

    @classmethod
    def of_class(cls, features: dict[str, Any]) -> float:
        return 0.5

    @staticmethod
    def static(features: dict[str, Any]) -> float:
        return 0.5

    def __call__(self, features: dict[str, Any]) -> float:
        return 0.5


CALLABLES: list[Any] = [
    pytest.param(Model().method, id="bound method"),
    pytest.param(Model.of_class, id="class method"),
    pytest.param(Model.static, id="static method"),
    pytest.param(Model(), id="object with __call__"),
    pytest.param(lambda features: 0.5, id="lambda"),
    pytest.param(functools.partial(lambda scale, features: scale, 0.5), id="partial"),
    pytest.param(functools.lru_cache(lambda features: 0.5).__wrapped__, id="unwrapped"),
]


@pytest.mark.parametrize("function", CALLABLES)
def test_whatever_can_be_called_can_be_watched(
    monitor: Monitor, transport: MemoryTransport, function: Callable[..., Any]
) -> None:
    assert monitor.watch(function)(ROW) == 0.5
    [row] = sent(monitor, transport)
    assert row["features"] == ROW
    assert row["outputs"] == {"prediction": 0.5}


def test_decorated_in_a_class_body(monitor: Monitor, transport: MemoryTransport) -> None:
    class Watched:
        @monitor.watch(id="order")
        def method(self, features: dict[str, Any]) -> float:
            return 0.5

        @classmethod
        @monitor.watch(id="order")
        def of_class(cls, features: dict[str, Any]) -> float:
            return 0.5

        @staticmethod
        @monitor.watch(id=lambda features: features["order"])
        def static(features: dict[str, Any]) -> float:
            return 0.5

        @monitor.watch(id=lambda features: features["order"])
        async def later(self, features: dict[str, Any]) -> float:
            return 0.5

    model = Watched()
    assert [model.method(ROW), model.of_class(ROW), model.static(ROW), asyncio.run(model.later(ROW))] == [0.5] * 4
    rows = sent(monitor, transport)
    assert [row["id"] for row in rows] == ["A17"] * 4
    assert [row["features"].get("amount") for row in rows] == [1.5] * 4
    assert not any("self" in row["features"] or "cls" in row["features"] for row in rows)


@pytest.mark.parametrize("function", KINDS)
def test_a_traceback_keeps_its_shape(
    monitor: Monitor, transport: MemoryTransport, function: Callable[..., Any]
) -> None:
    raised = ValueError("of the host")

    def fails(features: dict[str, Any]) -> float:
        raise raised

    async def fails_later(features: dict[str, Any]) -> float:
        raise raised

    def fails_streaming(features: dict[str, Any]) -> Iterator[float]:
        yield 0.5
        raise raised

    async def fails_streaming_later(features: dict[str, Any]) -> AsyncIterator[float]:
        yield 0.5
        raise raised

    failing = dict(zip(KINDS, [fails, fails_later, fails_streaming, fails_streaming_later], strict=True))[function]
    with pytest.raises(ValueError, match="of the host") as caught:
        run(monitor.watch(failing), ROW)
    assert caught.value is raised
    assert (raised.__cause__, raised.__context__) == (None, None)
    assert traceback.extract_tb(raised.__traceback__)[-1].name == failing.__name__
    assert [row["error"] for row in sent(monitor, transport)] == ["ValueError"]


def test_a_wrong_call_fails_as_it_did(monitor: Monitor) -> None:
    watched: Any = monitor.watch(plain)
    with pytest.raises(TypeError, match=r"plain\(\) missing 1 required positional argument: 'features'"):
        watched()
    with pytest.raises(TypeError, match="unexpected keyword argument 'other'"):
        watched(ROW, other=1)


@pytest.mark.parametrize("rows", [1, 3])
def test_an_id_may_be_told_by_a_function(monitor: Monitor, transport: MemoryTransport, rows: int) -> None:
    table = [{"order": {"number": i}} for i in range(rows)]
    given: Any = table if rows > 1 else table[0]

    def number(orders: Any) -> Any:
        return [order["order"]["number"] for order in orders] if rows > 1 else orders["order"]["number"]

    @monitor.watch(id=number)
    def predict(orders: Any) -> list[float]:
        return [0.5] * rows

    predict(given)
    assert [row["id"] for row in sent(monitor, transport)] == [str(i) for i in range(rows)]


def _raises(features: Any) -> str:
    raise KeyError("order")


class Unwritable:
    """An id that has no text."""

    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("identify", "features"),
    [
        pytest.param(_raises, ROW, id="a function that raises"),
        pytest.param("order", {"order": 10**5000}, id="a number too long to write"),
        pytest.param("order", {"order": Unwritable()}, id="an object without a text"),
        pytest.param(lambda rows: "A17", [ROW, ROW], id="one id for two rows"),
        pytest.param(lambda rows: ["A17"], [ROW, ROW], id="too few ids"),
        pytest.param("customer", [ROW, ROW], id="no such column"),
    ],
)
def test_an_id_that_cannot_be_had_costs_no_row(
    tmp_path: Path, identify: Any, features: Any, caplog: pytest.LogCaptureFixture
) -> None:
    monitor = Monitor("fraud", settings=Settings(agent=f"unix:{tmp_path}/nowhere.sock", flush_interval=3600.0))
    many = isinstance(features, list)
    predict = monitor.watch(id=identify)(lambda given: [0.5] * len(given) if many else 0.5)
    with caplog.at_level(logging.WARNING, logger="tenure"):
        predict(features)
        predict(features)
    assert monitor.stats().queued == (4 if many else 2)
    assert identify == "customer" or len(caplog.records) == 1
    monitor.close(timeout=0)


def test_in_tests_an_id_that_cannot_be_had_is_an_error(monitor: Monitor) -> None:
    with pytest.raises(KeyError, match="order"):
        monitor.watch(id=_raises)(plain)(ROW)
    with pytest.raises(SettingError, match="one id for each of 2 rows"):
        monitor.watch(id=lambda rows: ["A17"])(lambda rows: [0.5, 0.5])([ROW, ROW])
