"""FastAPI endpoints, watched."""

import asyncio
import contextvars
import inspect
import sys
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from pydantic import BaseModel

from tenure import Monitor, prediction_id
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


@pytest.mark.parametrize("endpoint", [sync, coroutine])
def test_a_refusal_is_recorded_and_answered_with_its_id(
    monitor: Monitor, transport: MemoryTransport, run: Callable[..., Any], endpoint: Callable[..., Any]
) -> None:
    answer = run(posted(served(watch(monitor)(endpoint)), {"amount": -1}))

    assert monitor.flush(60)
    [row] = transport.predictions("fraud")
    assert (answer.status_code, answer.json()) == (422, {"detail": "negative"})
    assert (row["error"], row["features"]["amount"]) == ("HTTPException", -1.0)
    assert answer.headers["x-prediction-id"] == row["id"]


class Gone(HTTPException):
    """One that takes other arguments than it is made of."""

    def __init__(self, what: str) -> None:
        super().__init__(410, f"{what} is gone", {"x-what": what})
        self.what = what


class Fixed(HTTPException):
    """One that cannot be copied."""

    def __new__(cls, *args: Any) -> "Fixed":
        if not args:
            raise RuntimeError("only once")
        return super().__new__(cls)


def refusing(fault: HTTPException) -> list[Callable[..., Any]]:
    """Endpoints of both kinds that raise it, because of another error."""

    def sync() -> None:
        raise fault from KeyError("why")

    async def coroutine() -> None:
        sync()

    return [sync, coroutine]


def raised_by(endpoint: Callable[..., Any]) -> HTTPException:
    """What a direct call of the endpoint raises."""
    given = {"tenure_response": Response()} if "tenure_response" in inspect.signature(endpoint).parameters else {}
    try:
        result = endpoint(**given)
        asyncio.run(result)
    except HTTPException as error:
        return error
    raise AssertionError


@pytest.mark.parametrize(
    "make",
    [lambda: HTTPException(status_code=404), lambda: Gone("it"), lambda: Fixed(404, "x")],
    ids=["plain", "own", "fixed"],
)
@pytest.mark.parametrize("kind", [0, 1], ids=["sync", "coroutine"])
def test_a_refusal_is_what_it_was_but_for_the_header(
    monitor: Monitor, make: Callable[[], HTTPException], kind: int
) -> None:
    fault = make()
    before = fault.headers
    watched = raised_by(watch(monitor)(refusing(fault)[kind]))
    frames = [(Path(frame.filename).name, frame.name) for frame in traceback.extract_tb(watched.__traceback__)]

    assert type(watched) is type(fault)
    assert (watched.status_code, watched.detail, watched.args) == (fault.status_code, fault.detail, fault.args)
    assert {k: v for k, v in vars(watched).items() if k != "headers"} == {
        k: v for k, v in vars(fault).items() if k != "headers"
    }
    assert fault.headers is before
    assert (watched.headers or {}).keys() - (before or {}).keys() == (
        set() if isinstance(fault, Fixed) else {"x-prediction-id"}
    )
    assert isinstance(watched.__cause__, KeyError)
    assert watched.__context__ is None
    assert [name for file, name in frames if file == "fastapi.py"] == [("sync", "coroutine")[kind], "predict"]
    assert frames[-1] == ("test_fastapi.py", "sync")


def test_one_refusal_raised_again_and_again_has_each_time_its_own_id(
    monitor: Monitor, transport: MemoryTransport, run: Callable[..., Any]
) -> None:
    busy = HTTPException(503, "busy", {"retry-after": "1"})

    def endpoint(order: Order) -> None:
        raise busy

    app = served(watch(monitor)(endpoint))
    answers = [run(posted(app, {"amount": amount})) for amount in (1, 2)]

    assert monitor.flush(60)
    assert [a.headers["x-prediction-id"] for a in answers] == [row["id"] for row in transport.predictions("fraud")]
    assert [a.headers["retry-after"] for a in answers] == ["1", "1"]
    assert busy.headers == {"retry-after": "1"}


def test_an_error_that_is_no_refusal_is_recorded_and_goes_through(
    monitor: Monitor, transport: MemoryTransport, run: Callable[..., Any]
) -> None:
    def endpoint(order: Order) -> None:
        raise KeyError("amount")

    with pytest.raises(KeyError, match="amount"):
        run(posted(served(watch(monitor)(endpoint)), {"amount": 1}))

    assert monitor.flush(60)
    assert [row["error"] for row in transport.predictions("fraud")] == ["KeyError"]


@pytest.mark.parametrize("threaded", [True, False], ids=["threadpool", "loop"])
def test_an_endpoint_that_is_not_watched_knows_the_id_of_what_it_called(
    monitor: Monitor, transport: MemoryTransport, run: Callable[..., Any], threaded: bool
) -> None:
    predict = monitor.watch(lambda features: 0.5)

    def in_thread(order: Order) -> dict[str, Any]:
        return {"score": predict({"amount": order.amount}), "id": prediction_id()}

    async def in_loop(order: Order) -> dict[str, Any]:
        return in_thread(order)

    app = served(in_thread if threaded else in_loop)
    answers = [run(posted(app, {"amount": amount})).json() for amount in (1, 2)]

    assert monitor.flush(60)
    assert [answer["id"] for answer in answers] == [row["id"] for row in transport.predictions("fraud")]


def test_requests_at_once_have_their_own_ids(
    monitor: Monitor, transport: MemoryTransport, run: Callable[..., Any]
) -> None:
    async def many() -> list[httpx.Response]:
        apps = [served(watch(monitor)(endpoint)) for endpoint in (sync, coroutine)]
        return await asyncio.gather(*(posted(app, {"amount": i + 1}) for i in range(20) for app in apps))

    answers = run(many())

    assert monitor.flush(60)
    amounts = {row["id"]: row["features"]["amount"] for row in transport.predictions("fraud")}
    assert len(amounts) == 40
    assert all(amounts[a.headers["x-prediction-id"]] == a.json()["prediction"] * 10 for a in answers)


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
