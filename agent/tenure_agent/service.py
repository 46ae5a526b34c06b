"""The gRPC port: reports in, questions from command-line verbs, health."""

from __future__ import annotations

import json
import logging
import os
import stat
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health

from tenure.errors import SettingError, TenureError
from tenure.transport import MORE, QUEUED
from tenure_agent.access import Access
from tenure_agent.ingest import Busy, Ingest
from tenure_agent.relay_offers import HubAway
from tenure_agent.store import StoreFull
from tenure_agent.stream import stored
from tenure_proto.v1 import monitoring_pb2 as pb
from tenure_proto.v1 import monitoring_pb2_grpc as wire

logger = logging.getLogger(__name__)

Context = grpc.aio.ServicerContext[Any, Any]
Answer = Callable[[Mapping[str, Any]], Awaitable[Any]]
Offered = Callable[[pb.ReferenceOffer], Awaitable[pb.ReferenceReply]]
Option = tuple[str, int]
SERVICES = ("tenure_proto.v1.Monitoring", "tenure_proto.v1.Operator")


class MonitoringService(wire.MonitoringServicer):
    """Takes reports and references; errors reach the client as codes, never as texts of ours."""

    def __init__(self, ingest: Ingest, offered: Offered) -> None:
        self._ingest = ingest
        self._offered = offered

    async def Report(self, request: pb.ReportRequest, context: Context) -> pb.ReportReply:  # noqa: N802
        try:
            asked = any(key == MORE for key, _ in context.invocation_metadata() or ())
            return await self._ingest.report(request, partial(_tell_queued, context) if asked else None)
        except Exception as error:  # noqa: BLE001  # it is logged there
            await _abort(error, context)
        raise AssertionError("abort always raises")

    async def StreamReports(  # noqa: N802
        self, request_iterator: AsyncIterator[pb.ReportRequest], context: Context
    ) -> AsyncIterator[pb.ReportReply]:
        try:
            async with aclosing(stored(self._ingest, request_iterator)) as replies:
                async for reply in replies:
                    yield reply
        except Exception as error:  # noqa: BLE001  # it is logged there
            await _abort(error, context)

    async def OfferReference(self, request: pb.ReferenceOffer, context: Context) -> pb.ReferenceReply:  # noqa: N802
        try:
            return await self._offered(request)
        except HubAway:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the hub is away")
        except Exception as error:  # noqa: BLE001  # it is logged there
            await _abort(error, context)
        raise AssertionError("abort always raises")


async def _tell_queued(context: Context) -> None:
    with suppress(Exception):  # who asked is gone
        await context.send_initial_metadata(((QUEUED, "1"),))


async def _abort(error: Exception, context: Context) -> None:
    if isinstance(error, Busy):
        context.set_trailing_metadata((("retry-after-ms", str(error.pause)),))
        await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, str(error))
    if isinstance(error, StoreFull):
        context.set_trailing_metadata((("retry-after-ms", "1000"),))
        await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "the disk is full")
    logger.error("a call failed", exc_info=error)
    await context.abort(grpc.StatusCode.UNAVAILABLE, "not stored")


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
            logger.exception("the verb %(verb)s failed", {"verb": request.verb})
            await context.abort(grpc.StatusCode.INTERNAL, "the agent could not answer; its log says why")
        raise AssertionError("abort always raises")


@dataclass(frozen=True, slots=True)
class Limits:
    """What clients may hold. Times are in seconds; a client that is cut off connects again and resends."""

    message: int = 4 << 20  # bytes
    connections: int = 512  # of all clients; what comes beyond them is closed at once
    streams: int = 32  # calls at a time, of one connection
    handshake: float = 10.0  # for a connection to say that it speaks HTTP/2
    idle: float = 300.0  # without a call
    age: float = 3600.0  # of a connection: the slowest call ends, and a credential that was withdrawn
    grace: float = 10.0  # for the calls of a connection that has become too old
    keepalive: float = 30.0  # of silence during a call, then the client must answer a ping
    answer: float = 10.0
    pings: float = 10.0  # between those of a silent client, a relay with nothing to send

    def options(self) -> tuple[Option, ...]:
        return (
            ("grpc.so_reuseport", 0),
            ("grpc.max_receive_message_length", self.message),
            ("grpc.max_allowed_incoming_connections", self.connections),
            ("grpc.max_concurrent_streams", self.streams),
            ("grpc.server_handshake_timeout_ms", round(self.handshake * 1000)),
            ("grpc.max_connection_idle_ms", round(self.idle * 1000)),
            ("grpc.max_connection_age_ms", round(self.age * 1000)),
            ("grpc.max_connection_age_grace_ms", round(self.grace * 1000)),
            ("grpc.keepalive_time_ms", round(self.keepalive * 1000)),
            ("grpc.keepalive_timeout_ms", round(self.answer * 1000)),
            ("grpc.http2.min_ping_interval_without_data_ms", round(self.pings * 1000)),
        )


class GrpcPort:
    """Listens on a unix socket in a directory only its owner may enter, or on TCP.

    Parameters
    ----------
    ingest, answers, offered
        What reports, questions and references go to.
    access
        Who may.
    limits
        How much of it.
    """

    def __init__(
        self,
        ingest: Ingest,
        answers: Mapping[str, Answer],
        offered: Offered,
        access: Access = Access(),  # noqa: B008  # frozen
        limits: Limits = Limits(),
    ) -> None:
        self._access = access
        self._server = grpc.aio.server(interceptors=access.interceptors, options=limits.options())
        wire.add_MonitoringServicer_to_server(MonitoringService(ingest, offered), self._server)
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
            self._socket = _clear_socket(listen.removeprefix("unix:"), self._access.socket_mode)
            listen = f"unix:{self._socket}"
        mask = os.umask(0o177)  # the socket is nobody else's, not even for a moment
        try:
            port = self._bind(listen)
        except RuntimeError:
            raise SettingError("listen", listen, "another address; this one cannot be bound") from None
        finally:
            os.umask(mask)
        if self._socket is not None:
            self._socket.chmod(self._access.socket_mode)
            self.address = listen
        else:
            scheme = "tls://" if self._access.credentials is not None else ""
            self.address = f"{scheme}{listen.rpartition(':')[0]}:{port}"
        await self._server.start()
        for name in ("", *SERVICES):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    def _bind(self, listen: str) -> int:
        if self._access.credentials is not None:
            return self._server.add_secure_port(listen, self._access.credentials)
        return self._server.add_insecure_port(listen)

    async def stop(self, grace: float) -> None:
        """Take no more reports, and let those in hand be answered."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace)
        if self._socket is not None:
            self._socket.unlink(missing_ok=True)


def _clear_socket(name: str, mode: int) -> Path:
    """The socket's path, cleared of what a killed agent left. The database's lock is held: no other agent has it."""
    path = Path(name).absolute()
    if len(os.fsencode(path)) > 100:
        raise SettingError("listen", str(path), "a shorter path; a socket's is 100 bytes at most")
    try:
        _make_directory(path.parent, mode)
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise SettingError("listen", str(path), "another path; this one is there and is no socket")
        path.unlink()
    except FileNotFoundError:
        pass
    except OSError as error:
        raise SettingError("listen", str(path), f"a directory of this user's ({error.strerror})") from None
    return path


def _make_directory(path: Path, mode: int) -> None:
    """For its owner only, and for those to enter who may use the socket in it. One that is there stays as it is."""
    if path.is_dir():
        if (found := path.stat().st_mode) & stat.S_IWOTH and not found & stat.S_ISVTX:
            logger.warning("everybody may put a socket of theirs in the place of %(path)s's", {"path": str(path)})
        return
    path.mkdir(parents=True, mode=0o700)
    path.chmod(0o700 | (mode & 0o022) >> 1)
