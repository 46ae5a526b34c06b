"""Watched functions: what stands around predict.

The common call takes the short way through `fastpath`. Everything else takes the long way through `Watch.begin` and
`Watch.end`.
"""

from __future__ import annotations

import functools
import inspect
import time as wall
from collections.abc import AsyncIterator, Callable, Generator
from typing import Any

from tenure import complaints, current, fastpath
from tenure.answer import snapshot_output
from tenure.batcher import Batcher
from tenure.capture import COUNTER, ID, OPEN, OUTPUT, PLAIN, STARTED, Row, Stream, Tick, micros_of
from tenure.features import Rows
from tenure.signature import Binding
from tenure.streamed import Streamed
from tenure.thinning import TOO_MANY_ROWS, Thinning, thinning

CAREFUL_CALLS = 100  # first calls looked at value by value, before the short way is trusted
CAPTURE_ERROR = "capture_error"


class Call:
    """One watched call under way, on the long way."""

    __slots__ = ("given", "mark", "moment", "thin", "value")

    def __init__(self, mark: Tick, value: dict[str, Any] | Rows) -> None:
        self.mark = mark
        self.value = value
        self.given: Any = None  # its id, or one per row
        self.moment: Any = None
        self.thin: Thinning | None = None


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
    most_rows
        Rows of one call to capture.
    strict
        Raise our own errors in the host: for tests.
    """

    def __init__(
        self,
        batcher: Batcher,
        stream: Stream,
        binding: Binding,
        clock: Callable[[], int] | None,
        *,
        most_rows: int,
        strict: bool,
    ) -> None:
        self.batcher = batcher
        self.stream = stream
        self.binding = binding
        self.careful = CAREFUL_CALLS
        self._clock = clock
        self._most_rows = most_rows
        self._strict = strict

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
        if self.binding.arity == 1 and self.binding.shallow and self._clock is None:
            return fastpath.around(function, self)

        @functools.wraps(function)
        def watched(*args: Any, **kwargs: Any) -> Any:
            if current.newest.get()[OPEN]:
                return function(*args, **kwargs)
            return self.slowly(function, args, kwargs)

        return watched

    def slowly(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
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
            if current.newest.get()[OPEN]:
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
            if current.newest.get()[OPEN]:
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
            if current.newest.get()[OPEN]:
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
            thin = thinning((*args, *kwargs.values()), self._most_rows)
            if thin is None:
                value = self.binding.snapshot(args, kwargs)
            else:
                few = {name: thin.of(one) for name, one in kwargs.items()}
                value = self.binding.snapshot(tuple(map(thin.of, args)), few)
            if isinstance(value, Rows):
                counter = self.batcher.reserve(value.count)
            else:
                counter = next(self.batcher.counter)
                if self.careful and args and type(args[-1]) is dict and PLAIN.issuperset(map(type, args[-1].values())):
                    self.careful -= 1
            call = Call([self.stream, None, None, 0, 0, counter, None, False, None], value)
            call.thin = thin
            self._identify(call, args, kwargs)
            self._enter(call)
        except Exception as error:  # noqa: BLE001  # the host never sees our errors
            self.failed(error)
            return None
        call.mark[STARTED] = wall.perf_counter_ns()
        return call

    def _identify(self, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Take the given id and time, if there are any; a row without them is a row all the same."""
        binding, value = self.binding, call.value
        if isinstance(value, dict) and binding.time is not None:
            call.moment = value.pop(binding.time, None)
        if binding.id is None:
            return
        try:
            given = binding.id_of(value, args, kwargs)
            given = given if call.thin is None else call.thin.of(given)
            call.mark[ID] = given if isinstance(value, dict) else value.first(given)
            call.given = given
        except Exception as error:
            if self._strict:
                raise
            complaints.say("id", "predictions of %s get ids of ours: %r", self.stream.model, error)

    def end(self, call: Call | None, output: Any, error: str | None = None) -> None:
        """Queue what `begin` began."""
        if call is None:
            return
        latency = wall.perf_counter_ns() - call.mark[STARTED]
        self._leave(call)
        value, counter = call.value, call.mark[COUNTER]
        try:
            said = snapshot_output(output if call.thin is None else call.thin.of(output))
            if isinstance(value, dict):
                moment = self._now() if call.moment is None else micros_of(call.moment)
                self.batcher.put(Row(self.stream, value, said, moment, counter, call.given, latency, error))
            elif value.count:
                time, now = self.binding.time, self._now()
                self.batcher.put(
                    value.captured(
                        self.stream, said, counter, id=call.given, time=time, now=now, latency=latency, error=error
                    )
                )
                if call.thin is not None:
                    self.batcher.drop(TOO_MANY_ROWS, self.stream.model, call.thin.left_out)
        except Exception as failure:  # noqa: BLE001
            self.failed(failure, value.count if isinstance(value, Rows) else 1)

    def submit(self, call: Tick) -> None:
        """Queue a call of the fast path whose output may still change, or for which there may be no room."""
        try:
            call[OUTPUT] = snapshot_output(call[OUTPUT])
            self.batcher.put(call)
        except Exception as failure:  # noqa: BLE001
            self.failed(failure)

    def wake(self) -> None:
        """Wake the sender."""
        try:
            self.batcher.wake()
        except RuntimeError:  # no thread can be started while the interpreter ends; the rows stay queued
            complaints.note("the sender could not be woken")

    def _enter(self, call: Call | None) -> None:
        if call is not None:
            call.mark[OPEN] = True
            current.newest.set(call.mark)

    def _leave(self, call: Call | None) -> None:
        if call is not None:
            call.mark[OPEN] = False

    def _now(self) -> int:
        return wall.time_ns() // 1000 if self._clock is None else self._clock()

    def failed(self, error: Exception, rows: int = 1) -> None:
        """Our own error: raised in tests, counted and logged in production."""
        if self._strict:
            raise error
        self.batcher.drop(CAPTURE_ERROR, self.stream.model, rows)
        complaints.say(CAPTURE_ERROR, "a prediction of %s was not captured: %r", self.stream.model, error)
