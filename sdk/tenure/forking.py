"""Forks of the host: senders are stopped before, so that no child inherits a call on its way, and start again after."""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import util
from pathlib import Path
from typing import Protocol

logger = logging.getLogger("tenure")

SETTLE, LOOKS = 0.1, 3  # seconds to wait for gRPC's threads at most, and looks in a row that find them asleep


class Forked(Protocol):
    """What has to be told of a fork."""

    def before_fork(self) -> None: ...
    def after_fork_in_parent(self) -> None: ...
    def after_fork_in_child(self) -> None: ...


_told: weakref.WeakSet[Forked] = weakref.WeakSet()
_lock = threading.Lock()
_forking: list[Forked] = []


def register(one: Forked) -> None:
    """Tell `one` of every fork for as long as it lives."""
    with _lock:
        _told.add(one)


def at_exit(action: Callable[[], object]) -> None:
    """At the end of this process and of its forked children: those of multiprocessing know no atexit."""
    atexit.register(action)
    util.register_after_fork(action, lambda action: util.Finalize(None, action, exitpriority=0))


def _before() -> None:
    _lock.acquire()
    _forking[:] = list(_told)
    _each(lambda one: one.before_fork())
    _settle()


def _settle() -> None:
    """Wait until gRPC's own threads sleep: one that still cleans up would leave its locks held in the child for ever.

    They outlive every channel and cannot be joined; that none of them runs shows only in /proc.
    """
    mine, until, quiet = {thread.native_id for thread in threading.enumerate()}, time.monotonic() + SETTLE, 0
    while "grpc" in sys.modules and quiet < LOOKS and time.monotonic() < until:
        quiet = 0 if _busy(mine) else quiet + 1
        time.sleep(0.001)


def _busy(mine: set[int | None]) -> bool:
    for task in Path("/proc/self/task").glob("*/stat"):
        if int(task.parent.name) not in mine:
            with suppress(OSError):  # it has just ended
                if task.read_text().rpartition(")")[2].split()[0] != "S":
                    return True
    return False


def _after(action: Callable[[Forked], None]) -> None:
    _each(action)
    _forking.clear()
    _lock.release()


def _each(action: Callable[[Forked], None]) -> None:
    for one in _forking:
        try:
            action(one)
        except Exception:  # the others must hear of it all the same, and the host forks whatever happens
            logger.exception("tenure: a fork was not prepared")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before,
        after_in_parent=lambda: _after(lambda one: one.after_fork_in_parent()),
        after_in_child=lambda: _after(lambda one: one.after_fork_in_child()),
    )
