"""The real transport against a real gRPC server: replies, refusals, silence."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest

from tenure import TransportError
from tenure.transport import GrpcTransport
from tenure_proto.v1 import monitoring_pb2 as pb
from tenure_proto.v1 import monitoring_pb2_grpc as wire

DEADLINE = 60.0


@dataclass
class Agent(wire.MonitoringServicer):
    """Answers as it is told to; `hang` holds every call until the test is over."""

    requests: list[pb.ReportRequest] = field(default_factory=list)
    refusal: grpc.StatusCode | None = None
    hang: bool = False
    called: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)

    def Report(self, request: pb.ReportRequest, context: grpc.ServicerContext) -> pb.ReportReply:  # noqa: N802
        self.requests.append(request)
        self.called.set()
        if self.hang:
            self.over.wait(DEADLINE)
        if self.refusal is not None:
            context.abort(self.refusal, "the agent's own words")
        return pb.ReportReply(acked_seq=request.seq, rejections=[pb.Rejection(model="m", reason="r", rows=3)])


Serve = Callable[[str], str]
Connect = Callable[[str], GrpcTransport]


@pytest.fixture
def agent() -> Iterator[Agent]:
    agent = Agent()
    yield agent
    agent.over.set()


@pytest.fixture
def serve(agent: Agent) -> Iterator[Serve]:
    """Start a server at an address; gives the address with its port."""
    servers: list[grpc.Server] = []

    def start(address: str) -> str:
        server = grpc.server(ThreadPoolExecutor(4), options=(("grpc.so_reuseport", 0),))
        wire.add_MonitoringServicer_to_server(agent, server)
        port = server.add_insecure_port(address)
        server.start()
        servers.append(server)
        return address if address.startswith("unix:") else f"{address.rpartition(':')[0]}:{port}"

    yield start
    agent.over.set()
    for server in servers:
        assert server.stop(0).wait(DEADLINE)


@pytest.fixture
def connect() -> Iterator[Connect]:
    transports: list[GrpcTransport] = []

    def connect(address: str) -> GrpcTransport:
        transports.append(GrpcTransport(address))
        return transports[-1]

    yield connect
    for transport in transports:
        transport.close()


@pytest.fixture(params=["unix", "tcp"])
def address(request: pytest.FixtureRequest, serve: Serve, tmp_path: Path) -> str:
    """Where the agent listens."""
    return serve(f"unix:{tmp_path}/a.sock" if request.param == "unix" else "127.0.0.1:0")


def report(seq: int) -> bytes:
    return pb.ReportRequest(producer_id="p", seq=seq).SerializeToString()


def test_a_report_and_its_reply(agent: Agent, connect: Connect, address: str) -> None:
    transport = connect(address)
    replies = [transport.report(report(seq), DEADLINE) for seq in (1, 2)]

    assert [reply.acked_seq for reply in replies] == [1, 2]
    assert [(r.model, r.reason, r.rows) for r in replies[0].rejections] == [("m", "r", 3)]
    assert agent.requests == [pb.ReportRequest(producer_id="p", seq=seq) for seq in (1, 2)]


def test_parts_of_a_report_may_be_joined_as_bytes(agent: Agent, connect: Connect, address: str) -> None:
    body = pb.ReportRequest(batches=[pb.Batch(model="m", rows=1)]).SerializeToString()
    connect(address).report(report(1) + body, DEADLINE)

    assert agent.requests == [pb.ReportRequest(producer_id="p", seq=1, batches=[pb.Batch(model="m", rows=1)])]


def test_a_server_that_hangs(agent: Agent, connect: Connect, address: str) -> None:
    agent.hang = True

    with pytest.raises(TransportError, match=f"{address}: DEADLINE_EXCEEDED"):
        connect(address).report(report(1), timeout=0.2)


def test_close_from_another_thread_ends_a_call_that_hangs(agent: Agent, connect: Connect, address: str) -> None:
    agent.hang = True
    transport = connect(address)
    raised: list[Any] = []

    def call() -> None:
        try:
            raised.append(transport.report(report(1), timeout=100 * DEADLINE))
        except TransportError as error:
            raised.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    assert agent.called.wait(DEADLINE)
    transport.close()
    thread.join(DEADLINE)

    assert [str(error) for error in raised] == [f"{address}: CANCELLED"]


def test_close_ends_all_on_their_way(agent: Agent, connect: Connect, address: str) -> None:
    agent.hang = True
    transport = connect(address)
    on_their_way = [transport.send(report(seq), 100 * DEADLINE) for seq in (1, 2, 3)]
    assert agent.called.wait(DEADLINE)
    transport.close()

    for sent in on_their_way:
        assert not sent.queued()
        with pytest.raises(TransportError, match=f"{address}: CANCELLED"):
            sent.reply()


def test_an_older_agent_is_sent_one_by_one(agent: Agent, connect: Connect, address: str) -> None:
    transport = connect(address)
    for seq in (1, 2):
        sent = transport.send(report(seq), DEADLINE)
        assert not sent.queued()  # it says nothing before it has answered
        assert sent.reply().acked_seq == seq


def test_closed_is_opened_by_the_next_report(connect: Connect, address: str) -> None:
    transport = connect(address)
    for seq in (1, 2):
        assert transport.report(report(seq), DEADLINE).acked_seq == seq
        transport.close()
        transport.close()


@pytest.mark.parametrize("code", [grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE])
def test_a_refusal_is_named_by_its_code(agent: Agent, connect: Connect, address: str, code: grpc.StatusCode) -> None:
    agent.refusal = code

    with pytest.raises(TransportError) as refused:
        connect(address).report(report(1), DEADLINE)
    assert str(refused.value) == f"{address}: {code.name}"
    assert len(agent.requests) == 1  # we resend, gRPC does not

    sent = connect(address).send(report(1), DEADLINE)
    assert not sent.queued()
    with pytest.raises(TransportError) as refused:
        sent.reply()
    assert str(refused.value) == f"{address}: {code.name}"


@pytest.mark.parametrize("where", ["unix:{}/nobody.sock", "127.0.0.1:1", "no address", "unix:", "a.invalid:1"])
def test_nobody_there(connect: Connect, tmp_path: Path, where: str) -> None:
    with pytest.raises(TransportError, match=r"UNAVAILABLE|DEADLINE_EXCEEDED"):
        connect(where.format(tmp_path)).report(report(1), timeout=2)


def test_a_new_agent_at_the_old_address(agent: Agent, serve: Serve, connect: Connect, tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/a.sock"
    with pytest.raises(TransportError):
        connect(address).report(report(1), DEADLINE)
    serve(address)

    assert connect(address).report(report(1), DEADLINE).acked_seq == 1
    assert len(agent.requests) == 1


def test_an_agent_that_takes_no_references_says_so_for_good(connect: Connect, address: str) -> None:
    transport = connect(address)
    reply = transport.offer(b"", DEADLINE)

    assert (reply.taken, reply.refused) == (False, "unknown")
    assert "too old" in reply.why
    assert transport.report(report(1), DEADLINE).acked_seq == 1


def test_nobody_there_to_be_offered_anything(connect: Connect, tmp_path: Path) -> None:
    with pytest.raises(TransportError, match="UNAVAILABLE"):
        connect(f"unix:{tmp_path}/nobody.sock").offer(b"", timeout=2)


def test_proxies_of_the_environment_are_not_for_us(
    connect: Connect, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("no_proxy", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    address = serve("127.0.0.1:0")

    assert connect(address).report(report(1), DEADLINE).acked_seq == 1
