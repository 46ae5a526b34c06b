"""Monitor: what a serving process holds. It watches predict functions and takes delayed outcomes."""

from __future__ import annotations

import atexit
import functools
import itertools
import logging
import threading
import time as wall
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar, overload

from tenure.backlog import Stats
from tenure.batcher import Batcher
from tenure.capture import (
    CHAMPION,
    ROLES,
    Row,
    Stream,
    Table,
    Truth,
    is_table,
    micros_of,
    snapshot_output,
    snapshot_table,
    wire_text,
)
from tenure.errors import SettingError
from tenure.settings import Settings
from tenure.signature import Binding
from tenure.transport import GrpcTransport, Transport

logger = logging.getLogger("tenure")
P = ParamSpec("P")
R = TypeVar("R")

CAPTURE_ERROR = "capture_error"


def _wall_clock() -> int:
    return wall.time_ns() // 1000


class Monitor:
    """Watches one version of one model.

    Parameters
    ----------
    model, version
        Names; any text. They are data everywhere: never an identifier, never trusted.
    agent
        ``unix:/path`` or ``host:port``; default ``$TENURE_AGENT``, else the first of ./tenure.sock,
        /run/tenure/agent.sock and 127.0.0.1:50051 that is there, looked up again on every reconnect.
    settings
        Limits; default: read from the environment.
    transport
        Takes the reports instead of the agent: see `tenure.testing.MemoryTransport`. Errors of our own are then raised.
    clock
        Gives the event time, in microseconds since 1970 UTC, where none is given.

    Notes
    -----
    The host never sees our errors and never waits for us: with no agent running, predict behaves as without us.
    """

    def __init__(
        self,
        model: str,
        version: str = "1",
        *,
        agent: str | None = None,
        settings: Settings | None = None,
        transport: Transport | None = None,
        clock: Callable[[], int] = _wall_clock,
    ) -> None:
        if not model or not isinstance(model, str):
            raise SettingError("model", model, 'the model\'s name, such as Monitor("fraud_detector")')
        self.model, self.version = wire_text(model), str(version)  # the agent answers by the name it got
        settings = settings or Settings.from_environment()
        if agent is not None:
            settings = settings.replace(agent=agent)
        if transport is not None:
            settings = settings.replace(strict=True)
            self._batcher = Batcher(settings, lambda: transport)
        else:
            self._batcher = _shared_batcher(settings)
        self._settings = settings
        self._clock = clock
        self._counter = self._batcher.counter
        self._stream = Stream(self.model, self.version)

    @overload
    def watch(self, function: Callable[P, R]) -> Callable[P, R]: ...
    @overload
    def watch(
        self, *, id: str | None = None, time: str | None = None, role: str = CHAMPION
    ) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
    def watch(
        self,
        function: Callable[..., Any] | None = None,
        *,
        id: str | None = None,
        time: str | None = None,
        role: str = CHAMPION,
    ) -> Any:
        """Record every call of a predict function; it returns exactly what it returned before.

        Parameters
        ----------
        function
            Takes a dict, a list of dicts, a data frame, a 2-D array, or named arguments.
        id
            The feature, column or argument that holds the prediction's id; default: one is generated.
        time
            The feature, column or argument that holds the event time: a datetime (naive means UTC) or seconds since
            1970. Default: the clock.
        role
            champion, challenger or shadow.
        """
        if function is None:
            return functools.partial(self._watch, id=id, time=time, role=role)
        return self._watch(function, id=id, time=time, role=role)

    def _watch(self, function: Callable[P, R], *, id: str | None, time: str | None, role: str) -> Callable[P, R]:
        if self._settings.disabled:
            return function
        binding = Binding(function, id, time)
        stream = self._streamed(None, role)
        tick = wall.perf_counter_ns

        @functools.wraps(function)
        def watched(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                value = binding.snapshot(args, kwargs)
            except Exception as error:  # noqa: BLE001  # the host never sees our errors
                self._failed(error)
                return function(*args, **kwargs)
            started = tick()
            try:
                output = function(*args, **kwargs)
            except BaseException as error:
                self._submit(stream, binding, value, None, tick() - started, type(error).__name__)
                raise
            self._submit(stream, binding, value, output, tick() - started, None)
            return output

        return watched

    def record(
        self,
        features: Any,
        prediction: Any,
        *,
        id: Any = None,
        time: Any = None,
        version: str | None = None,
        role: str = CHAMPION,
    ) -> str | None:
        """Record one prediction, or a table of them, where there is no function to decorate.

        Parameters
        ----------
        features
            A dict, or a list of dicts, a data frame or a 2-D array with one row per prediction.
        prediction
            What the model said: one value, or one per row.
        id, time
            The prediction's id and event time; for a table the name of a column, or one value per row.
        version, role
            Where they differ from the monitor's own: a shadow, a challenger.

        Returns
        -------
        The id of a single prediction, for `outcome`; None for a table.
        """
        if self._settings.disabled:
            return None
        try:
            stream = self._streamed(version, role)
            if is_table(features):
                self._put_table(stream, snapshot_table(features), prediction, id, time, -1, None)
                return None
            counter = next(self._counter)
            moment = self._clock() if time is None else micros_of(time)
            given = None if id is None else str(id)
            self._batcher.put(Row(stream, dict(features), snapshot_output(prediction), moment, counter, given))
        except Exception as error:  # noqa: BLE001
            self._failed(error)
            return None
        return given or f"{self._batcher.prefix}-{counter}"

    def outcome(self, id: Any, label: Any = None, value: Any = None, time: Any = None) -> None:
        """Tell the truth about an earlier prediction, once it is known.

        Parameters
        ----------
        id
            The prediction's id, or many; then `label`, `value` and `time` are one value for all or one per id.
        label
            What really happened: a class, or the true number.
        value
            What the case was worth to the business, where that is known.
        time
            When the truth became known; default: now.
        """
        if self._settings.disabled:
            return
        try:
            many = hasattr(id, "__iter__") and not isinstance(id, str | bytes)
            ids = list(id) if many else [id]
            labels, values, times = (_spread(given, len(ids), many) for given in (label, value, time))
            for one, truth, worth, moment in zip(ids, labels, values, times, strict=True):
                known = self._clock() if moment is None else micros_of(moment)
                self._batcher.put(Truth(self.model, str(one), truth, worth, known))
        except Exception as error:  # noqa: BLE001
            self._failed(error)

    def stats(self) -> Stats:
        """Predictions and outcomes of this process so far: ``emitted == acked + queued + sum(dropped.values())``."""
        return self._batcher.stats(self.model)

    def flush(self, timeout: float = 2.0) -> bool:
        """Wait until all is acked or dropped; False when `timeout` seconds were not enough."""
        return self._batcher.flush(timeout)

    def close(self, timeout: float = 2.0) -> bool:
        """Flush and stop the sender; what could not be sent is dropped and counted as ``shutdown``."""
        return self._batcher.close(timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _streamed(self, version: str | None, role: str) -> Stream:
        if role not in ROLES:
            raise SettingError("role", role, f"one of {', '.join(ROLES)}")
        if version is None and role == CHAMPION:
            return self._stream
        return Stream(self.model, self.version if version is None else str(version), role)

    def _submit(
        self, stream: Stream, binding: Binding, value: Any, output: Any, latency: int, error: str | None
    ) -> None:
        try:
            if type(value) is dict:
                given = None if binding.id is None else value.pop(binding.id, None)
                moment = None if binding.time is None else value.pop(binding.time, None)
                self._batcher.put(
                    Row(
                        stream,
                        value,
                        snapshot_output(output),
                        self._clock() if moment is None else micros_of(moment),
                        next(self._counter),
                        None if given is None else str(given),
                        latency,
                        error,
                    )
                )
            else:
                self._put_table(stream, value, output, binding.id, binding.time, latency, error)
        except Exception as failure:  # noqa: BLE001
            self._failed(failure)

    def _put_table(
        self,
        stream: Stream,
        snapshot: tuple[Any, int],
        output: Any,
        id: Any,
        time: Any,
        latency: int,
        error: str | None,
    ) -> None:
        columns, rows = snapshot
        if not rows:
            return
        aside = frozenset(name for name in (id, time) if isinstance(name, str))
        ids = _column(columns, id) if isinstance(id, str) else snapshot_output(id)
        times = _column(columns, time) if isinstance(time, str) else snapshot_output(time)
        if times is None:
            times = self._clock()
        elif not hasattr(times, "__len__"):
            times = micros_of(times)
        counter = self._batcher.reserve(rows)
        self._batcher.put(
            Table(stream, columns, snapshot_output(output), times, counter, rows, ids, latency, error, aside)
        )

    def _failed(self, error: Exception) -> None:
        """Our own error: raised in tests, counted and logged in production."""
        if self._settings.strict:
            raise error
        self._batcher.drop(CAPTURE_ERROR, self.model)
        logger.warning("tenure: a prediction of %s was not captured: %r", self.model, error)


def _column(columns: Any, name: str) -> Any:
    return [row.get(name) for row in columns] if isinstance(columns, list) else columns[name]


def _spread(given: Any, length: int, many: bool) -> Iterable[Any]:
    if many and hasattr(given, "__len__") and not isinstance(given, str | Mapping):
        return given if isinstance(given, list) else list(given)
    return itertools.repeat(given, length)


_shared: dict[Settings, Batcher] = {}
_shared_lock = threading.Lock()


def _shared_batcher(settings: Settings) -> Batcher:
    """One queue and one sender for all monitors of a process that report alike: their rows keep their order."""
    with _shared_lock:
        batcher = _shared.get(settings)
        if batcher is None:
            if not _shared:
                atexit.register(_close_shared)
            batcher = _shared[settings] = Batcher(settings, lambda: GrpcTransport(settings.address()))
        return batcher


def _close_shared() -> None:
    for settings, batcher in _shared.items():
        batcher.close(settings.exit_timeout)
