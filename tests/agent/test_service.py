"""The gRPC port: what is answered, with which code, and never with our own texts."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tenure.errors import SettingError, TenureError
from tenure.transport import MORE, QUEUED, REPORT
from tenure_agent.ingest import Busy, Ingest, Lane
from tenure_agent.service import SERVICES, GrpcPort, Limits
from tenure_proto.v1 import monitoring_pb2 as pb
from tenure_proto.v1 import monitoring_pb2_grpc as wire

SECRET = "/secret/path and a row's value"
Code = grpc.StatusCode


class FakeIngest:
    """Acks; fails for the model named after the failure."""

    def __init__(self) -> None:
        self.seen: list[pb.ReportRequest] = []
        self.commit = asyncio.Event()

    async def report(
        self, request: pb.ReportRequest, queued: Callable[[], Awaitable[None]] | None = None
    ) -> pb.ReportReply:
        self.seen.append(request)
        failure = request.batches[0].model if request.batches else ""
        if failure == "busy":
            raise Busy
        if failure == "broken":
            raise OSError(SECRET)
        if queued is not None:
            await queued()
            await self.commit.wait()
        return pb.ReportReply(acked_seq=request.seq)

    async def room(self) -> None:
        """There always is."""

    def submit(self, request: pb.ReportRequest, _: Lane) -> asyncio.Future[pb.ReportReply]:
        return asyncio.ensure_future(self.report(request))


async def echo(arguments: Mapping[str, Any]) -> Any:
    return {"said": dict(arguments)}


async def refuse(_: Mapping[str, Any]) -> Any:
    raise TenureError("model: 'x' is unknown. Try: fraud")


async def take(_: pb.ReferenceOffer) -> pb.ReferenceReply:
    return pb.ReferenceReply(taken=True)


async def refuse_setting(_: Mapping[str, Any]) -> Any:
    raise SettingError("role", "boss", "champion")


async def crash(_: Mapping[str, Any]) -> Any:
    raise RuntimeError(SECRET)


async def unprintable(_: Mapping[str, Any]) -> Any:
    return {SECRET: object()}


ANSWERS = {"echo": echo, "refuse": refuse, "refuse_setting": refuse_setting, "crash": crash, "unprintable": unprintable}


class Client:
    def __init__(self, ingest: FakeIngest, port: GrpcPort, channel: grpc.aio.Channel) -> None:
        self.ingest, self.port, self.channel = ingest, port, channel
        self.monitoring = wire.MonitoringStub(channel)
        self.operator = wire.OperatorStub(channel)
        self.health: Any = health_pb2_grpc.HealthStub(channel)

    async def ask(self, verb: str, arguments: str = "{}") -> Any:
        return json.loads((await self.operator.Ask(pb.AskRequest(verb=verb, arguments=arguments), timeout=60)).answer)

    async def state(self, service: str) -> int:
        reply = await self.health.Check(health_pb2.HealthCheckRequest(service=service), timeout=60)
        return int(reply.status)


@asynccontextmanager
async def serving(listen: str) -> AsyncIterator[Client]:
    ingest = FakeIngest()
    port = GrpcPort(cast("Ingest", ingest), ANSWERS, take)
    await port.start(listen)
    options = (("grpc.max_send_message_length", -1),)
    async with grpc.aio.insecure_channel(port.address, options=options) as channel:
        yield Client(ingest, port, channel)
    await port.stop(0)


Story = Callable[[Client], Awaitable[None]]


@pytest.fixture
def play(tmp_path: Path) -> Callable[[Story], None]:
    async def run(story: Story) -> None:
        async with asyncio.timeout(60), serving(f"unix:{tmp_path}/agent.sock") as client:
            await story(client)

    return lambda story: asyncio.run(run(story))


Play = Callable[[Story], None]


def report(model: str = "", seq: int = 1) -> pb.ReportRequest:
    return pb.ReportRequest(seq=seq, batches=[pb.Batch(model=model)] if model else [])


def test_a_verb_is_answered(play: Play) -> None:
    async def story(client: Client) -> None:
        assert await client.ask("echo", '{"model": "fraud"}') == {"said": {"model": "fraud"}}
        assert await client.ask("echo", "") == {"said": {}}

    play(story)


@pytest.mark.parametrize(
    ("verb", "arguments", "code", "details"),
    [
        ("fly", "{}", Code.UNIMPLEMENTED, "this agent does not know 'fly'"),
        ("x" * 1000, "{}", Code.UNIMPLEMENTED, f"this agent does not know '{'x' * 40}'"),
        ("refuse", "{}", Code.INVALID_ARGUMENT, "model: 'x' is unknown. Try: fraud"),
        ("refuse_setting", "{}", Code.INVALID_ARGUMENT, "role: 'boss' cannot be used. Try: champion."),
        ("crash", "{}", Code.INTERNAL, "the agent could not answer; its log says why"),
        ("unprintable", "{}", Code.INTERNAL, "the agent could not answer; its log says why"),
        ("echo", "not json", Code.INTERNAL, "the agent could not answer; its log says why"),
    ],
)
def test_a_verb_that_cannot_be_answered(
    play: Play, verb: str, arguments: str, code: grpc.StatusCode, details: str
) -> None:
    async def story(client: Client) -> None:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await client.ask(verb, arguments)
        assert refused.value.code() is code
        assert refused.value.details() == details
        assert await client.ask("echo") == {"said": {}}

    play(story)


def test_a_report_is_acked(play: Play) -> None:
    async def story(client: Client) -> None:
        assert (await client.monitoring.Report(report(seq=7), timeout=60)).acked_seq == 7

    play(story)


def test_who_asks_hears_before_the_commit_that_a_report_is_queued(play: Play) -> None:
    async def story(client: Client) -> None:
        followed: Any = client.channel.unary_stream(REPORT, response_deserializer=pb.ReportReply.FromString)
        asked = ((MORE, "1"),)
        call: Any = followed(report(seq=7).SerializeToString(), timeout=60, metadata=asked)
        assert QUEUED in dict(await call.initial_metadata())
        gone: Any = followed(report(seq=8).SerializeToString(), timeout=60, metadata=asked)
        gone.cancel()
        client.ingest.commit.set()
        assert (await call.read()).acked_seq == 7

        quiet = client.monitoring.Report(report(seq=9), timeout=60)
        assert QUEUED not in dict(await quiet.initial_metadata())
        assert (await quiet).acked_seq == 9

    play(story)


@pytest.mark.parametrize(
    ("failure", "code", "details"),
    [("busy", Code.RESOURCE_EXHAUSTED, "the queue is full"), ("broken", Code.UNAVAILABLE, "not stored")],
)
def test_a_report_that_is_not_taken(play: Play, failure: str, code: grpc.StatusCode, details: str) -> None:
    async def story(client: Client) -> None:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await client.monitoring.Report(report(failure), timeout=60)
        assert refused.value.code() is code
        assert refused.value.details() == details
        assert SECRET not in str(refused.value)
        trailing = dict(refused.value.trailing_metadata())
        assert trailing.get("retry-after-ms") == ("200" if failure == "busy" else None)
        assert (await client.monitoring.Report(report(seq=2), timeout=60)).acked_seq == 2

    play(story)


def test_reports_on_a_stream_are_acked_in_their_order(play: Play) -> None:
    async def story(client: Client) -> None:
        call = client.monitoring.StreamReports(report(seq=seq) for seq in range(1, 51))
        assert [reply.acked_seq async for reply in call] == list(range(1, 51))

    play(story)


@pytest.mark.parametrize(("failure", "code"), [("busy", Code.RESOURCE_EXHAUSTED), ("broken", Code.UNAVAILABLE)])
def test_a_stream_ends_with_the_report_that_is_not_taken(play: Play, failure: str, code: grpc.StatusCode) -> None:
    async def story(client: Client) -> None:
        call = client.monitoring.StreamReports(iter([report(seq=1), report(failure), report(seq=3)]))
        assert (await call.read()).acked_seq == 1
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call.read()
        assert refused.value.code() is code
        assert SECRET not in str(refused.value)

    play(story)


def test_a_message_over_the_limit_is_refused_unread(play: Play) -> None:
    def sized(payload: int) -> pb.ReportRequest:
        return pb.ReportRequest(seq=1, batches=[pb.Batch(times=bytes(payload))])

    async def story(client: Client) -> None:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await client.monitoring.Report(sized(Limits().message), timeout=60)
        assert refused.value.code() is Code.RESOURCE_EXHAUSTED
        assert client.ingest.seen == []
        assert (await client.monitoring.Report(sized(Limits().message - 64), timeout=60)).acked_seq == 1

    play(story)


def test_health(play: Play) -> None:
    async def story(client: Client) -> None:
        serving_ = health_pb2.HealthCheckResponse.SERVING
        assert [await client.state(name) for name in ("", *SERVICES)] == [serving_] * 3
        with pytest.raises(grpc.aio.AioRpcError) as unknown:
            await client.state("no.such.Service")
        assert unknown.value.code() is Code.NOT_FOUND

    play(story)


def start_and_stop(listen: str, then: Callable[[GrpcPort], None] = lambda _: None) -> None:
    async def run() -> None:
        port = GrpcPort(cast("Ingest", FakeIngest()), ANSWERS, take)
        await port.start(listen)
        then(port)
        await port.stop(0)

    asyncio.run(run())


def test_the_socket_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "run" / "agent.sock"

    def look(port: GrpcPort) -> None:
        assert port.address == f"unix:{path}"
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700

    start_and_stop(f"unix:{path}", look)
    assert not path.exists()


def test_a_socket_left_by_a_killed_agent_is_cleared(tmp_path: Path) -> None:
    path = tmp_path / "agent.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    assert path.is_socket()
    start_and_stop(f"unix:{path}")


def test_addresses_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("keep me")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for listen, told in (
            (f"unix:{tmp_path}/notes.txt", "Try: another path; this one is there and is no socket"),
            (f"unix:{tmp_path}/{'x' * 100}", "Try: a shorter path"),
            (f"127.0.0.1:{taken.getsockname()[1]}", "Try: another address; this one cannot be bound"),
        ):
            with pytest.raises(TenureError, match=told):
                start_and_stop(listen)
    assert (tmp_path / "notes.txt").read_text() == "keep me"


def test_tcp_picks_a_free_port() -> None:
    def look(port: GrpcPort) -> None:
        host, _, number = port.address.rpartition(":")
        assert host == "127.0.0.1"
        assert int(number) > 0

    start_and_stop("127.0.0.1:0", look)
