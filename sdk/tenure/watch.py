"""Watched functions: what stands around predict.

The common call, one dict of plain values in and one plain value out, takes the short way: a copy of the dict, two looks
at the clock, one append. Everything else takes the long way through `Watch.begin` and `Watch.end`.
"""

from __future__ import annotations

import functools
import gc
import inspect
import logging
import time as wall
from collections.abc import AsyncIterator, Callable, Generator
from typing import Any

from tenure import complaints, current
from tenure.batcher import Batcher
from tenure.capture import PLAIN, Row, Stream, Tick, micros_of
from tenure.features import Rows, snapshot_output
from tenure.signature import Binding
from tenure.streamed import Streamed

logger = logging.getLogger("tenure")

CAREFUL_CALLS = 100  # first calls looked at value by value, before the short way is trusted
CAPTURE_ERROR = "capture_error"


class Call:
    """One watched call under way."""

    __slots__ = ("counter", "id", "moment", "started", "value")

    def __init__(self, counter: int, value: dict[str, Any] | Rows) -> None:
        self.counter = counter
        self.value = value
        self.started = 0
        self.id: Any = None
        self.moment: Any = None


class Watch:
    """How one function's calls are recorded.

    Parameters
    ----------
    batcher, stream
        Where rows go, and what they belong to.
    binding
        Reads the function's arguments.
    clock
        Event time in microseconds since 1970 UTC where none is given; None: the wall clock.
    strict
        Raise our own errors in the host: for tests.
    """

    def __init__(
        self, batcher: Batcher, stream: Stream, binding: Binding, clock: Callable[[], int] | None, *, strict: bool
    ) -> None:
        self._batcher = batcher
        self._stream = stream
        self._binding = binding
        self._clock = clock
        self._strict = strict
        self._careful = CAREFUL_CALLS

    def wrap(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function as before, every call of it recorded; its kind (async, generator) stays."""
        if inspect.isasyncgenfunction(function):
            return self._around_async_generator(function)
        if inspect.iscoroutinefunction(function):
            return self._around_coroutine(function)
        if inspect.isgeneratorfunction(function):
            return self._around_generator(function)
        return self._around(function)

    def _around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        batcher, stream, queue, half = self._batcher, self._stream, self._batcher.queue, self._batcher.half
        append, count, tick = queue.append, batcher.counter.__next__, wall.perf_counter_ns
        number, set_number, source, set_source = (
            current.counter.get,
            current.counter.set,
            current.source.get,
            current.source.set,
        )
        arity = self._binding.arity if self._binding.simple and self._clock is None else -1
        is_tracked = gc.is_tracked  # False: a dict without containers in it, which a copy of its surface copies whole

        @functools.wraps(function)
        def watched(*args: Any, **kwargs: Any) -> Any:
            if number() < 0:
                return function(*args, **kwargs)
            if len(args) != arity or kwargs or type(args[-1]) is not dict or self._careful or is_tracked(args[-1]):
                return self._slowly(function, args, kwargs)
            if source() is not batcher:
                set_source(batcher)
            features, counter = args[-1].copy(), count()
            set_number(~counter)
            started = tick()
            try:
                output = function(*args)
            except BaseException as error:
                set_number(counter)
                self._submit((stream, features, None, started, tick(), counter, type(error).__name__))
                raise
            ended = tick()
            set_number(counter)
            waiting = len(queue)
            if type(output) in PLAIN and waiting < batcher.room:
                append((stream, features, output, started, ended, counter, None))
                if batcher.asleep or waiting == half:
                    self._wake()
            else:
                self._submit((stream, features, output, started, ended, counter, None))
            return output

        return watched

    def _slowly(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        call = self.begin(args, kwargs)
        try:
            output = function(*args, **kwargs)
        except BaseException as error:
            self.end(call, None, type(error).__name__)
            raise
        self.end(call, output)
        return output

    def _around_coroutine(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        async def watched(*args: Any, **kwargs: Any) -> Any:
            if current.counter.get() < 0:
                return await function(*args, **kwargs)
            call = self.begin(args, kwargs)
            try:
                output = await function(*args, **kwargs)
            except BaseException as error:
                self.end(call, None, type(error).__name__)
                raise
            self.end(call, output)
            return output

        return watched

    def _around_generator(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def watched(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            if current.counter.get() < 0:
                return (yield from function(*args, **kwargs))
            call, streamed, error = self.begin(args, kwargs), Streamed(), None
            inner = function(*args, **kwargs)
            step: Callable[[], Any] = functools.partial(next, inner)
            try:
                while True:
                    self._enter(call)  # only while the stream itself runs: what its reader does between is not in it
                    try:
                        item = step()
                    finally:
                        self._leave(call)
                    streamed.take(item)
                    try:
                        step = functools.partial(inner.send, (yield item))
                    except GeneratorExit:
                        inner.close()
                        raise
                    except BaseException as thrown:  # noqa: BLE001  # handed on to the stream
                        step = functools.partial(inner.throw, thrown)
            except StopIteration as stop:
                return stop.value
            except GeneratorExit:  # its reader had enough
                raise
            except BaseException as raised:
                error = type(raised).__name__
                raise
            finally:
                self.end(call, streamed.outputs(), error)

        return watched

    def _around_async_generator(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        async def watched(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            if current.counter.get() < 0:
                async for item in function(*args, **kwargs):
                    yield item
                return
            call, streamed, error = self.begin(args, kwargs), Streamed(), None
            inner = function(*args, **kwargs)
            step: Callable[[], Any] = inner.__anext__
            try:
                while True:
                    self._enter(call)
                    try:
                        item = await step()
                    finally:
                        self._leave(call)
                    streamed.take(item)
                    try:
                        step = functools.partial(inner.asend, (yield item))
                    except GeneratorExit:
                        await inner.aclose()
                        raise
                    except BaseException as thrown:  # noqa: BLE001
                        step = functools.partial(inner.athrow, thrown)
            except StopAsyncIteration:
                return
            except GeneratorExit:
                raise
            except BaseException as raised:
                error = type(raised).__name__
                raise
            finally:
                self.end(call, streamed.outputs(), error)

        return watched

    # the long way

    def begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        """Copy a call's arguments before it can change them; None where they cannot be read."""
        try:
            value = self._binding.snapshot(args, kwargs)
            counter = self._batcher.reserve(value.count) if isinstance(value, Rows) else next(self._batcher.counter)
            call = Call(counter, value)
            if isinstance(value, dict):
                if self._careful and PLAIN.issuperset(map(type, value.values())):
                    self._careful -= 1
                call.id = None if self._binding.id is None else value.pop(self._binding.id, None)
                call.moment = None if self._binding.time is None else value.pop(self._binding.time, None)
                if call.id is not None:
                    call.id = str(call.id)
                    current.given.set((counter, call.id))
            current.source.set(self._batcher)
            self._enter(call)
        except Exception as error:  # noqa: BLE001  # the host never sees our errors
            self.failed(error)
            return None
        call.started = wall.perf_counter_ns()
        return call

    def end(self, call: Call | None, output: Any, error: str | None = None) -> None:
        """Queue what `begin` began."""
        if call is None:
            return
        latency = wall.perf_counter_ns() - call.started
        self._leave(call)
        try:
            value, said = call.value, snapshot_output(output)
            if isinstance(value, dict):
                moment = self._now() if call.moment is None else micros_of(call.moment)
                self._batcher.put(Row(self._stream, value, said, moment, call.counter, call.id, latency, error))
            elif value.count:
                id, time, now = self._binding.id, self._binding.time, self._now()
                self._batcher.put(
                    value.captured(
                        self._stream, said, call.counter, id=id, time=time, now=now, latency=latency, error=error
                    )
                )
        except Exception as failure:  # noqa: BLE001
            self.failed(failure)

    def _submit(self, tick: Tick) -> None:
        try:
            stream, features, output, started, ended, counter, error = tick
            self._batcher.put((stream, features, snapshot_output(output), started, ended, counter, error))
        except Exception as failure:  # noqa: BLE001
            self.failed(failure)

    def _wake(self) -> None:
        try:
            self._batcher.wake()
        except RuntimeError:  # no thread can be started while the interpreter ends; the rows stay queued
            logger.debug("tenure: the sender could not be woken", exc_info=True)

    def _enter(self, call: Call | None) -> None:
        if call is not None:
            current.counter.set(~call.counter)

    def _leave(self, call: Call | None) -> None:
        if call is not None:
            current.counter.set(call.counter)

    def _now(self) -> int:
        return wall.time_ns() // 1000 if self._clock is None else self._clock()

    def failed(self, error: Exception) -> None:
        """Our own error: raised in tests, counted and logged in production."""
        if self._strict:
            raise error
        self._batcher.drop(CAPTURE_ERROR, self._stream.model)
        if complaints.due(CAPTURE_ERROR):
            logger.warning("tenure: a prediction of %s was not captured: %r", self._stream.model, error)
