"""The common call, one dict of plain values in and one plain value out, captured as cheaply as can be.

A copy of the dict, two looks at the clock, one list that is at once the mark in the context and the row in the queue.
Whatever else a call turns out to be is handed to its `Watch`, which looks closer.
"""

from __future__ import annotations

import functools
import gc
from collections.abc import Callable
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from tenure import current
from tenure.capture import ENDED, ERROR, OPEN, OUTPUT, PLAIN

if TYPE_CHECKING:
    from tenure.watch import Watch

ABSENT: Any = object()


def around(function: Callable[..., Any], watch: Watch) -> Callable[..., Any]:
    """A watched function whose first argument holds the features."""
    batcher, stream, key = watch.batcher, watch.stream, watch.binding.id
    queue, half = batcher.queue, batcher.half
    append, count, newest, set_newest = queue.append, batcher.counter.__next__, current.newest.get, current.newest.set
    is_tracked = gc.is_tracked  # False: a dict without containers in it, which a copy of its surface copies whole

    @functools.wraps(function)
    def watched(first: Any = ABSENT, /, *args: Any, **kwargs: Any) -> Any:
        if newest()[OPEN]:
            return function(*_given(first, args), **kwargs)
        if args or kwargs or type(first) is not dict or watch.careful or is_tracked(first):
            return watch.slowly(function, _given(first, args), kwargs)
        given = None
        if key is None:
            features = first.copy()
        else:
            given = first.get(key)
            if type(given) is not str:
                return watch.slowly(function, (first,), kwargs)
            features = first.copy()
            del features[key]
        call = [stream, features, None, perf_counter_ns(), 0, count(), None, True, given]
        set_newest(call)
        try:
            call[OUTPUT] = output = function(first)
        except BaseException as error:
            call[ENDED], call[OPEN], call[ERROR] = perf_counter_ns(), False, type(error).__name__
            watch.submit(call)
            raise
        call[ENDED] = perf_counter_ns()
        call[OPEN] = False
        waiting = len(queue)
        if type(output) in PLAIN and waiting < batcher.room:
            append(call)
            if batcher.asleep or waiting == half:
                watch.wake()
        else:
            watch.submit(call)
        return output

    return watched


def _given(first: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
    return args if first is ABSENT else (first, *args)
