"""One agent per database: a lock file beside it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from tenure.errors import TenureError


class DatabaseLocked(TenureError):
    """Another agent holds the file."""


def lock(path: Path) -> int:
    """Hold a lock file for as long as the process lives. The database file itself must not be opened twice."""
    handle = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = os.read(handle, 32).decode(errors="replace").strip() or "another process"
        os.close(handle)
        raise DatabaseLocked(
            f"store.path: {str(path)!r} is held by another agent (process {holder}). "
            "Try: stop that agent, or give this one its own store.path"
        ) from None
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
    if path.parent.is_dir():
        os.close(lock(path))
