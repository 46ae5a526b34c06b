"""A hub and the way to it: streams, directives, credentials, and silence."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest
from tests.agent.relaying import (
    Batch,
    Play,
    Start,
    Truths,
    ids,
    played,
    quiet,
    report,
    send,
    until,
    value,
)

from tenure.errors import SettingError
from tenure_agent.ingest import Busy, Lane
from tenure_agent.store import outcomes, predictions
from tenure_agent.store.database import Cursor
from tenure_proto.v1 import monitoring_pb2 as pb
from tenure_proto.v1.monitoring_pb2_grpc import MonitoringStub


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Play:
    return played(tmp_path, monkeypatch)


def test_directives_of_the_hub_reach_the_producer(play: Play) -> None:
    back = pb.Directive(model="fraud", version="3.2.1", kind="rollback", argument="3.2.0")

    async def story(start: Start) -> None:
        async with start("hub") as hub, start("relay") as relay:
            said: Sequence[pb.Directive] = [back]
            hub._ingest._directives = lambda: said
            await send(relay, report(1))
            await quiet(relay)
            [reply] = await send(relay, report(2))
            assert list(reply.directives) == [back]
            await quiet(relay)
            said = []
            await send(relay, report(3))
            await quiet(relay)
            [reply] = await send(relay, report(4))
            assert list(reply.directives) == [], "one that is not told any more holds no longer"

    play(story)


def test_a_hub_that_does_not_answer_is_given_up(play: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenure_agent.relay.PATIENCE", 0.2)

    async def story(start: Start) -> None:
        with socket.create_server(("127.0.0.1", 0)) as mute:  # takes connections, and says nothing
            address = f"127.0.0.1:{mute.getsockname()[1]}"
            async with start("relay", upstream=address) as relay:
                await send(relay, report(1))
                [first] = [await asyncio.to_thread(mute.accept)]
                [again] = [await asyncio.to_thread(mute.accept)]
                assert value(relay, "relay_connected", upstream=address) == 0
                for connection, _ in (first, again):
                    connection.close()

    play(story)


def test_a_hub_with_a_token_and_tls(play: Play, batch: Batch, certificates: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("0123456789abcdef0123")
    (tmp_path / "wrong").write_text("another-token-altogether")
    access = {
        "token_file": str(tmp_path / "token"),
        "cert_file": str(certificates / "server.pem"),
        "key_file": str(certificates / "server.key"),
    }

    async def story(start: Start) -> None:
        async with start("hub", listen="127.0.0.1:0", access=access) as hub:
            address = "tls://localhost:" + hub.addresses["grpc"].rpartition(":")[2]
            upstream = {
                "address": address,
                "ca_file": str(certificates / "ca.pem"),
                "token_file": str(tmp_path / "wrong"),
            }
            async with start("relay", upstream=upstream) as relay:
                await send(relay, report(1, batch({"x": [1.0]}, ids=["1"])))
                await until(lambda: value(hub, "unauthenticated_calls_total") > 0)
                assert value(relay, "relay_forwarded_reports_total") == 0
                (tmp_path / "wrong").write_text((tmp_path / "token").read_text())  # renewed: read for every connection
                await quiet(relay)
                assert await ids(hub) == ["1"]

    play(story)


def test_a_file_that_cannot_be_read_is_told_at_the_start(play: Play, tmp_path: Path) -> None:
    async def story(start: Start) -> None:
        upstream = {"address": "127.0.0.1:1", "token_file": str(tmp_path / "none")}
        with pytest.raises(SettingError, match=r"upstream: .*none: No such file"):
            async with start("relay", upstream=upstream):
                pass

    play(story)


def test_once_a_report_of_a_stream_failed_none_after_it_is_stored(
    play: Play, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes again must find its place: a later one that is stored would make it a duplicate."""
    real = predictions.append

    def append(cursor: Cursor, catalogue: Any, batches: Sequence[Any], now: int) -> None:
        if any(rows.ids[0] == "poison" for _, rows in batches):
            raise RuntimeError
        real(cursor, catalogue, batches, now)

    monkeypatch.setattr(predictions, "append", append)

    async def story(start: Start) -> None:
        async with start("hub") as hub:
            lane = Lane()
            names = ["1", "2", "poison", "4", "5"]
            requests = [report(seq, batch({"x": [1.0]}, ids=[name])) for seq, name in enumerate(names, 1)]
            handed = [hub._ingest.submit(request, lane) for request in requests]
            other = hub._ingest.submit(report(1, batch({"x": [1.0]}, ids=["other"]), producer="q"), Lane())
            answers = await asyncio.gather(*handed, return_exceptions=True)
            assert [isinstance(answer, pb.ReportReply) for answer in answers] == [True, True, False, False, False]
            assert (await other).acked_seq == 1
            async with grpc.aio.insecure_channel(hub.addresses["grpc"]) as channel:
                call = MonitoringStub(channel).StreamReports(iter(requests))
                replies = [await call.read(), await call.read()]
                assert [reply.acked_seq for reply in replies] == [1, 2]
                with pytest.raises(grpc.aio.AioRpcError, match="not stored"):
                    await call.read()
            assert sorted(await ids(hub)) == ["1", "2", "other"]

    play(story)


def test_reports_of_one_stream_share_commits(play: Play, batch: Batch) -> None:
    async def story(start: Start) -> None:
        async with start("hub") as hub:
            before = value(hub, "commit_seconds_count")
            requests = [report(seq, batch({"x": [1.0]}, ids=[f"{seq:04}"])) for seq in range(1, 401)]
            async with grpc.aio.insecure_channel(hub.addresses["grpc"]) as channel:
                call = MonitoringStub(channel).StreamReports(iter(requests))
                assert [reply.acked_seq async for reply in call] == list(range(1, 401))
            assert value(hub, "commit_seconds_count") - before < 200
            assert await ids(hub) == [f"{seq:04}" for seq in range(1, 401)]

    play(story)


def test_busy_names_its_pause() -> None:
    assert (str(Busy()), Busy().pause) == ("the queue is full", 200)


def test_outcomes_sent_to_another_relay_join_at_the_hub(play: Play, batch: Batch, truths: Truths) -> None:
    async def story(start: Start) -> None:
        async with start("hub") as hub, start("first") as first, start("second") as second:
            outputs: Mapping[str, Sequence[Any]] = {"prediction": [0.9, 0.1]}
            await send(second, report(1, outcomes=[truths({"a": 1, "b": 0})], producer="labels"))
            await send(first, report(1, batch({"x": [1.0, 2.0]}, ids=["a", "b"], outputs=outputs)))
            await asyncio.gather(quiet(first), quiet(second))
            model = hub._catalogue.models["fraud"]
            found = await hub._database.async_read(lambda c: outcomes.labelled(c, model, 1, since=0, newest=10))
            assert sorted(zip(found.predictions, found.labels, strict=True)) == [(0.1, 0.0), (0.9, 1.0)]

    play(story)
