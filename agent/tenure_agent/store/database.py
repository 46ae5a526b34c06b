"""The DuckDB file: opened once, locked, one writer thread, a few reader threads; healed where it breaks."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import duckdb

from tenure.errors import TenureError
from tenure_agent.lock import DatabaseLocked, lock
from tenure_agent.store import damage
from tenure_agent.store.connection import IN_MEMORY, Connection, Cursor
from tenure_agent.store.damage import StoreFull, StoreLost
from tenure_agent.store.inline import Inline
from tenure_agent.store.room import Room
from tenure_agent.store.schema import SCHEMA, migrate

__all__ = ["SCHEMA", "Cursor", "Database", "DatabaseLocked", "StoreFull", "StoreLost", "reusable_bytes"]

logger = logging.getLogger(__name__)

T = TypeVar("T")
READERS = 2


class Database:
    """One agent's store.

    Parameters
    ----------
    path
        The DuckDB file; made when it is not there, and set aside when it cannot be read. A lock file and an export
        directory are kept beside it. None: in memory, and beyond that in `exports`.
    exports
        The one directory queries may read and write.
    memory
        Bytes DuckDB may use.
    threads
        Threads one query may use.
    floor
        Bytes of the disk to leave free: below that, writing is refused.
    clock
        Seconds since 1970, for the names of files set aside.

    Raises
    ------
    DatabaseLocked
        Another agent is running on this file.
    TenureError
        The file is there and is not this agent's to use.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        exports: Path | None = None,
        memory: int = 96 << 20,
        threads: int = 1,
        floor: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.path = path.absolute() if path is not None else IN_MEMORY
        self.exports = exports if exports is not None else self.path.with_name(self.path.name + ".exports")
        self.on_lost: Callable[[], object] = lambda: None
        self.aside: Path | None = None
        self.revision = 0  # of what is stored: how often something was written
        self._clock = clock
        self._lost: StoreLost | None = None
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._lock_file = lock(self.path) if path is not None else os.open(os.devnull, os.O_RDONLY)
        self.exports.mkdir(mode=0o700, exist_ok=True)
        self.room = Room(self.path.parent, floor)
        self._connection = Connection(self.path, self.exports, memory, threads)
        try:
            self._open()
        except BaseException:
            self._connection.close()
            os.close(self._lock_file)
            raise
        self._writer, self._readers, self._asker = (
            Inline() if path is None else ThreadPoolExecutor(n, thread_name_prefix=f"tenure-{name}")
            for name, n in (("writer", 1), ("reader", READERS), ("asker", 1))
        )

    def _open(self) -> None:
        """Open the file; where it cannot be read, without its log, and else without it."""
        while True:
            try:
                self._connection.open()
                self._run(migrate)
            except duckdb.Error as error:
                self._connection.close()
                if not damage.unreadable(error):
                    raise TenureError(
                        f"store.path: {str(self.path)!r} cannot be opened ({damage.told(error)}). "
                        "Try: another store.path"
                    ) from None
                self._set_aside(error)
            else:
                return

    def _set_aside(self, error: duckdb.Error | StoreLost) -> None:
        log_only = isinstance(error, duckdb.Error) and damage.log_is_at_fault(error)
        name = damage.set_aside(self.path, self._clock(), log_only=log_only)
        self.aside = self.aside if log_only else name
        told = {"why": damage.told(error), "path": str(name)}
        logger.error("the store cannot be read (%(why)s); set aside as %(path)s", told)

    def write(self, work: Callable[[Cursor], T], *, into_floor: bool = False) -> Future[T]:
        """Run `work` in the writer thread, in one transaction; it is committed and synced when the future is done.

        Parameters
        ----------
        into_floor
            Write even where the disk is nearly full: what is written makes room.

        Raises
        ------
        StoreFull
            In the future: the disk has no room.
        StoreLost
            In the future: the file cannot be read any more.
        """
        if not into_floor:
            try:
                self.check_room()
            except StoreFull as error:
                refused: Future[T] = Future()
                refused.set_exception(error)
                return refused
        return self._writer.submit(self._transact, work)

    def read(self, work: Callable[[Cursor], T]) -> Future[T]:
        """Run `work` in a reader thread, on a snapshot of what is committed."""
        return self._readers.submit(self._look, work)

    def ask(self, work: Callable[[Cursor], T]) -> Future[T]:
        """Run `work` on a cursor of its own, in a thread that only people's questions share."""
        return self._asker.submit(self._look, work, extra=True)

    async def async_write(self, work: Callable[[Cursor], T], *, into_floor: bool = False) -> T:
        """`write` for the event loop."""
        return await _awaited(self.write(work, into_floor=into_floor))

    async def async_read(self, work: Callable[[Cursor], T]) -> T:
        """`read` for the event loop."""
        return await _awaited(self.read(work))

    def _transact(self, work: Callable[[Cursor], T]) -> T:
        generation = self._connection.generation
        try:
            return self._run(work)
        except duckdb.Error as error:
            self._heal(error, generation)
            if damage.unreadable(error):
                raise self._lose(error) from error
            if damage.out_of_room(error):
                self.room.ran_out()
                raise self._full() from error
            raise

    def _run(self, work: Callable[[Cursor], T]) -> T:
        if self._lost is not None:
            raise self._lost
        with self._connection.cursor() as cursor:
            cursor.begin()
            try:
                result = _called(work, cursor)
            except BaseException:
                with suppress(duckdb.Error):  # a broken database cannot roll back, and need not
                    cursor.rollback()
                raise
            cursor.commit()
            self._connection.committed(cursor)
            self.revision += 1
            self.room.wrote(reusable_bytes(cursor) if self.room.scarce() else 0)
        return result

    def _look(self, work: Callable[[Cursor], T], *, extra: bool = False, again: bool = True) -> T:
        if self._lost is not None:
            raise self._lost
        generation = self._connection.generation
        try:
            if extra or self.path == IN_MEMORY:  # one thread needs no snapshot
                with self._connection.extra_cursor() if extra else self._connection.cursor() as cursor:
                    return _called(work, cursor)
            with self._connection.cursor() as cursor:
                cursor.begin()
                try:
                    return _called(work, cursor)
                finally:  # a result not read to its end would keep removed rows in the file
                    with suppress(duckdb.Error):
                        cursor.rollback()
        except duckdb.Error as error:
            broken = damage.unreadable(error) and not extra  # people's queries are no proof
            if broken and not again:
                raise self._lose(error) from error
            if broken:  # a second look, at a file opened afresh, tells a bad disk from a bad moment
                self._connection.close(generation)
            self._heal(error, generation)
            if not again or generation == self._connection.generation:
                raise
        return self._look(work, extra=extra, again=False)

    def _heal(self, error: duckdb.Error, generation: int) -> None:
        """A fatal error leaves DuckDB useless until it is closed; the next query opens it again."""
        if isinstance(error, duckdb.FatalException | duckdb.InternalException):
            logger.error("the store is opened again: %(why)s", {"why": damage.told(error)})
            self._connection.close(generation)

    def _lose(self, error: duckdb.Error) -> StoreLost:
        if self._lost is None:
            self._lost = StoreLost(f"store.path: {str(self.path)!r} cannot be read ({damage.told(error)})")
            self.on_lost()
        return self._lost

    def check_room(self) -> None:
        """
        Raises
        ------
        StoreFull
            Less of the disk is free than should stay free.
        """
        if self.room.short():
            raise self._full()

    def _full(self) -> StoreFull:
        free = self.room.free() >> 20
        return StoreFull(f"store.path: the disk of {str(self.path)!r} has {free} MiB left. Try: make room on it")

    def checkpoint(self) -> Future[None]:
        """Move the log into the file, and give the room of deleted rows back to it; where it cannot be now, later."""
        return self._writer.submit(self._checkpoint)

    def _checkpoint(self) -> None:
        generation = self._connection.generation
        try:
            with self._connection.cursor() as cursor:
                cursor.execute("CHECKPOINT")
                self._connection.committed(cursor)
        except duckdb.Error as error:  # the log holds everything
            self._heal(error, generation)
            logger.warning("no checkpoint for now: %(why)s", {"why": damage.told(error)})

    @property
    def lost(self) -> bool:
        """Whether the file turned out to be unreadable while in use."""
        return self._lost is not None

    def replace(self) -> None:
        """Set a lost file aside and go on with a new one; `aside` names it until somebody has taken what is left of it."""
        self._connection.close()
        if self._lost is not None:
            self._set_aside(self._lost)
            self._lost = None
        self._open()

    def close(self) -> None:
        """Finish what is queued, checkpoint, and let go of the file."""
        self._writer.shutdown()
        self._readers.shutdown()
        self._asker.shutdown()
        if self._lost is None and self.path != IN_MEMORY:
            self._checkpoint()
        self._connection.close()
        os.close(self._lock_file)


async def _awaited(future: Future[T]) -> T:
    return future.result() if future.done() else await asyncio.wrap_future(future)


def _called(work: Callable[[Cursor], T], cursor: Cursor) -> T:
    try:
        return work(cursor)
    except StopIteration as error:  # an asyncio future cannot carry it, and would never be done
        raise LookupError("what was looked for is not there") from error


def reusable_bytes(cursor: Cursor) -> int:
    """Bytes inside the file that deleted rows have left."""
    found = cursor.execute("SELECT block_size * free_blocks FROM pragma_database_size()").fetchone()
    return int(found[0]) if found is not None else 0
