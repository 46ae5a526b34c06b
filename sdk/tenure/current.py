"""The prediction being made, per thread and per asyncio task: its id, and whether a watched call is under way."""

from __future__ import annotations

from contextvars import ContextVar

from tenure.capture import COUNTER, ID, STREAM, Tick

# The newest watched call, shared with the queue: one look and one assignment is all the hot path pays. While it is open,
# further watched calls are part of it.
NONE_YET: Tick = [None, None, None, 0, 0, 0, None, False, None]
newest: ContextVar[Tick] = ContextVar("tenure_newest", default=NONE_YET)


def prediction_id() -> str | None:
    """The id of the prediction being made, or of the newest one made, in this thread or asyncio task.

    Inside a watched function and after it has returned it names that call: hand it to whoever will know the truth, for
    `Monitor.outcome`. None before any watched call. For a call on many rows it is the id of the first.
    """
    call = newest.get()
    if call is NONE_YET:
        return None
    return call[ID] or f"{call[STREAM].source.prefix}-{call[COUNTER]}"
