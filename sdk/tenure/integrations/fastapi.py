"""FastAPI: endpoints whose calls are recorded, and a lifespan that flushes when the application ends."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeVar, get_args, get_type_hints
from urllib.parse import quote

from tenure.current import prediction_id
from tenure.integrations import needed
from tenure.monitor import Monitor

HEADER = "x-prediction-id"
RESPONSE = "tenure_response"
PRINTABLE = "!#$&'()*+,/:;=?@[]~| "  # the rest of an id is percent-encoded, as headers need
F = TypeVar("F", bound=Callable[..., Any])
Lifespan = Callable[[Any], AbstractAsyncContextManager[Any]]


def watch(monitor: Monitor, *, id: str | None = None, time: str | None = None) -> Callable[[F], F]:
    """Record every call of an endpoint, and answer with the prediction's id in the header ``x-prediction-id``.

    An HTTPException carries the header too, so that refusals can be matched with what was recorded of them.
    Body, path and query parameters are the features; what is injected (dependencies, the request) is not. It stands
    below the route's own decorator, which sees the endpoint as it was written: the OpenAPI schema stays the same.

    Parameters
    ----------
    id, time
        The parameter, or field of the body, that holds the prediction's id and event time.
    """
    fastapi, refusal = needed("fastapi"), needed("starlette.exceptions").HTTPException

    def around(function: F) -> F:
        signature = inspect.signature(function)
        injected = _injected(function, signature, fastapi)

        @functools.wraps(function)
        def sync(**arguments: Any) -> Any:
            response = arguments.pop(RESPONSE)
            held = {name: arguments.pop(name) for name in injected & arguments.keys()}
            try:
                result = predict(held, **arguments)
            except refusal as error:
                refused = _with_id(error)
            else:
                return _answered(result, response, fastapi)
            try:
                raise refused  # outside of the handler: it has no other context than before
            finally:
                del refused  # it holds this frame

        @functools.wraps(function)
        async def coroutine(**arguments: Any) -> Any:
            response = arguments.pop(RESPONSE)
            held = {name: arguments.pop(name) for name in injected & arguments.keys()}
            try:
                result = await predict(held, **arguments)
            except refusal as error:
                refused = _with_id(error)
            else:
                return _answered(result, response, fastapi)
            try:
                raise refused
            finally:
                del refused

        outer: Any
        if inspect.iscoroutinefunction(function):
            outer, predict = coroutine, monitor.watch(id=id, time=time)(_coroutine(function))
        else:
            outer, predict = sync, monitor.watch(id=id, time=time)(_sync(function))
        outer.__signature__ = _with_response(signature, fastapi.Response)
        endpoint: F = outer
        return endpoint

    return around


def lifespan(monitor: Monitor, inner: Lifespan | None = None, *, timeout: float = 2.0) -> Lifespan:
    """A lifespan for ``FastAPI(lifespan=...)`` that flushes the monitor when the application shuts down.

    Parameters
    ----------
    inner
        The application's own lifespan, which runs inside.
    timeout
        Seconds to wait for the agent at most.
    """

    @asynccontextmanager
    async def around(app: Any) -> AsyncIterator[Any]:
        try:
            if inner is None:
                yield
            else:
                async with inner(app) as state:
                    yield state
        finally:
            await asyncio.to_thread(monitor.flush, timeout)

    return around


def _sync(function: Callable[..., Any]) -> Callable[..., Any]:
    def predict(self: dict[str, Any], /, **features: Any) -> Any:  # self: what is no feature
        return function(**self, **features)

    return predict


def _coroutine(function: Callable[..., Any]) -> Callable[..., Any]:
    async def predict(self: dict[str, Any], /, **features: Any) -> Any:
        return await function(**self, **features)

    return predict


def _injected(function: Callable[..., Any], signature: inspect.Signature, fastapi: Any) -> frozenset[str]:
    """Names of parameters that hold what FastAPI makes: dependencies, the request, the response, background tasks."""
    try:
        hints = get_type_hints(function, include_extras=True)
    except (NameError, TypeError):  # an annotation that only FastAPI can read
        hints = {}
    params = needed("fastapi.params")
    handed = (fastapi.Request, fastapi.Response, fastapi.WebSocket, fastapi.BackgroundTasks)
    names = set()
    for name, parameter in signature.parameters.items():
        hint = hints.get(name, parameter.annotation)
        marks = (parameter.default, *getattr(hint, "__metadata__", ()))
        kind = get_args(hint)[0] if hasattr(hint, "__metadata__") else hint
        if any(isinstance(mark, params.Depends) for mark in marks) or (
            isinstance(kind, type) and issubclass(kind, handed)
        ):
            names.add(name)
    return frozenset(names)


def _with_response(signature: inspect.Signature, response: type) -> inspect.Signature:
    added = inspect.Parameter(RESPONSE, inspect.Parameter.KEYWORD_ONLY, annotation=response)
    before = list(signature.parameters.values())
    return signature.replace(parameters=[*before, added])


def _answered(result: Any, response: Any, fastapi: Any) -> Any:
    said = _header()
    if said is not None:
        target = result if isinstance(result, fastapi.Response) else response
        target.headers[HEADER] = said
    return result


def _with_id(error: Any) -> Any:
    """The error with the id in its headers; a copy, since a host may raise one and the same object again and again."""
    rest = error.__traceback__.tb_next  # raised from the same frame, it has the same traceback
    said, kind = _header(), type(error)
    if said is None:
        return error.with_traceback(rest)
    try:
        copied = kind.__new__(kind, *error.args)
        copied.__dict__.update(error.__dict__, headers={**(error.headers or {}), HEADER: said})
        copied.__cause__, copied.__context__ = error.__cause__, error.__context__
        copied.__suppress_context__ = error.__suppress_context__
    except Exception:  # noqa: BLE001  # one that cannot be copied goes without the header
        copied = error
    return copied.with_traceback(rest)


def _header() -> str | None:
    said = prediction_id()
    return None if said is None else quote(said, safe=PRINTABLE)
