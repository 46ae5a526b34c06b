"""The gRPC port under clients that say nothing, or too much: they are cut off, and others are served meanwhile."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from typing import Any, cast

import grpc
import pytest

from tenure_agent.ingest import Ingest, Lane
from tenure_agent.service import GrpcPort, Limits, Offered
from tenure_proto.v1 import monitoring_pb2 as pb
from tenure_proto.v1 import monitoring_pb2_grpc as wire

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5)  # as every client begins: no settings
DEADLINE = 60.0
READY = grpc.ChannelConnectivity.READY


class FakeIngest:
    """Acks."""

    async def report(self, request: pb.ReportRequest, _: object = None) -> pb.ReportReply:
        return pb.ReportReply(acked_seq=request.seq)

    async def room(self) -> None:
        """There always is."""

    def submit(self, request: pb.ReportRequest, _: Lane) -> asyncio.Future[pb.ReportReply]:
        return asyncio.ensure_future(self.report(request))


@asynccontextmanager
async def serving(limits: Limits) -> AsyncIterator[GrpcPort]:
    port = GrpcPort(cast("Ingest", FakeIngest()), {}, cast("Offered", None), limits=limits)
    await port.start("127.0.0.1:0")
    async with asyncio.timeout(DEADLINE):
        yield port
    await port.stop(0)


def channel(port: GrpcPort) -> grpc.aio.Channel:
    options = (("grpc.use_local_subchannel_pool", 1), ("grpc.max_reconnect_backoff_ms", 100))
    return grpc.aio.insecure_channel(port.address, options=options)


async def acked(over: grpc.aio.Channel) -> int:
    call = wire.MonitoringStub(over).Report(pb.ReportRequest(seq=7), timeout=DEADLINE, wait_for_ready=True)
    return int((await call).acked_seq)


def connect(port: GrpcPort, stack: ExitStack) -> socket.socket:
    made = stack.enter_context(socket.create_connection(("127.0.0.1", int(port.address.rpartition(":")[2]))))
    made.settimeout(DEADLINE)
    return made


def ended(connection: socket.socket) -> bool:
    """Wait until the other side has hung up."""
    try:
        while connection.recv(1 << 16):
            pass
    except ConnectionResetError:
        return True
    return True


def test_a_hundred_idle_connections_and_a_slow_one_stop_nobody() -> None:
    async def story() -> None:
        async with serving(Limits(handshake=1.0)) as port, channel(port) as client:
            with ExitStack() as stack:
                silent = [connect(port, stack) for _ in range(50)]
                idle = [connect(port, stack) for _ in range(50)]
                slow = connect(port, stack)
                for connection in (*idle, slow):
                    connection.sendall(PREFACE)
                for byte in b"\x00\x10\x00\x01":  # the beginning of a request's head, one byte at a time
                    slow.sendall(bytes([byte]))
                    assert await acked(client) == 7
                assert all(await asyncio.gather(*(asyncio.to_thread(ended, connection) for connection in silent)))
                assert await acked(client) == 7

    asyncio.run(story())


def test_connections_beyond_the_limit_are_closed_at_once_and_room_comes_back() -> None:
    async def story() -> None:
        async with serving(Limits(connections=5, handshake=1.0)) as port:
            with ExitStack() as stack:
                within = [connect(port, stack) for _ in range(5)]
                assert all([bool(await asyncio.to_thread(made.recv, 1)) for made in within])  # the server's settings
                assert await asyncio.to_thread(ended, connect(port, stack))
                async with channel(port) as client:
                    assert await acked(client) == 7

    asyncio.run(story())


@pytest.mark.parametrize("limits", [Limits(idle=0.1), Limits(age=0.1)], ids=["idle", "old"])
def test_a_connection_is_closed_and_its_client_comes_back(limits: Limits) -> None:
    async def story() -> None:
        async with serving(limits) as port, channel(port) as client:
            for _ in range(3):
                assert await acked(client) == 7
                while (state := client.get_state()) is READY:
                    await client.wait_for_state_change(state)

    asyncio.run(story())


def test_a_call_that_never_ends_ends_with_its_connection() -> None:
    async def story() -> None:
        async def silent() -> AsyncIterator[pb.ReportRequest]:
            yield pb.ReportRequest(seq=1)
            await asyncio.Event().wait()

        async with serving(Limits(age=0.2, grace=0.2)) as port, channel(port) as client:
            call: Any = wire.MonitoringStub(client).StreamReports(silent())
            assert (await call.read()).acked_seq == 1
            with pytest.raises(grpc.aio.AioRpcError) as cut:
                await call.read()
            assert cut.value.code() is grpc.StatusCode.UNAVAILABLE
            assert await acked(client) == 7

    asyncio.run(story())


def test_one_connection_has_so_many_calls_and_the_next_one_waits() -> None:
    async def story() -> None:
        release = asyncio.Event()

        async def held() -> AsyncIterator[pb.ReportRequest]:
            yield pb.ReportRequest(seq=1)
            await release.wait()

        async with serving(Limits(streams=2)) as port, channel(port) as client, channel(port) as other:
            stub = wire.MonitoringStub(client)
            calls: list[Any] = [stub.StreamReports(held()) for _ in range(2)]
            assert [(await call.read()).acked_seq for call in calls] == [1, 1]
            waiting = asyncio.ensure_future(acked(client))
            assert await acked(other) == 7
            assert not waiting.done()
            release.set()
            assert await waiting == 7

    asyncio.run(story())
