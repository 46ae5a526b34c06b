"""The agent's HTTP port: metrics, health and readiness. What it shows holds no value of a feature or a label."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from tenure.errors import SettingError

PATIENCE = 30.0
GRACE = 2.0


class HttpPort:
    """Serves `/metrics`, `/healthz` (the process lives) and `/readyz` (it takes reports).

    Parameters
    ----------
    registry, ready
        What is shown.
    patience
        Seconds a connection may last, which is good for one request: whoever says nothing, or reads slowly, holds it no
        longer.
    """

    def __init__(self, registry: CollectorRegistry, ready: Callable[[], bool], patience: float = PATIENCE) -> None:
        self._registry = registry
        self._ready = ready
        self._patience = patience
        self._server: asyncio.Server | None = None
        app = web.Application()
        app.add_routes(
            [
                web.get("/metrics", self._metrics),
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, keepalive_timeout=0, shutdown_timeout=GRACE)
        self.port = 0

    async def start(self, host: str, port: int) -> None:
        """
        Raises
        ------
        SettingError
            The address cannot be bound.
        """
        await self._runner.setup()
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(self._connection, host.strip("[]"), port)
        except OSError as error:
            remedy = f"another address, or port 0 ({error.strerror})"
            raise SettingError("http", f"{host}:{port}", remedy) from None
        self.port = self._server.sockets[0].getsockname()[1]

    def _connection(self) -> asyncio.BaseProtocol:
        """aiohttp itself waits for a first request, however long it takes."""
        handler = cast("web.Server", self._runner.server)()

        def end() -> None:
            if handler.transport is not None:
                handler.transport.abort()

        asyncio.get_running_loop().call_later(self._patience, end)
        return handler

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        await self._runner.cleanup()

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        ready = self._ready()
        return web.Response(text="ready\n" if ready else "starting\n", status=200 if ready else 503)
