"""Room on the disk: writing stops while there is still enough of it to stop cleanly."""

from __future__ import annotations

import os
from pathlib import Path

LOG_ROOM = 48 << 20  # what DuckDB's log takes before its rows move into the file


class Room:
    """
    Parameters
    ----------
    folder
        Where the database is.
    floor
        Bytes that stay free: below that, nothing more is written.
    """

    def __init__(self, folder: Path, floor: int) -> None:
        self._folder = folder
        self._floor = floor
        self._ran_out = False
        self._reusable = 0

    def free(self) -> int:
        """Bytes free on the disk."""
        found = os.statvfs(self._folder)
        return found.f_bavail * found.f_frsize

    def scarce(self) -> bool:
        """Less is free than should stay free."""
        return self.free() < self._floor

    def short(self) -> bool:
        """Whether to refuse; not where the file itself has the room, as it keeps what deleted rows took."""
        free = self.free()
        return free < self._floor and (free < LOG_ROOM or self._reusable < self._floor)

    @property
    def full(self) -> bool:
        """Whether writing is refused, or failed for want of room when last tried."""
        return self._ran_out or self.short()

    def wrote(self, reusable: int) -> None:
        """A write succeeded and left so many bytes free inside the file."""
        self._ran_out = False
        self._reusable = reusable

    def ran_out(self) -> None:
        """A write failed for want of room."""
        self._ran_out = True
