"""The id of the prediction being made: per thread, per task, per call."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pandas as pd
import pytest

from tenure import Monitor, prediction_id
from tenure.testing import MemoryTransport

ROW = {"amount": 1.5, "order": "A17"}


def sent(monitor: Monitor, transport: MemoryTransport) -> list[str]:
    assert monitor.flush(60.0)
    return [row["id"] for row in transport.predictions(monitor.model)]


def test_before_any_call_there_is_none() -> None:
    assert contextvars.Context().run(prediction_id) is None


@pytest.mark.parametrize("options", [{}, {"id": "order"}, {"id": lambda features: features["order"]}], ids=str)
def test_it_is_known_inside_the_call_and_after_it(
    monitor: Monitor, transport: MemoryTransport, options: dict[str, Any]
) -> None:
    @monitor.watch(**options)
    def predict(features: dict[str, Any]) -> str | None:
        return prediction_id()

    inside = predict(ROW)
    assert inside == prediction_id()
    assert sent(monitor, transport) == [inside]
    assert (inside == "A17") is bool(options)


def test_a_call_inside_a_call_is_part_of_it(monitor: Monitor, transport: MemoryTransport) -> None:
    @monitor.watch
    def inner(features: dict[str, Any]) -> str | None:
        return prediction_id()

    @monitor.watch(id="order")
    def outer(features: dict[str, Any]) -> str | None:
        return inner({"amount": features["amount"] * 2})

    assert outer(ROW) == "A17" == prediction_id()
    assert sent(monitor, transport) == ["A17"]


def test_a_call_after_a_call_that_failed_is_one_of_its_own(monitor: Monitor, transport: MemoryTransport) -> None:
    @monitor.watch(id="order")
    def predict(features: dict[str, Any]) -> float:
        return float(1 / features["amount"])

    with pytest.raises(ZeroDivisionError):
        predict({"amount": 0, "order": "A17"})
    assert prediction_id() == "A17"
    predict({"amount": 2, "order": "A18"})
    assert sent(monitor, transport) == ["A17", "A18"]


def test_two_monitors_with_queues_of_their_own_do_not_mix_their_ids() -> None:
    transports = MemoryTransport(), MemoryTransport()
    given, generated = (Monitor("fraud", "1", transport=transport) for transport in transports)
    given.watch(id="order")(lambda features: 0.5)(ROW)  # both count from 0
    assert prediction_id() == "A17"
    generated.watch(lambda features: 0.5)({"amount": 1.0})
    assert [prediction_id()] == sent(generated, transports[1]) != ["A17"]
    for monitor in (given, generated):
        monitor.close()


@pytest.mark.parametrize(
    "table", [pd.DataFrame([ROW, {**ROW, "order": "A18"}]), [ROW, {**ROW, "order": "A18"}]], ids=type
)
@pytest.mark.parametrize("options", [{}, {"id": "order"}, {"id": lambda rows: ["A17", "A18"]}], ids=str)
def test_of_many_rows_it_is_the_first(
    monitor: Monitor, transport: MemoryTransport, table: Any, options: dict[str, Any]
) -> None:
    @monitor.watch(**options)
    def predict(rows: Any) -> list[float]:
        return [0.5] * len(rows)

    predict(table)
    ids = sent(monitor, transport)
    assert len(set(ids)) == 2
    assert prediction_id() == ids[0]
    assert (ids == ["A17", "A18"]) is bool(options)


def test_each_thread_has_its_own(monitor: Monitor, transport: MemoryTransport) -> None:
    together, seen = threading.Barrier(4), []

    @monitor.watch
    def predict(features: dict[str, Any]) -> float:
        together.wait(60)  # all of them are under way at once: none is part of another
        return 0.5

    def call() -> None:
        predict({"amount": 1.0})
        together.wait(60)
        seen.append(prediction_id())

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, seen)) == sorted(sent(monitor, transport))
    assert len(set(seen)) == 4


def test_each_task_has_its_own(monitor: Monitor, transport: MemoryTransport) -> None:
    @monitor.watch(id="order")
    async def predict(features: dict[str, Any], together: asyncio.Barrier) -> str | None:
        await together.wait()
        return prediction_id()

    async def call(order: str, together: asyncio.Barrier) -> tuple[str | None, str | None]:
        inside = await predict({"order": order}, together)
        await together.wait()
        return inside, prediction_id()

    async def main() -> list[tuple[str | None, str | None]]:
        together = asyncio.Barrier(3)
        return await asyncio.gather(*(call(order, together) for order in "ABC"))

    assert asyncio.run(main()) == [("A", "A"), ("B", "B"), ("C", "C")]
    assert sorted(sent(monitor, transport)) == ["A", "B", "C"]


def test_a_task_that_outlives_the_call_starts_calls_of_its_own(monitor: Monitor, transport: MemoryTransport) -> None:
    @monitor.watch(id="order")
    async def predict(features: dict[str, Any]) -> float:
        return 0.5

    async def later(go: asyncio.Event) -> None:
        await go.wait()
        await predict({"order": "later"})

    @monitor.watch(id="order")
    async def outer(features: dict[str, Any], go: asyncio.Event) -> asyncio.Task[None]:
        return asyncio.create_task(later(go))

    async def main() -> None:
        go = asyncio.Event()
        task = await outer({"order": "outer"}, go)
        go.set()
        await task

    asyncio.run(main())
    assert sent(monitor, transport) == ["outer", "later"]


def test_between_the_items_of_a_stream_its_reader_may_call(monitor: Monitor, transport: MemoryTransport) -> None:
    inside = []

    @monitor.watch(id="order")
    def stream(features: dict[str, Any]) -> Iterator[int]:
        for i in range(2):
            inside.append(prediction_id())
            yield i

    @monitor.watch(id="order")
    def predict(features: dict[str, Any]) -> float:
        return 0.5

    for item in stream({"order": "stream"}):
        predict({"order": f"reader {item}"})
    assert inside == ["stream", "stream"]
    assert sent(monitor, transport) == ["reader 0", "reader 1", "stream"]


def test_between_the_items_of_an_async_stream_too(monitor: Monitor, transport: MemoryTransport) -> None:
    @monitor.watch(id="order")
    async def stream(features: dict[str, Any]) -> AsyncIterator[str | None]:
        yield prediction_id()

    @monitor.watch(id="order")
    async def predict(features: dict[str, Any]) -> float:
        return 0.5

    async def main() -> list[str | None]:
        seen = []
        async for item in stream({"order": "stream"}):
            await predict({"order": "reader"})
            seen.append(item)
        return seen

    assert asyncio.run(main()) == ["stream"]
    assert sent(monitor, transport) == ["reader", "stream"]
