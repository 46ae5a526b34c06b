"""What DuckDB's errors mean for the file, and how an unreadable one is set aside."""

from __future__ import annotations

import datetime as dt
import errno
import os
import re
from pathlib import Path

import duckdb

from tenure.errors import TenureError

BROKEN = (
    "corrupt",
    "could not read enough bytes",
    "could not read from file",
    "replaying wal",
    "checksum",
    "not a valid duckdb database file",
    "failed to deserialize",
)
OF_THE_FILE = (
    duckdb.Error,
    duckdb.IOException,
    duckdb.TransactionException,
    duckdb.FatalException,
    duckdb.InternalException,
)
FULL = (os.strerror(errno.ENOSPC).lower(), os.strerror(errno.EDQUOT).lower())


class StoreFull(TenureError):
    """The disk has no room: nothing is written until it has."""


class StoreLost(TenureError):
    """The file turned out to be unreadable while in use."""


def unreadable(error: duckdb.Error) -> bool:
    """Whether the file's bytes are at fault, and not the disk, the memory or the query."""
    return isinstance(error, duckdb.SerializationException) or (_says(error, BROKEN) and not out_of_room(error))


def told(error: duckdb.Error | StoreLost) -> str:
    """An error as a log may carry it: DuckDB's own words may quote a row, those about files and memory do not."""
    if isinstance(error, StoreLost | duckdb.IOException | duckdb.OutOfMemoryException):
        return str(error).splitlines()[0]
    why = "no room on the disk" if out_of_room(error) else "its bytes do not add up" if unreadable(error) else ""
    return f"{type(error).__name__}: {why}" if why else type(error).__name__


def out_of_room(error: duckdb.Error) -> bool:
    """Whether the disk is full."""
    return _says(error, FULL)


def log_is_at_fault(error: duckdb.Error) -> bool:
    """Whether the write-ahead log is broken and the checkpointed file may be whole."""
    return "wal file" in str(error).lower()


def set_aside(path: Path, now: float, *, log_only: bool) -> Path:
    """Rename a database and its log, or its log alone, so that neither is read again; nothing is deleted.

    Parameters
    ----------
    now
        Seconds since 1970, for the name: ``tenure.duckdb.unreadable-20261123T091500Z``. The log goes with it as
        ``….wal``, so that DuckDB finds it when somebody looks at what can be saved.

    Returns
    -------
    The new name.
    """
    base = f"{path.name}.wal" if log_only else path.name
    stamp = f"{dt.datetime.fromtimestamp(now, dt.UTC):%Y%m%dT%H%M%SZ}"
    target = _unused(path.with_name(f"{base}.unreadable-{stamp}"))
    logs = [file for file in path.parent.iterdir() if file.name.startswith(f"{path.name}.wal")]
    for file in logs if log_only else [path, *logs]:
        if ".unreadable-" not in file.name:
            file.rename(target.with_name(target.name + file.name.removeprefix(base)))
    return target


def files_set_aside(path: Path) -> list[Path]:
    """What was set aside beside a database and not removed since, each with its log counted once."""
    mark = re.compile(rf"{re.escape(path.name)}(\.wal)?\.unreadable-\d{{8}}T\d{{6}}Z(-\d+)?")
    if not path.parent.is_dir():
        return []
    return sorted(file for file in path.parent.iterdir() if mark.fullmatch(file.name))


def _says(error: duckdb.Error, marks: tuple[str, ...]) -> bool:
    """Only errors of the file's own kinds: those about a query quote it."""
    return type(error) in OF_THE_FILE and any(mark in str(error).lower() for mark in marks)


def _unused(path: Path) -> Path:
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.name}-{number}")
    return free
