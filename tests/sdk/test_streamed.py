"""A watched generator, sync or async: as it was, and one record when the stream ends."""

import asyncio
import gc
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import numpy as np
import pytest

from tenure import Monitor, prediction_id
from tenure.streamed import MOST_TEXT, Streamed
from tenure.testing import MemoryTransport

DEADLINE = 60.0
PROMPT = {"prompt": "hello"}


class Stream:
    """The same few steps on a generator of either kind."""

    def __init__(self, made: Any) -> None:
        self.made = made
        self.asynchronous = inspect.isasyncgen(made)

    async def step(self, name: str, *args: Any) -> Any:
        """next, send, throw or close; StopIteration of either kind is the text "over"."""
        verb = {"next": "__next__"}.get(name, name)
        if self.asynchronous:
            verb = {"next": "__anext__"}.get(name, f"a{name}")
        try:
            found = getattr(self.made, verb)(*args)
            return await found if self.asynchronous else found
        except (StopIteration, StopAsyncIteration):
            return "over"

    async def rest(self) -> list[Any]:
        items = []
        while (item := await self.step("next")) != "over":
            items.append(item)
        return items


def words(prompt: str) -> Any:
    """Answers what it is sent, and survives a KeyError."""
    said = None
    try:
        for i in range(3):
            try:
                said = yield f"{i}{said or ''}"
            except KeyError:
                said = "!"
    finally:
        CLOSED.append(prompt)


async def words_async(prompt: str) -> Any:
    said = None
    try:
        for i in range(3):
            try:
                said = yield f"{i}{said or ''}"
            except KeyError:
                said = "!"
            await asyncio.sleep(0)
    finally:
        CLOSED.append(prompt)


CLOSED: list[str] = []
KINDS = [pytest.param(words, id="generator"), pytest.param(words_async, id="async generator")]
Drive = Callable[[Callable[[Stream], Awaitable[Any]]], Any]


@pytest.fixture(params=KINDS)
def watched(request: pytest.FixtureRequest, monitor: Monitor) -> Callable[..., Any]:
    CLOSED.clear()
    function: Callable[..., Any] = monitor.watch(request.param)
    return function


@pytest.fixture
def drive(watched: Callable[..., Any]) -> Drive:
    """Runs steps on a stream of its own."""

    def drive(steps: Callable[[Stream], Awaitable[Any]]) -> Any:
        async def run() -> Any:
            return await steps(Stream(watched("hello")))

        return asyncio.run(run())

    return drive


def sent(monitor: Monitor, transport: MemoryTransport) -> list[dict[str, Any]]:
    assert monitor.flush(DEADLINE)
    return transport.predictions(monitor.model)


def test_it_is_of_the_same_kind(watched: Callable[..., Any]) -> None:
    assert inspect.isasyncgenfunction(watched) == inspect.isasyncgenfunction(inspect.unwrap(watched))
    assert inspect.isgeneratorfunction(watched) == inspect.isgeneratorfunction(inspect.unwrap(watched))
    assert list(inspect.signature(watched).parameters) == ["prompt"]


def test_a_stream_is_one_record(monitor: Monitor, transport: MemoryTransport, drive: Drive) -> None:
    async def steps(stream: Stream) -> list[Any]:
        first = await stream.step("next")
        assert sent(monitor, transport) == []
        return [first, *await stream.rest()]

    assert drive(steps) == ["0", "1", "2"]
    [row] = sent(monitor, transport)
    assert (row["features"], row["error"]) == (PROMPT, None)
    assert row["outputs"]["prediction"] == "012"
    assert row["outputs"]["items"] == 3.0
    assert row["outputs"]["seconds_to_first_item"] >= 0.0


def test_what_is_sent_and_thrown_in_reaches_the_stream(
    monitor: Monitor, transport: MemoryTransport, drive: Drive
) -> None:
    async def steps(stream: Stream) -> list[Any]:
        return [
            await stream.step("next"),
            await stream.step("send", "a"),
            await stream.step("throw", KeyError("b")),
            await stream.step("next"),
        ]

    assert drive(steps) == ["0", "1a", "2!", "over"]
    assert [row["outputs"]["prediction"] for row in sent(monitor, transport)] == ["01a2!"]


def test_an_error_thrown_in_is_recorded(monitor: Monitor, transport: MemoryTransport, drive: Drive) -> None:
    fault = ValueError("no more")

    async def steps(stream: Stream) -> None:
        await stream.step("next")
        await stream.step("throw", fault)

    with pytest.raises(ValueError, match="no more") as caught:
        drive(steps)

    assert caught.value is fault
    [row] = sent(monitor, transport)
    assert (row["error"], row["outputs"]["prediction"], CLOSED) == ("ValueError", "0", ["hello"])


def test_a_reader_that_has_had_enough_is_no_error(monitor: Monitor, transport: MemoryTransport, drive: Drive) -> None:
    async def steps(stream: Stream) -> None:
        await stream.step("next")
        await stream.step("close")
        assert CLOSED == ["hello"]

    drive(steps)

    [row] = sent(monitor, transport)
    assert (row["error"], row["outputs"]["prediction"], row["outputs"]["items"]) == (None, "0", 1.0)


def test_a_stream_that_is_abandoned_is_recorded(monitor: Monitor, transport: MemoryTransport, drive: Drive) -> None:
    async def steps(stream: Stream) -> None:
        await stream.step("next")
        del stream.made
        gc.collect()
        await asyncio.sleep(0)  # asyncio closes an abandoned one in a task of its own

    drive(steps)

    assert [row["outputs"]["items"] for row in sent(monitor, transport)] == [1.0]
    assert CLOSED == ["hello"]


def test_a_stream_never_begun_is_no_call(monitor: Monitor, transport: MemoryTransport, drive: Drive) -> None:
    async def steps(stream: Stream) -> None:
        await stream.step("close")

    drive(steps)

    assert sent(monitor, transport) == []


@pytest.mark.parametrize("after", [0, 2])
def test_a_stream_that_breaks(monitor: Monitor, transport: MemoryTransport, after: int) -> None:
    fault = RuntimeError("out of memory")

    @monitor.watch
    def broken(prompt: str) -> Iterator[str]:
        yield from "ab"[:after]
        raise fault

    @monitor.watch
    async def broken_async(prompt: str) -> AsyncIterator[str]:
        for item in "ab"[:after]:
            yield item
        raise fault

    async def read() -> list[str]:
        return [item async for item in broken_async("hello")]

    readings: list[Callable[[], list[str]]] = [lambda: list(broken("hello")), lambda: asyncio.run(read())]
    for reading in readings:
        with pytest.raises(RuntimeError) as caught:
            reading()
        assert caught.value is fault

    for row in sent(monitor, transport):
        assert (row["error"], row["outputs"]["items"]) == ("RuntimeError", float(after))
        assert row["outputs"]["prediction"] == ("ab" if after else None)
        assert (row["outputs"]["seconds_to_first_item"] is None) == (after == 0)
    assert monitor.stats().acked == 2


def test_the_value_it_returns_is_passed_on(monitor: Monitor) -> None:
    @monitor.watch
    def predict(prompt: str) -> Any:
        yield "a"
        return 7

    def outer() -> Any:
        return (yield from predict("hello"))

    stream = outer()
    assert next(stream) == "a"
    with pytest.raises(StopIteration) as stop:
        next(stream)
    assert stop.value.value == 7


def test_watched_calls_inside_a_stream_are_part_of_it_and_those_between_are_not(
    monitor: Monitor, transport: MemoryTransport
) -> None:
    embed = monitor.watch(lambda features: 0.5)
    ids = []

    @monitor.watch
    def predict(prompt: str) -> Iterator[float]:
        for _ in range(2):
            ids.append(prediction_id())
            yield embed({"part": 1})

    for _ in predict("hello"):
        embed({"between": 1})

    found = sent(monitor, transport)
    assert len(found) == 3
    assert ids == [row["id"] for row in found if row["features"]["prompt"] == "hello"] * 2


def test_streams_read_in_turn_are_apart(monitor: Monitor, transport: MemoryTransport) -> None:
    predict = monitor.watch(words)
    assert list(zip(predict("a"), predict("b"), strict=True)) == [("0", "0"), ("1", "1"), ("2", "2")]

    found = sent(monitor, transport)
    assert sorted(row["features"]["prompt"] for row in found) == ["a", "b"]
    assert len({row["id"] for row in found}) == 2


def test_a_cancelled_reader(monitor: Monitor, transport: MemoryTransport) -> None:
    @monitor.watch
    async def predict(prompt: str) -> AsyncIterator[str]:
        yield "a"
        await asyncio.Event().wait()

    async def read() -> None:
        async for _ in predict("hello"):
            task = asyncio.current_task()
            assert task is not None
            asyncio.get_running_loop().call_soon(task.cancel)

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(read())
    assert [(row["error"], row["outputs"]["items"]) for row in sent(monitor, transport)] == [("CancelledError", 1.0)]


@pytest.mark.parametrize(
    ("items", "prediction"),
    [
        ([], None),
        ([0.25, 0.5], 0.5),
        ([np.float64(0.5)], 0.5),
        (["a", "b", {"usage": 7}], "ab"),
        (["x" * MOST_TEXT, "y"], "x" * MOST_TEXT),
        (["x" * (MOST_TEXT - 1), "yz", "z"], "x" * (MOST_TEXT - 1) + "y"),
        ([{"cat": 0.9, "dog": 0.1}], {"cat": 0.9, "dog": 0.1}),
    ],
)
def test_what_a_stream_said(items: list[Any], prediction: Any) -> None:
    streamed = Streamed()
    for item in items:
        streamed.take(item)

    assert streamed.outputs()["prediction"] == prediction
    assert streamed.outputs()["items"] == len(items)
