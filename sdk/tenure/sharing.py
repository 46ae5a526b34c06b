"""What the monitors of a process share."""

from __future__ import annotations

import threading
import time

from tenure import forking
from tenure.batcher import Batcher
from tenure.settings import Settings
from tenure.transport import GrpcTransport


class Shared:
    """One queue and one sender for all monitors of a process that report alike: their rows keep their order."""

    def __init__(self) -> None:
        self._batchers: dict[Settings, Batcher] = {}
        self._lock = threading.Lock()

    def batcher(self, settings: Settings) -> Batcher:
        forking.register(self)
        with self._lock:
            if not self._batchers:
                forking.at_exit(self._close)
            if settings not in self._batchers:
                self._batchers[settings] = Batcher(
                    settings, lambda: GrpcTransport(settings.address(), **settings.credentials())
                )
            return self._batchers[settings]

    def _close(self) -> None:
        until = time.monotonic() + 1.5  # for all of them together
        for settings, batcher in self._batchers.items():
            batcher.close(min(settings.exit_timeout, max(0.0, until - time.monotonic())), patience=0.2)

    def before_fork(self) -> None:
        self._lock.acquire()  # so that no child inherits it held by a thread it does not have

    def after_fork_in_parent(self) -> None:
        self._lock.release()

    def after_fork_in_child(self) -> None:
        self._lock.release()


shared = Shared()
