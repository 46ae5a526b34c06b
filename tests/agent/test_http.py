"""The HTTP port: what it shows, and that nobody holds it by saying nothing."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, Counter

from tenure.errors import SettingError
from tenure_agent.http import HttpPort

LONG = 60.0


class Served:
    def __init__(self, http: HttpPort) -> None:
        self.http = http
        self.ready = True

    async def get(self, path: str) -> tuple[int, str]:
        timeout = aiohttp.ClientTimeout(LONG)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"http://127.0.0.1:{self.http.port}{path}") as answer,
        ):
            return answer.status, await answer.text()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.http.port)


@asynccontextmanager
async def serving(patience: float = LONG) -> AsyncIterator[Served]:
    registry = CollectorRegistry()
    Counter("told", "For the tests.", registry=registry).inc()
    served: Served
    http = HttpPort(registry, lambda: served.ready, patience)
    served = Served(http)
    await http.start("127.0.0.1", 0)
    async with asyncio.timeout(LONG):
        yield served
    await http.stop()


async def ended(reader: asyncio.StreamReader) -> bool:
    """Wait until the other side has hung up."""
    try:
        return not await reader.read()
    except ConnectionResetError:
        return True


def test_what_is_shown() -> None:
    async def story() -> None:
        async with serving() as served:
            assert await served.get("/healthz") == (200, "ok\n")
            assert await served.get("/readyz") == (200, "ready\n")
            status, shown = await served.get("/metrics")
            assert status == 200
            assert "\ntold_total 1.0\n" in shown
            served.ready = False
            assert await served.get("/readyz") == (503, "starting\n")
            assert await served.get("/healthz") == (200, "ok\n")
            assert (await served.get("/"))[0] == 404

    asyncio.run(story())


def test_silent_and_slow_connections_are_cut_off_and_others_served_meanwhile() -> None:
    async def story() -> None:
        async with serving(patience=1.0) as served:
            idle = [await served.connect() for _ in range(100)]
            for _, writer in idle[:50]:
                writer.write(b"GET /metrics HTTP/1.1\r\nHost:")
            assert await served.get("/readyz") == (200, "ready\n")
            assert all(await asyncio.gather(*(ended(reader) for reader, _ in idle)))
            assert await served.get("/readyz") == (200, "ready\n")
            for _, writer in idle:
                writer.close()

    asyncio.run(story())


def test_a_connection_serves_one_request() -> None:
    async def story() -> None:
        async with serving() as served:
            reader, writer = await served.connect()
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n")
            assert (await reader.read()).endswith(b"ok\n")
            writer.close()

    asyncio.run(story())


def test_stopping_waits_for_no_idle_connection() -> None:
    async def story() -> None:
        async with serving() as served:
            reader, writer = await served.connect()
            assert await served.get("/healthz") == (200, "ok\n")
        assert await ended(reader)
        writer.close()

    asyncio.run(story())


@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-host.invalid"])
def test_an_address_that_cannot_be_bound(host: str) -> None:
    async def story() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            http = HttpPort(CollectorRegistry(), lambda: True)
            with pytest.raises(SettingError, match=f"^http: '{host}:{port}' cannot be used. Try: another address"):
                await http.start(host, port)
            await http.stop()

    asyncio.run(story())


def test_an_address_of_the_sixth_version() -> None:
    async def story() -> None:
        http = HttpPort(CollectorRegistry(), lambda: True)
        await http.start("[::1]", 0)
        reader, writer = await asyncio.open_connection("::1", http.port)
        writer.write(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert (await reader.read()).endswith(b"ok\n")
        writer.close()
        await http.stop()

    asyncio.run(story())
