"""Forks of the host: senders are stopped before, so that no child inherits a call on its way, and start again after."""

from __future__ import annotations

import atexit
import functools
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from tenure import complaints, threads

SETTLE, PATIENCE = 0.1, 1.0  # seconds to wait at most for threads that may be gRPC's, and for those that are
LOOKS = 3  # in a row that find them asleep
GRPC = (
    "event_engine",
    "grpc_global_tim",
    "lifeguard",
)  # what it calls its threads; on a busy machine they take their time


class Forked(Protocol):
    """What has to be told of a fork."""

    def before_fork(self) -> None: ...
    def after_fork_in_parent(self) -> None: ...
    def after_fork_in_child(self) -> None: ...


_told: weakref.WeakSet[Forked] = weakref.WeakSet()
_lock = threading.Lock()  # guards the above; held over a fork, so that no child inherits it from a thread it lacks
_one_at_a_time = threading.Lock()  # of the forks; not the same, as who registers may hold what `before_fork` waits for
_forking: list[Forked] = []
_at_exit: list[Callable[[], object]] = []  # of them multiprocessing has not been told


def register(one: Forked) -> None:
    """Tell `one` of every fork for as long as it lives."""
    with _lock:
        _hook()
        _told.add(one)


@functools.cache
def _hook() -> None:
    """Once, and after `logging`'s own: the last is run first, and a sender that logs must not wait for who forks."""
    import logging  # noqa: F401, PLC0415  # with the first monitor: the host's import shall not pay for it

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=_before,
            after_in_parent=lambda: _after(lambda one: one.after_fork_in_parent()),
            after_in_child=lambda: _after(lambda one: one.after_fork_in_child()),
        )


def at_exit(action: Callable[[], object]) -> None:
    """At the end of this process and of its forked children; where multiprocessing ends them, it may run twice."""
    with _lock:
        _hook()
    atexit.register(action)
    _at_exit.append(action)
    _tell_multiprocessing()


def _before() -> None:
    _one_at_a_time.acquire()
    with _lock:
        _forking[:] = _told
    _tell_multiprocessing()
    _each(lambda one: one.before_fork())
    _settle()
    _lock.acquire()


def _tell_multiprocessing() -> None:
    """Its children know no atexit. Only where the host uses it: importing it costs as much as all of ours."""
    util = sys.modules.get("multiprocessing.util")
    while util is not None and _at_exit:
        action = _at_exit.pop()
        util.register_after_fork(action, lambda action: util.Finalize(None, action, exitpriority=0))
        util.Finalize(None, action, exitpriority=0)  # this process may itself be a child of it


def imports(thread: threading.Thread | None) -> bool:
    """Whether a thread is importing a module, and so holds its lock."""
    frames = sys._current_frames()  # noqa: SLF001  # public, for all its name
    frame = None if thread is None else frames.get(thread.ident or 0)
    while frame is not None:
        if frame.f_globals.get("__name__") == "importlib._bootstrap":
            return True
        frame = frame.f_back
    return False


def _settle() -> None:
    """Wait until gRPC's own threads sleep: one that still cleans up would leave its locks held in the child for ever.

    They outlive every channel and cannot be joined; that none of them runs shows only in /proc.
    """
    pause = threads.real().Event()  # never set; under gevent no greenlet runs while a fork is prepared
    mine, began, quiet = {thread.native_id for thread in threading.enumerate()}, time.monotonic(), 0
    while "grpc" in sys.modules and quiet < LOOKS:
        busy = _busy(mine)
        quiet = 0 if busy else quiet + 1
        if time.monotonic() - began > (SETTLE if busy.isdisjoint(GRPC) else PATIENCE):
            return
        pause.wait(0.001)


def _busy(mine: set[int | None]) -> set[str]:
    """The names of threads that run, but for those of Python's."""
    found = set()
    with suppress(OSError):  # there is no /proc
        for task in os.listdir("/proc/self/task"):  # noqa: PTH208  # pathlib costs the host's import 3 ms
            if int(task) not in mine:
                with suppress(OSError), open(f"/proc/self/task/{task}/stat") as file:  # noqa: PTH123  # or it has ended
                    head, _, tail = file.read().rpartition(")")
                    if tail.split()[0] != "S":
                        found.add(head.partition("(")[2])
    return found


def _after(action: Callable[[Forked], None]) -> None:
    _each(action)
    _forking.clear()
    _lock.release()
    _one_at_a_time.release()


def _each(action: Callable[[Forked], None]) -> None:
    for one in _forking:
        try:
            action(one)
        except Exception:  # noqa: BLE001  # the others must hear of it all the same, and the host forks whatever comes
            complaints.say("fork", "a fork was not prepared", trace=True)
