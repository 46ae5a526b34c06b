"""The prediction being made, per thread and per asyncio task: its id, and whether a watched call is under way."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Protocol

NOTHING = 1 << 62  # no watched call was made in this context yet


class Source(Protocol):
    """What ids of a process begin with."""

    prefix: str


# The counter of the newest watched call; ~counter (negative) while it is under way, when further watched calls are part
# of it. One integer, so that the hot path sets nothing more.
counter: ContextVar[int] = ContextVar("tenure_counter", default=NOTHING)
source: ContextVar[Source | None] = ContextVar("tenure_source", default=None)
given: ContextVar[tuple[int, str]] = ContextVar("tenure_given", default=(NOTHING, ""))


def prediction_id() -> str | None:
    """The id of the prediction being made, or of the newest one made, in this thread or asyncio task.

    Inside a watched function and after it has returned it names that call: hand it to whoever will know the truth, for
    `Monitor.outcome`. None before any watched call. For a call on many rows it is the id of the first.
    """
    number, made_by = counter.get(), source.get()
    if number == NOTHING or made_by is None:
        return None
    number = ~number if number < 0 else number
    of, text = given.get()
    return text if of == number else f"{made_by.prefix}-{number}"
