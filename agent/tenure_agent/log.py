"""The agent's log: ids and counts, as JSON lines or for a console, and never a value of a feature or a label.

A library's error message may quote a row, so of an exception only its type and where it was raised are shown, and the
message only of those that are known to quote none.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import logging
import sys
import traceback
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from tenure.errors import TenureError

FIELDS = frozenset(
    {
        "action",
        "attempt",
        "blocks",
        "check",
        "decision",
        "grpc",
        "http",
        "job",
        "model",
        "outcomes",
        "path",
        "pending",
        "reports",
        "rows",
        "seconds",
        "slimmed",
        "source",
        "trigger",
        "upstream",
        "verb",
        "version",
        "why",
    }
)
"""What a line of ours may carry; `why` is said by us or by a connection, never by a parser of rows."""

QUOTES_NO_ROW = frozenset({"IOException", "OutOfMemoryException"})  # of DuckDB: files and memory

logger = logging.getLogger(__name__)


def configure(style: Literal["console", "json"], level: str) -> None:
    """Send everything to standard error, one event a line."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if style == "json" else Console())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("apscheduler").setLevel(logging.WARNING)


def loop_failed(_: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
    """What nobody awaited has failed. The event loop's own words quote the exception whole."""
    logger.error("%(why)s", {"why": context["message"]}, exc_info=context.get("exception"))


class Console(logging.Formatter):
    """One line an event; what a name holds can neither end the line nor steer a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        head = f"{_time(record)} {record.levelname} {_printable(record.getMessage())}"
        error = _error(record)
        return head if error is None else "\n".join([head, f"  {error['error']}", *(f"    {at}" for at in error["at"])])


class JsonLines(logging.Formatter):
    """One JSON object an event, with what the event carries as fields of their own."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if isinstance(record.args, Mapping):
            entry |= {name: value for name, value in record.args.items() if name in FIELDS}
        return json.dumps(entry | (_error(record) or {}), default=str)


def _time(record: logging.LogRecord) -> str:
    return dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(timespec="milliseconds")


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _error(record: logging.LogRecord) -> dict[str, Any] | None:
    error = record.exc_info[1] if record.exc_info else None
    if error is None:
        return None
    chain = list(_chain(error))
    frames = [frame for one in chain for frame in traceback.extract_tb(one.__traceback__)]
    return {
        "error": _printable("; after ".join(_told(one) for one in chain)),
        "at": [f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in frames],
    }


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _told(error: BaseException) -> str:
    name = type(error).__name__
    if isinstance(error, OSError) and error.strerror:
        return f"{name}: {error.strerror}"
    if isinstance(error, TenureError) or name in QUOTES_NO_ROW:
        return f"{name}: {error}"
    return name
