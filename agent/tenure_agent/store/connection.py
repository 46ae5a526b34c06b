"""One DuckDB file, open: a cursor per thread, renewed all at once when DuckDB has to be closed and opened again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import duckdb

from tenure_agent.quoting import literal
from tenure_agent.store.journal import Journal

Cursor = duckdb.DuckDBPyConnection
IN_MEMORY = Path(":memory:")
MAX_PARSED = 256
_parsed: dict[str, duckdb.Statement] = {}


def parsed(cursor: Cursor, sql: str) -> duckdb.Statement:
    """One statement, parsed the first time it is met: a tenth of what storing a small report takes."""
    found = _parsed.get(sql)
    if found is None:
        if len(_parsed) >= MAX_PARSED:
            _parsed.clear()
        (found,) = cursor.extract_statements(sql)
        _parsed[sql] = found
    return found


class Connection:
    """The file's only way in.

    Parameters
    ----------
    path, exports
        The database, and the one directory queries may read and write.
    memory
        Bytes DuckDB may use.
    threads
        Threads one query may use.
    """

    def __init__(self, path: Path, exports: Path, memory: int, threads: int) -> None:
        self._path, self._exports = path, exports
        self._settings: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": f"{memory}B",
            "threads": threads,
            "allocator_background_threads": True,  # else what it freed is given back only by the next query
            "max_temp_directory_size": f"{4 * memory}B",  # the default would fill the disk
            "wal_autocheckpoint": "32MB",  # each checkpoint stops the writer: fewer, and without rewriting what is there
            "max_vacuum_tasks": 0,
        }
        if path == IN_MEMORY:
            del self._settings["max_temp_directory_size"]  # what does not fit into memory is all there
            self._settings["temp_directory"] = str(exports)
        self._journal = Journal(path) if path != IN_MEMORY else None
        self._changed = threading.Condition()
        self._opened: duckdb.DuckDBPyConnection | None = None
        self._cursors: list[Cursor] = []
        self._in_hand = 0
        self._closing = False
        self._local = threading.local()
        self.generation = 0

    def open(self) -> None:
        """
        Raises
        ------
        duckdb.Error
            The file cannot be opened.
        """
        with self._changed:
            self._open()

    def _open(self) -> duckdb.DuckDBPyConnection:
        if self._opened is None:
            with ExitStack() as undo:
                if self._journal is not None:
                    undo.callback(self._journal.close)
                    self._journal.restore()
                opened = undo.enter_context(duckdb.connect(str(self._path), config=self._settings))
                _lock_down(opened, self._exports)
                undo.pop_all()
            self._opened = opened
            self._local = threading.local()
        return self._opened

    @contextmanager
    def cursor(self) -> Iterator[Cursor]:
        """This thread's cursor: a shared one is not safe."""
        with self._changed:
            self._changed.wait_for(lambda: not self._closing)
            opened = self._open()
            cursor: Cursor | None = getattr(self._local, "cursor", None)
            if cursor is None:
                cursor = self._local.cursor = opened.cursor()
                self._cursors.append(cursor)
            self._in_hand += 1
        try:
            yield cursor
        finally:
            with self._changed:
                self._in_hand -= 1
                self._changed.notify_all()

    @contextmanager
    def extra_cursor(self) -> Iterator[Cursor]:
        """A cursor for one use, with temporary views of its own."""
        with self.cursor() as cursor:
            extra = cursor.cursor()
            with self._changed:
                self._cursors.append(extra)
            try:
                yield extra
            finally:
                with self._changed:
                    self._cursors.remove(extra)
                extra.close()

    def committed(self, cursor: Cursor) -> None:
        """To be told by the writer after each commit and checkpoint."""
        if self._journal is not None:
            self._journal.follow(cursor)

    def close(self, generation: int | None = None) -> None:
        """Let go of the file when the last work in hand has ended; the next cursor opens it again.

        Parameters
        ----------
        generation
            Close only if no other thread has closed it since this was read.
        """
        with self._changed:
            self._changed.wait_for(lambda: not self._closing)
            if self._opened is None or generation not in {None, self.generation}:
                return
            self._closing = True
            self.generation += 1
            try:
                while self._in_hand:  # an interrupt is forgotten by a query that starts after it
                    for cursor in self._cursors:
                        cursor.interrupt()
                    self._changed.wait(0.1)
                # DuckDB hands out the same broken instance again for as long as any cursor of it lives.
                for opened in (*self._cursors, self._opened):
                    with suppress(duckdb.Error):
                        opened.close()
                if self._journal is not None:
                    self._journal.close()
            finally:
                self._cursors.clear()
                self._opened = None
                self._closing = False
                self._changed.notify_all()


def _lock_down(connection: duckdb.DuckDBPyConnection, exports: Path) -> None:
    # The order matters: allowed_directories cannot be set once external access is off.
    connection.execute(f"SET allowed_directories = [{literal(f'{exports}/')}]")
    connection.execute("SET autoinstall_known_extensions = false")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET python_enable_replacements = false")  # else a query may read our variables
    connection.execute("SET preserve_insertion_order = true")
    connection.execute("PRAGMA disable_checkpoint_on_shutdown")  # a file that is refused stays as it is
    connection.execute("SET lock_configuration = true")
