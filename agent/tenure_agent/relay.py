"""Sends a relay's reports on to its hub: in order, over one stream, again and again until the hub has committed them."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from random import Random
from typing import Any

import grpc

from tenure.backoff import Backoff
from tenure.errors import SettingError, TransportError
from tenure.transport import CHANNEL_OPTIONS, STREAM, credentials
from tenure_agent.backlog import Backlog
from tenure_agent.config import UpstreamConfig
from tenure_agent.metrics import Metrics
from tenure_agent.store.outgoing import Outgoing
from tenure_proto.v1 import monitoring_pb2 as pb

logger = logging.getLogger(__name__)

WINDOW = 16 << 20  # bytes on their way at a time
PATIENCE = 10.0  # seconds for the hub to take a connection, or to ack anything of what is on its way
SAVE = 1.0  # seconds between notes of how far the hub is: what it acked since is sent again after a kill
KEEPALIVE = (
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", round(PATIENCE * 1000)),
)
Call = grpc.aio.StreamStreamCall[bytes, pb.ReportReply]


class _Lost(Exception):
    """The connection cannot be used any more; `pause` is how many seconds the hub asked for."""

    def __init__(self, why: str, pause: float = 0.0) -> None:
        super().__init__(why)
        self.pause = pause


class Relay:
    """
    Parameters
    ----------
    upstream
        The hub; its files are read anew for every connection.
    backlog
        What to send.
    metrics
        Counts what the hub acked and refused.
    rng
        Where the jitter of pauses comes from.

    Raises
    ------
    SettingError
        A file cannot be used.
    """

    def __init__(
        self,
        upstream: UpstreamConfig,
        backlog: Backlog,
        metrics: Metrics,
        rng: Random | None = None,
    ) -> None:
        self.address = str(upstream.address)
        self._files = upstream.files()
        for fault in file_faults(upstream):
            raise fault
        self._backlog = backlog
        self._metrics = metrics
        self._backoff = Backoff(rng)
        self._more, self._landed = asyncio.Event(), asyncio.Event()
        self._flying: deque[Outgoing] = deque()
        self._heard = 0.0  # when an ack came, or something took off with nothing before it
        self._acked = 0
        self._tasks: list[asyncio.Task[None]] = []
        self.connected = False
        self.directives: Sequence[pb.Directive] = ()
        self.session = ""  # the hub's

    def start(self) -> None:
        self._tasks = [
            asyncio.create_task(self._run(), name="relay"),
            asyncio.create_task(self._save(), name="relay-mark"),
        ]

    async def stop(self) -> None:
        """Let go of the hub, and note how far it is; what waits is sent after the next start."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            await self._backlog.save()
        except Exception:
            logger.exception("how far the hub is was not noted")

    def wake(self) -> None:
        """There is more to send."""
        self._more.set()

    async def _run(self) -> None:
        failures = 0
        while True:
            before = self._acked
            try:
                await self._connection()
            except _Lost as lost:
                failures = 0 if self._acked > before else failures + 1
                if failures in {0, 1}:
                    told = {"upstream": self.address, "why": str(lost)}
                    logger.warning("the hub at %(upstream)s does not answer as it should: %(why)s", told)
                pause = lost.pause + self._backoff.seconds(failures)
            except Exception:
                failures += 1
                logger.exception("reports could not be sent on")
                pause = self._backoff.seconds(failures)
            await asyncio.sleep(pause)

    async def _connection(self) -> None:
        """Send until the connection ends, which is always a `_Lost`."""
        try:
            target, secured, metadata = credentials(self.address, **self._files)
        except TransportError as error:
            raise _Lost(str(error)) from None
        options = (*CHANNEL_OPTIONS, *KEEPALIVE)
        channel = (
            grpc.aio.insecure_channel(target, options)
            if secured is None
            else grpc.aio.secure_channel(target, secured, options)
        )
        async with channel:
            try:
                async with asyncio.timeout(PATIENCE):
                    await channel.channel_ready()
            except TimeoutError:
                raise _Lost("nobody takes the connection, or its certificate is not trusted") from None
            call: Call = channel.stream_stream(STREAM, response_deserializer=pb.ReportReply.FromString)(
                metadata=metadata
            )
            self._flying.clear()
            tasks = {asyncio.create_task(part) for part in (self._send(call), self._receive(call), self._watch())}
            self._connect(True)
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
                for task in done:
                    task.result()
            finally:
                self._connect(False)
                call.cancel()
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    def _connect(self, connected: bool) -> None:
        self.connected = connected
        self._metrics.relay_connected.labels(self.address).set(connected)

    async def _send(self, call: Call) -> None:
        after = self._backlog.sent
        size = 0
        while True:
            self._more.clear()
            chunk = await self._backlog.read(after)
            if not chunk:
                await self._more.wait()
            for report in chunk:
                while self._flying and size + len(report.payload) > WINDOW:
                    self._landed.clear()
                    await self._landed.wait()
                    size = sum(len(one.payload) for one in self._flying)
                if not self._flying:
                    self._heard = asyncio.get_running_loop().time()
                self._flying.append(report)
                size += len(report.payload)
                after = report.number
                try:
                    await call.write(report.payload)
                except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                    return  # the receiver hears why

    async def _receive(self, call: Call) -> None:
        try:
            while isinstance(reply := await call.read(), pb.ReportReply):
                report = self._flying.popleft()
                self._backlog.acked(report, self._flying[0] if self._flying else None)
                self._acked += 1
                self._heard = asyncio.get_running_loop().time()
                self._landed.set()
                self.directives, self.session = tuple(reply.directives), reply.session
                self._metrics.relay_forwarded.inc()
                for one in reply.rejections:
                    model = self._metrics.known(one.model)[0]
                    self._metrics.relay_rejected.labels(model, self._metrics.reason(one.reason)).inc(one.rows)
        except grpc.aio.AioRpcError as error:
            raise _Lost(f"{error.code().name}: {error.details()}", _pause(error)) from None
        raise _Lost("it ended the stream")

    async def _watch(self) -> None:
        """Give up on a hub that has stopped: it would hold us for ever."""
        while True:
            await asyncio.sleep(PATIENCE / 4)
            if self._flying and asyncio.get_running_loop().time() - self._heard > PATIENCE:
                raise _Lost("no ack in time")

    async def _save(self) -> None:
        while True:
            await asyncio.sleep(SAVE)
            try:
                await self._backlog.save()
            except Exception:
                logger.exception("how far the hub is was not noted")


def file_faults(upstream: UpstreamConfig) -> list[SettingError]:
    """What is wrong with the files a section names."""
    if upstream.address is None:
        return []
    try:
        credentials(upstream.address, **upstream.files())
    except TransportError as error:
        return [SettingError("upstream", str(error), "files that this user may read, a token of printable characters")]
    return []


def _pause(error: grpc.aio.AioRpcError) -> float:
    """Seconds the hub asks to be left alone."""
    told: Any = dict(error.trailing_metadata() or ())
    milliseconds = str(told.get("retry-after-ms", ""))
    return min(int(milliseconds), 60_000) / 1000 if milliseconds.isdecimal() else 0.0
