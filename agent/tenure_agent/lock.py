"""One agent per database: a lock file beside it."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from tenure.errors import TenureError

PAUSES = (0.001, 0.01, 0.05)  # seconds


class DatabaseLocked(TenureError):
    """Another agent holds the file."""


def lock(path: Path) -> int:
    """Hold a lock file for as long as the process lives. The database file itself must not be opened twice.

    Raises
    ------
    DatabaseLocked
        Another agent holds it.
    """
    handle = os.open(_beside(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    for pause in (*PAUSES, None):
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except OSError:
            if pause is None:
                _refuse(handle, path)
            else:
                time.sleep(pause)  # somebody may only be looking
    os.ftruncate(handle, 0)
    os.write(handle, str(os.getpid()).encode())
    return handle


def look(path: Path) -> None:
    """Is it another agent's? Told before what takes a second to load is loaded; the one that starts takes the lock.

    Raises
    ------
    DatabaseLocked
        It is.
    """
    with suppress(FileNotFoundError):
        handle = os.open(_beside(path), os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            _refuse(handle, path)
        os.close(handle)


def _beside(path: Path) -> str:
    return f"{path}.lock"


def _refuse(handle: int, path: Path) -> NoReturn:
    holder = os.read(handle, 32).decode(errors="replace").strip() or "another process"
    os.close(handle)
    raise DatabaseLocked(
        f"store.path: {str(path)!r} is held by another agent (process {holder}). "
        "Try: stop that agent, or give this one its own store.path"
    ) from None
