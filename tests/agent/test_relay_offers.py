"""References that a relay passes on: its hub takes or refuses them, and while it is away nobody is told they are taken."""

from __future__ import annotations

import asyncio
from hashlib import sha256
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from tests.agent.relaying import DEADLINE, Batch, Play, Start, played, quiet, report, send, value

import tenure
from tenure_agent.builder import Rows, build_reference
from tenure_agent.daemon import Agent
from tenure_agent.store import references
from tenure_proto.v1 import monitoring_pb2 as pb
from tenure_proto.v1 import monitoring_pb2_grpc as wire

Code = grpc.StatusCode


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Play:
    return played(tmp_path, monkeypatch)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "fraud.reference"
    build_reference("fraud", "1", Rows({("feature", "x"): np.arange(200.0)})).save(path)
    return path


def whole(file: Path) -> pb.ReferenceOffer:
    content = file.read_bytes()
    digest = sha256(content).digest()
    return pb.ReferenceOffer(model="fraud", version="1", sha256=digest, size=len(content), content=content)


async def offered(agent: Agent, offer: pb.ReferenceOffer) -> pb.ReferenceReply:
    """Until it is taken or refused."""
    async with grpc.aio.insecure_channel(agent.addresses["grpc"]) as channel:
        while True:
            reply: pb.ReferenceReply = await wire.MonitoringStub(channel).OfferReference(offer, timeout=DEADLINE)
            if reply.taken or reply.refused:
                return reply


async def uploaded(agent: Agent) -> str:
    return await agent._database.async_read(lambda cursor: references.uploaded(cursor, 1, 1))


def serve(relay: Agent, file: Path) -> tenure.Monitor:
    settings = tenure.Settings(deadline=DEADLINE, flush_interval=0.001)
    return tenure.Monitor("fraud", agent=relay.addresses["grpc"], settings=settings, reference=file)


def test_what_a_monitor_uploads_to_a_relay_is_the_hubs(play: Play, file: Path) -> None:
    def work(relay: Agent) -> None:
        with serve(relay, file) as monitor:
            monitor.record({"x": 1.0}, 0.5)
            assert monitor.flush(DEADLINE)

    async def story(start: Start) -> None:
        async with start("hub") as hub, start("relay") as relay:
            await asyncio.to_thread(work, relay)
            assert (await offered(relay, whole(file))).taken
            assert await uploaded(hub) == whole(file).sha256.hex()
            assert await uploaded(relay) == ""
            assert value(hub, "reference_uploads_total", model="fraud", result="taken") == 1

    play(story)


def test_while_the_hub_is_away_it_is_offered_again_and_reports_are_taken(play: Play, file: Path) -> None:
    def work(relay: Agent) -> tenure.Monitor:
        monitor = serve(relay, file)
        monitor.record({"x": 1.0}, 0.5)
        assert monitor.flush(DEADLINE)
        return monitor

    async def story(start: Start) -> None:
        async with start("relay") as relay:
            with pytest.raises(grpc.aio.AioRpcError) as away:
                await offered(relay, whole(file))
            assert (away.value.code(), away.value.details()) == (Code.UNAVAILABLE, "the hub is away")
            monitor = await asyncio.to_thread(work, relay)
            assert monitor.stats().acked == 1
            async with start("hub") as hub:
                while not await uploaded(hub):  # noqa: ASYNC110  # it goes on by itself
                    await asyncio.sleep(0.01)
                await quiet(relay)
            assert await asyncio.to_thread(monitor.close, DEADLINE)

    play(story)


def test_a_hub_that_lost_its_store_is_offered_it_again(play: Play, file: Path, tmp_path: Path) -> None:
    def work(monitor: tenure.Monitor) -> None:
        monitor.record({"x": 1.0}, 0.5)
        assert monitor.flush(DEADLINE)

    async def story(start: Start) -> None:
        async with start("relay") as relay:
            monitor = serve(relay, file)
            for _ in range(2):
                async with start("hub") as hub:
                    while not await uploaded(hub):  # its own word comes with the replies to reports
                        await asyncio.to_thread(work, monitor)
                    await quiet(relay)
                for left in (tmp_path / "hub").glob("t.duckdb*"):
                    left.rmdir() if left.is_dir() else left.unlink()
            assert await asyncio.to_thread(monitor.close, DEADLINE)

    play(story)


def test_what_the_hub_says_is_passed_down(play: Play, file: Path, batch: Batch) -> None:
    async def story(start: Start) -> None:
        async with start("hub") as hub, start("relay") as relay:
            other = whole(file)
            other.model = "churn"
            assert (await offered(relay, other)).refused == "other_model"
            assert value(hub, "reference_uploads_total", model="churn", result="other_model") == 1
            await send(relay, report(1, batch({"x": [1.0]})))
            await quiet(relay)

    play(story)


class OldHub(wire.MonitoringServicer):
    """Takes no references, or has no room for them."""


@pytest.mark.parametrize(("busy", "code"), [(False, None), (True, Code.RESOURCE_EXHAUSTED)])
def test_hubs_that_take_none(
    play: Play, file: Path, tmp_path: Path, busy: bool, code: grpc.StatusCode | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def no_room(_: Any, context: Any) -> None:
        await context.abort(Code.RESOURCE_EXHAUSTED, "full")

    async def story(start: Start) -> None:
        server, servicer = grpc.aio.server(), OldHub()
        if busy:
            monkeypatch.setattr(servicer, "OfferReference", no_room)
        wire.add_MonitoringServicer_to_server(servicer, server)
        (tmp_path / "hub").mkdir()
        server.add_insecure_port(f"unix:{tmp_path}/hub/a.sock")
        await server.start()
        async with start("relay") as relay:
            if code is None:
                assert (await offered(relay, whole(file))).refused == "unknown"
            else:
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await offered(relay, whole(file))
                assert refused.value.code() is code
                assert refused.value.details() == "the hub has no room"
        await server.stop(0)

    play(story)


def test_a_relay_whose_token_is_gone_is_no_refusal(play: Play, file: Path, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("a-token-of-thirty-two-characters")

    async def story(start: Start) -> None:
        upstream = {"address": f"unix:{tmp_path}/hub/a.sock", "token_file": str(token)}
        async with start("hub", access={"token_file": str(token)}) as hub, start("relay", upstream=upstream) as relay:
            assert (await offered(relay, whole(file))).taken
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await offered(hub, whole(file))
            assert refused.value.code() is Code.UNAUTHENTICATED
            token.unlink()
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await offered(relay, whole(file))
            assert refused.value.code() is Code.UNAVAILABLE
            token.write_text("a-token-of-thirty-two-characters")
            assert (await offered(relay, whole(file))).taken

    play(story)
