"""A call's arguments and result, held as cheaply as they can be until the sender encodes them.

Captures are what waits in the queue. They hold the host's values by snapshot: a dict is copied, an array or frame is
copied as one block. Turning them into columns is the sender's work (columns.py), off the host's path.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from tenure.errors import SettingError

if TYPE_CHECKING:
    from tenure.screen import Screen

CHAMPION, CHALLENGER, SHADOW = "champion", "challenger", "shadow"
ROLES = (CHAMPION, CHALLENGER, SHADOW)
PLAIN = frozenset({float, int, str, bool, type(None)})  # cannot be changed, and stand for themselves
MISSING_TYPES = frozenset({"NaTType", "NAType", "NoneType", "MaskedConstant"})
LATEST = 4_102_444_800_000_000  # 2100, in microseconds since 1970: what is later has the wrong unit
MOST_NAME = 256
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class Source(Protocol):
    """What the generated ids of a process begin with."""

    prefix: str


@dataclass(frozen=True, slots=True)
class Stream:
    """Where rows belong: one model, version and role; `source` is the batcher that takes them."""

    model: str
    version: str
    role: str = CHAMPION
    screen: Screen | None = None
    source: Source | None = None


class Row(NamedTuple):
    """One prediction. `time` is microseconds since 1970 UTC, `latency` nanoseconds, `counter` makes the id."""

    stream: Stream
    features: Mapping[str, Any]
    output: Any
    time: int
    counter: int
    id: str | None = None
    latency: int = -1
    error: str | None = None


class Table(NamedTuple):
    """Many predictions of one call. `columns` is a frame or a mapping of sequences, already a snapshot."""

    stream: Stream
    columns: Any
    output: Any
    times: Any  # one moment in microseconds for all rows, or a sequence of moments as they were given
    counter: int
    rows: int
    ids: Any = None
    latency: int = -1
    error: str | None = None
    aside: frozenset[str] = frozenset()  # columns that hold the id or the time: not features
    now: int = 0  # the time of the call, for rows without one


class Truth(NamedTuple):
    """One delayed outcome of an earlier prediction."""

    model: str
    id: str
    label: Any
    value: float | None
    time: int
    screen: Screen | None = None


# The common row, which is also the mark of the call in its context: start and end by `time.perf_counter_ns`, `OPEN` while
# the call is under way, `ID` where one is given. A plain list: an instance of a class would cost the hot path as much again.
STREAM, FEATURES, OUTPUT, STARTED, ENDED, COUNTER, ERROR, OPEN, ID = range(9)
Tick = list[Any]

Capture = Tick | Row | Table | Truth


class Unsupported:
    """Stands for a value that cannot be a feature: it is left out and counted."""

    def __repr__(self) -> str:
        return "UNSUPPORTED"


UNSUPPORTED = Unsupported()


def is_missing(value: Any) -> bool:
    """True for None, NaN, NaT and NA."""
    try:
        return value is None or type(value).__name__ in MISSING_TYPES or bool(value != value)  # noqa: PLR0124
    except Exception:  # noqa: BLE001  # an array, or a host's object that raises when it is compared
        return False


def micros_of(value: Any) -> int:
    """A moment as microseconds since 1970 UTC: a datetime (naive means UTC), a date, or seconds as `time.time()`.

    Raises
    ------
    SettingError
        It lies outside 1970 to 2100: milliseconds were given as seconds, most likely.
    """
    if isinstance(value, dt.datetime):
        moment = value if value.tzinfo is not None else value.replace(tzinfo=dt.UTC)
        micros = (moment - EPOCH) // dt.timedelta(microseconds=1)
    elif isinstance(value, dt.date):
        micros = (value - EPOCH.date()).days * 86_400_000_000
    else:
        micros = round(float(value) * 1_000_000)
    if not 0 <= micros <= LATEST:
        raise SettingError("time", value, "a datetime, or seconds since 1970, before 2100")
    return micros


def wire_text(text: str) -> str:
    """Text as UTF-8 can carry it: a lone surrogate becomes U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def rows_in(capture: Capture) -> int:
    return capture.rows if isinstance(capture, Table) else 1


def model_of(capture: Capture) -> str:
    if isinstance(capture, Row | Table):
        return capture.stream.model
    return capture.model if isinstance(capture, Truth) else capture[0].model
