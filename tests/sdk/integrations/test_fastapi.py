"""FastAPI endpoints, watched."""

import asyncio
import contextvars
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI, HTTPException, Request
from pydantic import BaseModel

from tenure import Monitor
from tenure.integrations.fastapi import lifespan, watch
from tenure.testing import MemoryTransport


class Order(BaseModel):
    amount: float
    country: str = "NL"


class Score(BaseModel):
    prediction: float


def session() -> object:
    return object()


def sync(order: Order, request: Request, db: Annotated[object, Depends(session)], limit: int = 5) -> Score:
    if order.amount < 0:
        raise HTTPException(422, "negative")
    return Score(prediction=order.amount / 10)


async def coroutine(order: Order, request: Request, db: object = Depends(session), limit: int = 5) -> Score:
    return sync(order, request, db, limit)


def served(endpoint: Callable[..., Any], **options: Any) -> FastAPI:
    app = FastAPI(**options)
    app.post("/score")(endpoint)
    return app


async def posted(app: FastAPI, body: Any) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        return await client.post("/score", json=body)


@pytest.fixture
def run() -> Callable[..., Any]:
    """Runs in a context of its own, as a server's requests do."""
    return lambda made: contextvars.Context().run(asyncio.run, made)


@pytest.mark.parametrize("endpoint", [sync, coroutine])
def test_a_call_is_recorded(
    monitor: Monitor, transport: MemoryTransport, run: Callable[..., Any], endpoint: Callable[..., Any]
) -> None:
    answer = run(posted(served(watch(monitor)(endpoint)), {"amount": 5.0}))

    assert monitor.flush(60)
    [row] = transport.predictions("fraud")
    assert answer.json() == {"prediction": 0.5}
    assert answer.headers["x-prediction-id"] == row["id"]
    assert row["features"] == {"amount": 5.0, "country": "NL", "limit": 5.0}
    assert row["outputs"] == {"prediction": 0.5}


@pytest.mark.parametrize("endpoint", [sync, coroutine])
def test_the_schema_stays(monitor: Monitor, endpoint: Callable[..., Any]) -> None:
    assert served(watch(monitor)(endpoint)).openapi() == served(endpoint).openapi()


def test_an_error_is_recorded(monitor: Monitor, transport: MemoryTransport, run: Callable[..., Any]) -> None:
    assert run(posted(served(watch(monitor)(sync)), {"amount": -1})).status_code == 422

    assert monitor.flush(60)
    assert [row["error"] for row in transport.predictions("fraud")] == ["HTTPException"]


def test_an_id_of_any_text_fits_the_header(monitor: Monitor, run: Callable[..., Any]) -> None:
    answer = run(posted(served(watch(monitor, id="country")(sync)), {"amount": 1, "country": "é\n"}))

    assert answer.headers["x-prediction-id"] == "%C3%A9%0A"


def test_the_lifespan_flushes(monitor: Monitor, run: Callable[..., Any]) -> None:
    seen = []

    @asynccontextmanager
    async def own(app: Any) -> AsyncIterator[dict[str, int]]:
        yield {"pool": 1}
        seen.append("closed")

    async def live() -> None:
        for inner in (None, own):
            async with lifespan(monitor, inner, timeout=60)(None) as state:
                seen.append(state)
                monitor.record({"amount": 1.0}, 0.5)
            assert monitor.stats().queued == 0

    run(live())
    assert seen == [None, {"pool": 1}, "closed"]


def test_without_fastapi_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, monitor: Monitor) -> None:
    monkeypatch.setitem(sys.modules, "fastapi", None)
    with pytest.raises(ModuleNotFoundError, match=r"^fastapi is not installed\. Try: pip install fastapi$"):
        watch(monitor)
