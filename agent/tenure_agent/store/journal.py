"""What a checkpoint writes over, kept beside the file: one that was cut off in the midst of it is undone.

DuckDB ends a checkpoint by writing a new head, and what the old head needs is left alone until then. But its metadata
lie in blocks of 256 KiB that hold old and new side by side, under one checksum, and are written in place. A kill (or the
power) that stops such a write half-way leaves a block whose checksum fails, and with it a file that cannot be opened,
though all that the old head needs is there.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import suppress
from hashlib import blake2b
from itertools import chain
from pathlib import Path
from struct import pack, unpack_from

import duckdb
import numpy as np

logger = logging.getLogger(__name__)

HEAD = 3 * 4096  # bytes before the first block: what the file is, and two heads written by turns
MARK = b"tenure journal 1"
DIGEST = 32
SEED, FACTOR = 5381, np.uint64(0xBF58476D1CE4E5B9)


class Journal:
    """A copy of one database's metadata blocks, true for as long as the database's head is the one copied with them.

    It is written over in place, as it is needed only while a checkpoint runs, and is never written then.

    Parameters
    ----------
    path
        The database; the copy is ``<path>.journal``.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._copy = path.with_name(path.name + ".journal")
        self._file = -1  # closed only after DuckDB has let go: closing any handle frees a process's locks on a file
        self._head = b""
        self._failing = False

    def restore(self) -> int:
        """Put torn blocks back as they were under the present head; to be called while DuckDB does not have the file.

        Returns
        -------
        How many were torn: 0 unless a checkpoint was cut off, or the disk has failed.
        """
        torn = 0
        try:
            if not self._path.exists():
                self._copy.unlink(missing_ok=True)  # of a database that is gone
                return 0
            self._file = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
            for at, block in _blocks(self._copy.read_bytes(), os.pread(self._file, HEAD, 0)):
                if not whole(os.pread(self._file, len(block), at)) and whole(block):
                    os.pwrite(self._file, block, at)
                    torn += 1
            if torn:
                os.fsync(self._file)
                logger.warning("a checkpoint was cut off and is undone: %(blocks)d blocks", {"blocks": torn})
        except OSError:  # no copy; or what DuckDB will complain of
            pass
        return torn

    def follow(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """After a commit: copy the metadata if there was a checkpoint. A copy that fails costs no more than itself."""
        try:
            if self._file < 0:
                self._file = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
            head = os.pread(self._file, HEAD, 0)
            if head != self._head:
                self._keep(cursor, head)
                self._head, self._failing = head, False
        except (OSError, duckdb.Error) as error:  # tried again after the next commit
            if not self._failing:
                logger.warning("no copy of the metadata for now: %(why)s", {"why": type(error).__name__})
            self._failing = True
            with suppress(OSError):
                self._copy.unlink(missing_ok=True)

    def _keep(self, cursor: duckdb.DuckDBPyConnection, head: bytes) -> None:
        found = cursor.execute("SELECT block_id, block_size FROM pragma_metadata_info(), pragma_database_size()")
        blocks = [(HEAD + number * size, size) for number, size in found.fetchall()]
        digest = blake2b(digest_size=DIGEST)
        with self._copy.open("r+b" if self._copy.exists() else "wb") as copy:
            index = pack(f"<Q{2 * len(blocks)}Q", len(blocks), *(number for block in blocks for number in block))
            for part in chain((MARK, head, index), (os.pread(self._file, size, at) for at, size in blocks)):
                digest.update(part)
                copy.write(part)
            copy.write(digest.digest())
            copy.truncate()
            copy.flush()
            os.fdatasync(copy.fileno())

    def close(self) -> None:
        """After DuckDB has let go of the file."""
        if self._file >= 0:
            os.close(self._file)
        self._file, self._head = -1, b""


def whole(block: bytes) -> bool:
    """Whether a block's first 8 bytes are DuckDB's checksum of the others; False where there is no block."""
    if not block or len(block) % 8:
        return False
    words = np.frombuffer(block, "<u8")
    return int(words[0]) == SEED ^ int(np.bitwise_xor.reduce(words[1:] * FACTOR))


def _blocks(kept: bytes, head: bytes) -> Iterator[tuple[int, bytes]]:
    """Where each block of a copy belongs, and its bytes; none if the copy is not whole or of another head."""
    body = memoryview(kept)[:-DIGEST]
    start = len(MARK) + len(head)
    if len(head) < HEAD or kept[:start] != MARK + head or blake2b(body, digest_size=DIGEST).digest() != kept[-DIGEST:]:
        return
    (count,) = unpack_from("<Q", body, start)
    index = unpack_from(f"<{2 * count}Q", body, start + 8)
    start += 8 * (1 + 2 * count)
    for at, size in zip(index[::2], index[1::2], strict=True):
        yield at, bytes(body[start : start + size])
        start += size
