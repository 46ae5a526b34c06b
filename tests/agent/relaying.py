"""A relay and its hub, and what one asks of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from tenure_agent.config import parse_config
from tenure_agent.daemon import Agent
from tenure_agent.store.database import Cursor
from tenure_proto.v1 import monitoring_pb2 as pb
from tenure_proto.v1.monitoring_pb2_grpc import MonitoringStub

DEADLINE = 60.0
Start = Callable[..., AbstractAsyncContextManager[Agent]]
Story = Callable[[Start], Awaitable[None]]
Play = Callable[[Story], None]
Batch = Callable[..., pb.Batch]
Truths = Callable[..., pb.Outcomes]


def played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Play:
    """Run a story that starts agents by name, each in a folder of its own; the hub is always at the same socket."""
    monkeypatch.setattr("tenure.backoff.MOST", 0.1)

    @asynccontextmanager
    async def start(name: str, **document: Any) -> AsyncIterator[Agent]:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        store = {"path": str(folder / "t.duckdb")} | document.pop("store", {})
        given = {"listen": f"unix:{folder}/a.sock", "http": "127.0.0.1:0", "store": store}
        if name != "hub":
            given["upstream"] = f"unix:{tmp_path}/hub/a.sock"
        agent = Agent(parse_config(given | document, "a test"))
        await agent.start()
        try:
            yield agent
        finally:
            await agent.stop()

    async def run(story: Story) -> None:
        async with asyncio.timeout(DEADLINE):
            await story(start)

    return lambda story: asyncio.run(run(story))


def report(seq: int, *batches: pb.Batch, producer: str = "p", **fields: Any) -> pb.ReportRequest:
    return pb.ReportRequest(producer_id=producer, seq=seq, batches=batches, acked_seq=seq - 1, **fields)


async def send(agent: Agent, *requests: pb.ReportRequest) -> list[pb.ReportReply]:
    async with grpc.aio.insecure_channel(agent.addresses["grpc"]) as channel:
        return [await MonitoringStub(channel).Report(request, timeout=DEADLINE) for request in requests]


async def until(true: Callable[[], bool]) -> None:
    while not true():  # noqa: ASYNC110  # a relay and a hub have no way to call back
        await asyncio.sleep(0.01)


async def quiet(relay: Agent) -> None:
    await until(lambda: value(relay, "relay_backlog_reports") == 0)


def value(agent: Agent, name: str, **labels: str) -> float:
    return agent.metrics.registry.get_sample_value(f"tenure_{name}", labels) or 0.0


async def ids(agent: Agent, table: str = "rows_1") -> list[str]:
    def read(cursor: Cursor) -> list[str]:
        return [id_ for (id_,) in cursor.execute(f"SELECT id FROM {table} ORDER BY batch, id").fetchall()]

    return await agent._database.async_read(read)


def rejections(reply: pb.ReportReply) -> list[tuple[str, str, int]]:
    return [(one.model, one.reason, one.rows) for one in reply.rejections]
