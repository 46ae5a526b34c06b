"""A relay and its hub, both real: what the relay acks, the hub stores once, whatever happens between the two."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import grpc
import pytest
from click.testing import CliRunner
from tests.agent.relaying import (
    Batch,
    Play,
    Start,
    Truths,
    ids,
    played,
    quiet,
    rejections,
    report,
    send,
    value,
)

from tenure_agent import config as config_module
from tenure_agent.cli import main
from tenure_agent.daemon import Agent
from tenure_agent.store import producers
from tenure_proto.v1 import monitoring_pb2 as pb


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Play:
    return played(tmp_path, monkeypatch)


def test_what_a_relay_acks_its_hub_stores_in_order(play: Play, batch: Batch, truths: Truths) -> None:
    async def story(start: Start) -> None:
        async with start("hub") as hub, start("relay") as relay:
            requests = [report(seq, batch({"x": [1.0]}, ids=[f"{seq:03}"])) for seq in range(1, 51)]
            requests += [report(51, outcomes=[truths({"001": 1})]), report(52)]
            replies = await send(relay, *requests)
            assert [reply.acked_seq for reply in replies] == list(range(1, 53))
            await quiet(relay)
            assert await ids(hub) == [f"{seq:03}" for seq in range(1, 51)]
            assert await ids(hub, "outcomes") == ["001"]
            known = await hub._database.async_read(producers.load)
            assert (known["p"].last_seq, known["p"].missed) == (52, 0)
            assert value(relay, "relay_forwarded_reports_total") == 52
            assert value(relay, "relay_connected", upstream=hub.addresses["grpc"]) == 1
            assert value(hub, "lost_after_ack_reports_total") == 0
            assert await ids(relay) == []

    play(story)


def test_a_relay_takes_reports_without_its_hub_and_keeps_them_over_a_restart(play: Play, batch: Batch) -> None:
    async def story(start: Start) -> None:
        requests = [report(seq, batch({"x": [1.0]}, ids=[str(seq)])) for seq in range(1, 5)]
        async with start("relay") as relay:
            await send(relay, *requests[:2])
            assert value(relay, "relay_backlog_reports") == 2
            assert value(relay, "relay_backlog_bytes") == sum(len(one.SerializeToString()) for one in requests[:2])
            assert value(relay, "relay_oldest_seconds") > 0
        async with start("relay") as relay:
            assert value(relay, "relay_backlog_reports") == 2
            assert [reply.acked_seq for reply in await send(relay, *requests[1:3])] == [2, 3]
            async with start("hub") as hub:
                await quiet(relay)
                assert await ids(hub) == ["1", "2", "3"]
                assert value(relay, "relay_backlog_bytes") == value(relay, "relay_oldest_seconds") == 0
        async with start("hub") as hub, start("relay") as relay:
            await send(relay, requests[3])
            await quiet(relay)
            assert await ids(hub) == ["1", "2", "3", "4"]
            assert value(hub, "duplicate_reports_total") == 0, "what the hub has was noted at the stop"

    play(story)


def test_what_a_relay_refuses_is_counted_once_at_each_and_stored_at_neither(play: Play, batch: Batch) -> None:
    async def story(start: Start) -> None:
        short = batch({"x": [1.0, 2.0]}, model="short")
        short.times = short.times[:8]
        async with start("hub") as hub, start("relay") as relay:
            [reply] = await send(
                relay, report(1, batch({"x": [1.0]}, ids=["a"]), short, batch({"x": [2.0]}, ids=["b"]))
            )
            assert rejections(reply) == [("short", "malformed", 2)]
            told = pb.Loss(model="short", reason="rejected", rows=2)
            await send(relay, report(2, losses=[told, pb.Loss(model="fraud", reason="queue_full", rows=3)]))
            await quiet(relay)
            assert await ids(hub) == ["a", "b"]
            for agent in (relay, hub):
                assert value(agent, "dropped_total", model="short", reason="malformed") == 2
                assert value(agent, "dropped_total", model="short", reason="rejected") == 0
                assert value(agent, "dropped_total", model="fraud", reason="queue_full") == 3
            assert value(relay, "relay_rejected_total", model="short", reason="malformed") == 0

    play(story)


def test_what_the_hub_alone_refuses_shows_at_the_relay(
    play: Play, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(start: Start) -> None:
        async with start("relay") as relay:
            [reply] = await send(relay, report(1, batch({"x": [1.0]}), batch({"x": [1.0]}, model="second")))
            assert rejections(reply) == []
            monkeypatch.setattr("tenure_agent.store.catalogue.MAX_MODELS", 1)
            async with start("hub") as hub:
                await quiet(relay)
                assert value(hub, "dropped_total", model="second", reason="too_many_models") == 1
                assert value(relay, "relay_rejected_total", model="second", reason="too_many_models") == 1
                assert value(relay, "dropped_total", model="second", reason="too_many_models") == 0

    play(story)


def test_losses_that_come_with_a_resend_reach_the_hub_once(play: Play, batch: Batch) -> None:
    async def story(start: Start) -> None:
        def lost(rows: int) -> list[pb.Loss]:
            return [pb.Loss(model="fraud", reason="queue_full", rows=rows)]

        async with start("hub") as hub, start("relay") as relay:
            again = report(1, batch({"x": [1.0]}, ids=["1"]), losses=lost(2))
            await send(relay, report(1, batch({"x": [1.0]}, ids=["1"])), again, report(2, losses=lost(5)), again)
            await quiet(relay)
            for agent in (relay, hub):
                assert value(agent, "dropped_total", model="fraud", reason="queue_full") == 5
            assert await ids(hub) == ["1"]

    play(story)


def test_a_full_backlog_refuses_and_drops_nothing(play: Play, batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config_module, "LEAST_SIZE", 1 << 20)

    async def story(start: Start) -> None:
        taken: list[str] = []
        async with start("relay", store={"max_size": "1MiB"}) as relay:

            async def fill() -> None:
                for seq in range(1, 100):
                    await send(relay, report(seq, batch({"t": ["x" * 50_000]}, ids=[f"{seq:03}"])))
                    taken.append(f"{seq:03}")

            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await fill()
            assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert refused.value.details() == "the backlog is full"
            assert dict(refused.value.trailing_metadata()) == {"retry-after-ms": "1000"}
            assert 20 <= len(taken) < 40
            async with start("hub") as hub:
                await quiet(relay)
                assert await ids(hub) == taken
                await send(relay, report(len(taken) + 1, batch({"x": [1.0]})))

    play(story)


def test_a_relay_whose_store_is_lost_is_found_out_by_both(play: Play, batch: Batch, tmp_path: Path) -> None:
    async def story(start: Start) -> None:
        async with start("hub") as hub, start("relay") as relay:
            await send(relay, *[report(seq, batch({"x": [1.0]}, ids=[str(seq)])) for seq in (1, 2)])
            await quiet(relay)
        async with start("relay") as relay:
            await send(relay, *[report(seq, batch({"x": [1.0]}, ids=[str(seq)])) for seq in (3, 4, 5)])
        (tmp_path / "relay" / "t.duckdb").write_bytes(b"no database at all" * 1000)
        async with start("hub") as hub, start("relay") as relay:
            await send(relay, report(6, batch({"x": [1.0]}, ids=["6"])))
            await quiet(relay)
            assert await ids(hub) == ["1", "2", "6"]
            assert value(hub, "lost_after_ack_reports_total") == 3
            assert value(relay, "lost_after_ack_reports_total") == 5  # it has forgotten what the hub has, too
            assert value(hub, "missed_reports_total") == 0

    play(story)


def test_without_its_upstream_an_agent_keeps_what_it_had_not_sent(play: Play, batch: Batch, truths: Truths) -> None:
    async def story(start: Start) -> None:
        async with start("agent", upstream=None) as agent:
            await send(agent, report(1, batch({"x": [0.0]}, ids=["1"])))
        async with start("agent") as relay:
            assert await ids(relay) == ["1"], "its own rows stay"
            await send(relay, report(2, batch({"x": [0.0]}, ids=["2"])), report(3, outcomes=[truths({"2": 1})]))
        for _ in range(2):
            async with start("agent", upstream=None) as agent:
                assert await ids(agent) == ["1", "2"]
                assert await ids(agent, "outcomes") == ["2"]
                assert [reply.acked_seq for reply in await send(agent, report(3))] == [3]
        async with start("hub") as hub, start("agent") as relay:
            await send(relay, report(4, batch({"x": [0.0]}, ids=["4"])))
            await quiet(relay)
            assert await ids(hub) == ["4"]

    play(story)


def test_a_relay_says_what_it_is(play: Play, tmp_path: Path) -> None:
    hub = f"unix:{tmp_path}/hub/a.sock"

    async def verb(relay: Agent, *arguments: str) -> Any:
        command = [*arguments, "--agent", relay.addresses["grpc"]]
        return await asyncio.to_thread(CliRunner().invoke, main, command)

    async def story(start: Start) -> None:
        async with start("relay") as relay:
            await send(relay, report(1))
            told = json.loads((await verb(relay, "status", "--json")).output)["upstream"]
            assert told.pop("oldest_seconds") > 0
            assert told == {"address": hub, "connected": False, "reports": 1, "bytes": 7 - 2}
            shown = (await verb(relay, "status")).output.replace("\n", "")
            assert f"a relay to {hub}, not connected" in shown
            assert "to be sent: 1 reports, 5 bytes, the oldest for 0 s" in shown
            dates = ("--since", "2020-01-01", "--out", str(tmp_path / "rows.parquet"))
            for command in (["check"], ["sql", "SELECT 1"], ["decisions"], ["export", *dates]):
                refused = await verb(relay, *command)
                assert refused.exit_code == 1
                assert (
                    f"this agent is a relay: it sends everything on and keeps no rows. Try: --agent {hub}"
                    in refused.output
                )
            async with start("hub"):
                await quiet(relay)
                assert "connected" in (await verb(relay, "status")).output
                assert "not connected" not in (await verb(relay, "status")).output

    play(story)
