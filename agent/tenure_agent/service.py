"""The gRPC port: reports in, questions from command-line verbs, health."""

from __future__ import annotations

import json
import logging
import os
import stat
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health

from tenure.errors import TenureError
from tenure_agent.ingest import Busy, Ingest
from tenure_proto.v1 import monitoring_pb2 as pb
from tenure_proto.v1 import monitoring_pb2_grpc as wire

logger = logging.getLogger(__name__)

Context = grpc.aio.ServicerContext[Any, Any]
Answer = Callable[[Mapping[str, Any]], Awaitable[Any]]
MAX_MESSAGE = 4 << 20
SERVICES = ("tenure_proto.v1.Monitoring", "tenure_proto.v1.Operator")


class MonitoringService(wire.MonitoringServicer):
    """Takes reports; errors reach the client as codes, never as texts of ours."""

    def __init__(self, ingest: Ingest) -> None:
        self._ingest = ingest

    async def Report(self, request: pb.ReportRequest, context: Context) -> pb.ReportReply:  # noqa: N802
        try:
            return await self._ingest.report(request)
        except Busy:
            context.set_trailing_metadata((("retry-after-ms", "200"),))
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "the queue is full")
        except Exception:
            logger.exception("a report failed")
            await context.abort(grpc.StatusCode.UNAVAILABLE, "not stored")
        raise AssertionError("abort always raises")

    async def StreamReports(  # noqa: N802
        self, request_iterator: AsyncIterator[pb.ReportRequest], context: Context
    ) -> AsyncIterator[pb.ReportReply]:
        async for request in request_iterator:
            yield await self.Report(request, context)


class OperatorService(wire.OperatorServicer):
    """Answers verbs. A verb's own error goes back as its message; anything else as a code."""

    def __init__(self, answers: Mapping[str, Answer]) -> None:
        self._answers = answers

    async def Ask(self, request: pb.AskRequest, context: Context) -> pb.AskReply:  # noqa: N802
        answer = self._answers.get(request.verb)
        if answer is None:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, f"this agent does not know {request.verb[:40]!r}")
            raise AssertionError("abort always raises")
        try:
            return pb.AskReply(answer=json.dumps(await answer(json.loads(request.arguments or "{}"))))
        except TenureError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except Exception:
            logger.exception("the verb %s failed", request.verb)
            await context.abort(grpc.StatusCode.INTERNAL, "the agent could not answer; its log says why")
        raise AssertionError("abort always raises")


class GrpcPort:
    """Listens on a unix socket in a directory only its owner may enter, or on loopback TCP."""

    def __init__(self, ingest: Ingest, answers: Mapping[str, Answer]) -> None:
        self._server = grpc.aio.server(
            options=(("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", MAX_MESSAGE))
        )
        wire.add_MonitoringServicer_to_server(MonitoringService(ingest), self._server)
        wire.add_OperatorServicer_to_server(OperatorService(answers), self._server)
        self._health = health.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self._socket: Path | None = None
        self.address = ""

    async def start(self, listen: str) -> None:
        """
        Raises
        ------
        TenureError
            The address cannot be bound.
        """
        if listen.startswith("unix:"):
            self._socket = _clear_socket(listen.removeprefix("unix:"))
            listen = f"unix:{self._socket}"
        try:
            port = self._server.add_insecure_port(listen)
        except RuntimeError as error:
            raise TenureError(f"listen: {listen!r} cannot be bound ({error}). Try: another address") from None
        self.address = listen if self._socket else f"{listen.rpartition(':')[0]}:{port}"
        await self._server.start()
        if self._socket is not None:
            self._socket.chmod(0o600)
        for name in ("", *SERVICES):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    async def stop(self, grace: float) -> None:
        """Take no more reports, and let those in hand be answered."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace)
        if self._socket is not None:
            self._socket.unlink(missing_ok=True)


def _clear_socket(name: str) -> Path:
    """The socket's path, cleared of what a killed agent left. The database's lock is held: no other agent has it."""
    path = Path(name).absolute()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if len(os.fsencode(path)) > 100:
        raise TenureError(f"listen: {str(path)!r} is too long for a socket. Try: a shorter path")
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise TenureError(f"listen: {str(path)!r} is there and is no socket. Try: another path")
        path.unlink()
    except FileNotFoundError:
        pass
    return path
