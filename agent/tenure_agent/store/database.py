"""The DuckDB file: opened once, locked, one writer thread, a few reader threads."""

from __future__ import annotations

import asyncio
import fcntl
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from importlib import resources
from pathlib import Path
from typing import TypeVar

import duckdb

from tenure.errors import TenureError

T = TypeVar("T")
Cursor = duckdb.DuckDBPyConnection
SCHEMA = 1
READERS = 2


class DatabaseLocked(TenureError):
    """Another agent holds the file."""


class Database:
    """One agent's store.

    Parameters
    ----------
    path
        The DuckDB file; made when it is not there. A lock file and an export directory are kept beside it.
    memory
        Bytes DuckDB may use.
    threads
        Threads one query may use.

    Raises
    ------
    DatabaseLocked
        Another agent is running on this file.
    """

    def __init__(self, path: Path, *, memory: int = 256 << 20, threads: int = 2) -> None:
        self.path = path.absolute()
        self.exports = self.path.with_name(self.path.name + ".exports")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._lock_file = _lock(self.path)
        self.exports.mkdir(mode=0o700, exist_ok=True)
        try:
            self._open(memory, threads)
        except BaseException:
            os.close(self._lock_file)
            raise

    def _open(self, memory: int, threads: int) -> None:
        self._connection = duckdb.connect(str(self.path), config={"memory_limit": f"{memory}B", "threads": threads})
        self._lock_down()
        self._local = threading.local()
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="tenure-writer")
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="tenure-reader")
        try:
            self.write(_migrate).result()
        except BaseException:
            self._writer.shutdown()
            self._connection.close()
            raise

    def _lock_down(self) -> None:
        # The order matters: allowed_directories cannot be set once external access is off.
        exports = str(self.exports).replace("'", "''")
        self._connection.execute(f"SET allowed_directories = ['{exports}/']")
        self._connection.execute("SET autoinstall_known_extensions = false")
        self._connection.execute("SET enable_external_access = false")
        self._connection.execute("SET preserve_insertion_order = true")
        self._connection.execute("SET lock_configuration = true")

    def write(self, work: Callable[[Cursor], T]) -> Future[T]:
        """Run `work` in the writer thread, in one transaction; it is committed and synced when the future is done."""
        return self._writer.submit(self._transact, work)

    def read(self, work: Callable[[Cursor], T]) -> Future[T]:
        """Run `work` in a reader thread, on a snapshot of what is committed."""
        return self._readers.submit(lambda: work(self._cursor()))

    async def async_write(self, work: Callable[[Cursor], T]) -> T:
        """`write` for the event loop."""
        return await asyncio.wrap_future(self.write(work))

    async def async_read(self, work: Callable[[Cursor], T]) -> T:
        """`read` for the event loop."""
        return await asyncio.wrap_future(self.read(work))

    def _transact(self, work: Callable[[Cursor], T]) -> T:
        cursor = self._cursor()
        cursor.begin()
        try:
            result = work(cursor)
        except BaseException:
            cursor.rollback()
            raise
        cursor.commit()
        return result

    def _cursor(self) -> Cursor:
        """Each thread has a cursor of its own: a shared one is not safe."""
        cursor: Cursor | None = getattr(self._local, "cursor", None)
        if cursor is None:
            cursor = self._local.cursor = self._connection.cursor()
        return cursor

    def close(self) -> None:
        """Finish what is queued, checkpoint, and let go of the file."""
        self._writer.submit(lambda: self._cursor().execute("CHECKPOINT")).result()
        self._writer.shutdown()
        self._readers.shutdown()
        self._connection.close()
        os.close(self._lock_file)


def _lock(path: Path) -> int:
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


def _migrate(cursor: Cursor) -> None:
    tables = cursor.execute("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'meta'").fetchone()
    if tables == (0,):
        cursor.execute(resources.files("tenure_agent.store").joinpath("schema.sql").read_text())
        cursor.execute("INSERT INTO meta VALUES ('schema', ?)", [str(SCHEMA)])
    version = cursor.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()
    if version is None or int(version[0]) > SCHEMA:
        found = "none" if version is None else version[0]
        raise TenureError(f"store.path: schema {found} is newer than this agent's {SCHEMA}. Try: a newer tenure-agent")
