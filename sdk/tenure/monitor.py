"""Monitor: what a serving process holds. It watches predict functions and takes delayed outcomes."""

from __future__ import annotations

import functools
import itertools
import os
import time as wall
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar, overload

from tenure import complaints
from tenure.answer import snapshot_output
from tenure.backlog import Stats
from tenure.batcher import Batcher
from tenure.capture import CHAMPION, ROLES, Row, Stream, Truth, micros_of, wire_text
from tenure.errors import SettingError
from tenure.features import Rows, rows_of
from tenure.screen import Screen
from tenure.settings import Settings
from tenure.sharing import shared
from tenure.signature import Binding, Identify
from tenure.thinning import TOO_MANY_ROWS, thinning
from tenure.transport import Transport
from tenure.watch import CAPTURE_ERROR, Watch
from tenure.wrapping import wrapped

P = ParamSpec("P")
R = TypeVar("R")
M = TypeVar("M")


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
        Gives the event time, in microseconds since 1970 UTC, where none is given; default: the wall clock.
    sample
        Share of the predictions that is kept, decided by a hash of the id: outcomes and shadows of the same ids agree.
    include, exclude
        Features to send, and not to send; a name stands for what is nested in it too.
    redact
        Feature → ``hash`` (keyed), ``bucket`` (numbers to one significant digit, texts to one of 64) or ``drop``.
    reference
        A file that ``tenure-agent reference build`` has written, of what this version was judged fit on. It goes to the
        agent with the first report, unless one with its hash is there; the sender reads it, never the host's thread.

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
        clock: Callable[[], int] | None = None,
        sample: float = 1.0,
        include: Iterable[str] | None = None,
        exclude: Iterable[str] = (),
        redact: Mapping[str, str] | None = None,
        reference: str | os.PathLike[str] | None = None,
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
            self._batcher = shared.batcher(settings)
        self._settings = settings
        self._clock = clock
        self._screen = Screen.of(settings, sample, include, exclude, redact)
        self._stream = Stream(self.model, self.version, screen=self._screen, source=self._batcher)
        if reference is not None and not settings.disabled:
            if not isinstance(path := getattr(reference, "__fspath__", lambda: reference)(), str):
                raise SettingError("reference", reference, "a path, as text or pathlib.Path")
            self._batcher.offer(self.model, wire_text(self.version), path)

    @overload
    def watch(self, function: Callable[P, R]) -> Callable[P, R]: ...
    @overload
    def watch(
        self, *, id: Identify = None, time: str | None = None, role: str = CHAMPION
    ) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
    def watch(
        self,
        function: Callable[..., Any] | None = None,
        *,
        id: Identify = None,
        time: str | None = None,
        role: str = CHAMPION,
    ) -> Any:
        """Record every call of a predict function; it returns exactly what it returned before.

        Parameters
        ----------
        function
            Takes a dict, a list of dicts, a data frame, a 2-D array, or named arguments.
        id
            The feature, column or argument that holds the prediction's id, or a function of the same arguments that
            tells it (of many rows, one each); default: one is generated.
        time
            The feature, column or argument that holds the event time: a datetime (naive means UTC) or seconds since
            1970. Default: the clock.
        role
            champion, challenger or shadow.
        """
        if function is None:
            return functools.partial(self._watch, id=id, time=time, role=role)
        return self._watch(function, id=id, time=time, role=role)

    def _watch(self, function: Callable[P, R], *, id: Identify, time: str | None, role: str) -> Callable[P, R]:
        if self._settings.disabled:
            return function
        self._screen.check_id(id)
        return self._watching(self._streamed(None, role))(Binding(function, id, time)).wrap(function)

    def wrap(
        self,
        model: M,
        *,
        id: Identify = None,
        time: str | None = None,
        version: str | None = None,
        role: str = CHAMPION,
    ) -> M:
        """Record every call of a model's predict, predict_proba and __call__; all else about it stays as it was.

        Copies and pickles are plain. Both verbs on the same rows, in a row, are one case with the first one's outputs.
        """
        if self._settings.disabled:
            return model
        self._screen.check_id(id)
        return wrapped(model, self._watching(self._streamed(version, role)), id, time)

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
        rows = 1
        try:
            self._screen.check_id(id if not isinstance(features, Mapping) else None)
            stream = self._streamed(version, role)
            thin = thinning([features], self._settings.most_rows)
            if thin is not None:
                features, prediction, id, time = map(thin.of, (features, prediction, id, time))
            found, said = rows_of(features), snapshot_output(prediction)
            if isinstance(found, Rows):
                rows = found.count
                if rows:
                    counter = self._batcher.reserve(rows)
                    self._batcher.put(found.captured(stream, said, counter, id=id, time=time, now=self._now()))
                    if thin is not None:
                        self._batcher.drop(TOO_MANY_ROWS, self.model, thin.left_out)
                return None
            counter = next(self._batcher.counter)
            moment = self._now() if time is None else micros_of(time)
            given = None if id is None else str(id)
            self._batcher.put(Row(stream, found, said, moment, counter, given))
        except Exception as error:  # noqa: BLE001
            self._failed(error, rows)
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
        rows = 1
        try:
            many = hasattr(id, "__iter__") and not isinstance(id, str | bytes)
            ids = list(id) if many else [id]
            rows = len(ids)
            labels, values, times = (_spread(given, len(ids), many) for given in (label, value, time))
            for one, truth, worth, moment in zip(ids, labels, values, times, strict=True):
                known = self._now() if moment is None else micros_of(moment)
                self._batcher.put(Truth(self.model, str(one), truth, worth, known, self._screen))
                rows -= 1
        except Exception as error:  # noqa: BLE001
            self._failed(error, max(rows, 1))

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

    def _watching(self, stream: Stream) -> Callable[[Binding], Watch]:
        settings = self._settings
        return functools.partial(
            Watch, self._batcher, stream, clock=self._clock, most_rows=settings.most_rows, strict=settings.strict
        )

    def _streamed(self, version: str | None, role: str) -> Stream:
        if role not in ROLES:
            raise SettingError("role", role, f"one of {', '.join(ROLES)}")
        if version is None and role == CHAMPION:
            return self._stream
        return Stream(self.model, self.version if version is None else str(version), role, self._screen, self._batcher)

    def _now(self) -> int:
        return wall.time_ns() // 1000 if self._clock is None else self._clock()

    def _failed(self, error: Exception, rows: int = 1) -> None:
        """Our own error: raised in tests, counted and logged in production."""
        if self._settings.strict:
            raise error
        self._batcher.drop(CAPTURE_ERROR, self.model, rows)
        complaints.say(CAPTURE_ERROR, "a prediction of %s was not captured: %r", self.model, error)


def _spread(given: Any, length: int, many: bool) -> Iterable[Any]:
    if many and hasattr(given, "__len__") and not isinstance(given, str | Mapping):
        return given if isinstance(given, list) else list(given)
    return itertools.repeat(given, length)
