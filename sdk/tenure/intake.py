"""The host's side of the batcher: the bounded queue its threads append to, and what happens when it is full."""

from __future__ import annotations

import itertools
import os
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from tenure import threads
from tenure.backlog import QUEUE_FULL, Account
from tenure.capture import Capture, Table, model_of, rows_in

if TYPE_CHECKING:
    from threading import Thread

    from tenure.settings import Settings

TABLE_COUNTERS = 1 << 40  # ids of tables count from here, those of single rows from 0


class Intake(ABC):
    """A queue of captures, bounded in rows. Whoever empties it says how it is woken.

    Parameters
    ----------
    settings
        Limits, see `Settings`.
    """

    _account: Account

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._limit = settings.queue_rows
        self.half = settings.queue_rows >> 1  # waiting rows that wake a sender which is gathering
        self.counter = itertools.count()  # one for all monitors that share the prefix: it makes the ids of rows
        self.queue: deque[Capture] = deque()  # the same object for life: watched functions hold its append

    def _start_afresh(self) -> None:
        self.prefix = f"{os.getpid():x}-{time.time_ns():x}"
        self.queue.clear()
        self.room = self._limit  # captures the queue may hold: the limit less the further rows of waiting tables
        self.asleep = True
        self._lock = threads.real().RLock()  # a signal handler may predict while its own thread holds it
        self._thread: Thread | None = None
        self._use_real_threads()
        self._next_table = TABLE_COUNTERS

    def _use_real_threads(self) -> None:
        self._threads = threads.real()
        self._changed = self._threads.Condition(self._lock)

    def _start_thread(self, run: Callable[[], object]) -> None:
        if self._threads is not threads.real():  # gunicorn brings gevent into a worker after the application was loaded
            self._use_real_threads()
        thread = self._threads.Thread(target=run, name="tenure-sender", daemon=True)
        thread.start()  # raises while the interpreter ends
        self._thread = thread

    def put(self, capture: Capture) -> None:
        """Queue a capture; never waits, and never raises for a full queue: then the oldest is dropped."""
        if len(self.queue) < self.room and not isinstance(capture, Table):
            self.queue.append(capture)
            if self.asleep or len(self.queue) == self.half:
                self.wake()
        else:
            self._put_counted(capture)

    def _put_counted(self, capture: Capture) -> None:
        rows = rows_in(capture)
        if rows > self._limit and self._settings.when_full == "block" and isinstance(capture, Table):
            from tenure.tables import parted  # noqa: PLC0415  # only a host that would rather wait needs it

            for part in parted(capture, -(-rows // self._limit)):
                self._put_counted(part)
            return
        if rows > self._limit:
            self.drop(QUEUE_FULL, model_of(capture), rows)
            return
        with self._lock:
            if len(self.queue) + rows > self.room and self._settings.when_full == "block":
                self._wait_for_room(rows)
            elif len(self.queue) + rows > self.room and self._settings.drop_policy == "newest":
                self._account.drop(QUEUE_FULL, {model_of(capture): rows})
                return
            while self.queue and len(self.queue) + rows > self.room:
                oldest = self.queue.popleft()
                self.room += rows_in(oldest) - 1
                self._account.drop(QUEUE_FULL, {model_of(oldest): rows_in(oldest)})
            self.room -= rows - 1
            self.queue.append(capture)
        self.wake()

    def _wait_for_room(self, rows: int) -> None:
        """Until the sender or `close` has made room; what the sender itself puts is not held up."""
        while len(self.queue) + rows > self.room and self._threads.current_thread() is not self._thread:
            self.wake()
            self._changed.wait(1.0)

    def reserve(self, rows: int) -> int:
        """First of `rows` consecutive id counters for a table."""
        with self._lock:
            first = self._next_table
            self._next_table += rows
            return first

    def drop(self, reason: str, model: str, rows: int = 1) -> None:
        """Count rows lost before they could be queued."""
        with self._lock:
            self._account.drop(reason, {model: rows})
        if self.asleep:
            self.wake()  # the agent hears of a loss even where no row follows

    @abstractmethod
    def wake(self) -> None:
        """Have the queue emptied soon."""

    def _drained(self) -> list[Capture]:
        """Empty the queue, with the lock held. What a host's thread appends meanwhile is taken or stays."""
        taken = [self.queue.popleft() for _ in range(len(self.queue))]
        self.room = self._limit  # tables are only ever queued under the lock
        return taken
