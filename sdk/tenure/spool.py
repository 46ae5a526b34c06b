"""Reports on disk while the agent is away: a folder per producer, files of records, first in, first out.

A record is a head (lengths and checksums), its rows per model, and the report. Nothing is synced: what the kernel has
outlives the process, and what a loss of power tears is found by its checksum. Not guarded by any lock of its own: the
producer's thread does what touches the disk, and moves the counts under the batcher's lock.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from tenure.backlog import Parcel
from tenure.segment import Mark, Segment, Torn, read_record, record_of

SPOOL_FULL, SPOOL_TORN = "spool_full", "spool_torn"
MOST_SEGMENT = 4 << 20
LOOK_EVERY = 5.0  # seconds between looks at how much the other producers hold


class Spool:
    """What one producer has on disk.

    Parameters
    ----------
    folder
        The producer's own, locked for as long as the spool is open.
    lock
        The descriptor that holds the lock.
    limit
        Bytes all producers of the root may hold together.
    """

    def __init__(self, folder: Path, lock: int, limit: int) -> None:
        self.folder = folder
        self.limit = limit
        self.mark = Mark()
        self.unknown = 0  # places where what follows in a file cannot be read: nobody knows how many rows
        self._lock = lock
        self._segment_bytes = min(MOST_SEGMENT, limit // 8 + 1)
        self._segments: deque[Segment] = deque()
        self._offset = 0  # where the next record is read, in the first segment
        self._file: BinaryIO | None = None
        self._others = 0
        self._looked = -LOOK_EVERY

    @classmethod
    def create(cls, root: Path, producer: str, limit: int) -> Spool:
        """A new producer's; appears under its name only once it is locked, so that nobody takes it for an orphan."""
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        making, folder = root / f".{producer}", root / producer
        making.mkdir(mode=0o700)
        lock = os.open(making / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        making.rename(folder)
        return cls(folder, lock, limit)

    @classmethod
    def adopt(cls, folder: Path, limit: int) -> Spool | None:
        """A dead producer's; None where it lives, or another has taken it."""
        try:
            lock = os.open(folder / "lock", os.O_RDWR)
        except OSError:
            return None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(lock).st_ino != (folder / "lock").stat().st_ino:
                raise FileNotFoundError(folder)
            spool = cls(folder, lock, limit)
            spool._scan()
        except OSError:
            os.close(lock)
            return None
        return spool

    @property
    def producer(self) -> str:
        return self.folder.name

    def __len__(self) -> int:
        """Bytes on disk."""
        return sum(segment.end for segment in list(self._segments))

    def rows(self) -> Counter[str]:
        """Rows on disk that were not read yet."""
        return sum(
            (segment.rows for segment in list(self._segments)), Counter()
        )  # a copy: the sender moves on meanwhile

    def unread(self) -> bool:
        first = self._segments[0] if self._segments else None
        return first is not None and (len(self._segments) > 1 or self._offset < first.end)

    def append(self, parcel: Parcel) -> Segment:
        """Write a report behind all others; the caller counts its rows in the segment.

        Raises
        ------
        OSError
            Not written: the disk is full, or not ours.
        """
        record = record_of(parcel)
        if self._file is None or self._segments[-1].end >= self._segment_bytes:
            self._roll()
        assert self._file is not None  # noqa: S101  # _roll opened it
        segment = self._segments[-1]
        try:
            self._file.write(record)
        except OSError:
            with suppress(OSError):
                self._file.truncate(segment.end)
                self._file.seek(segment.end)
            raise
        segment.end += len(record)
        return segment

    def _roll(self) -> None:
        number = int(self._segments[-1].path.stem) + 1 if self._segments else self.mark.segment + 1
        path = self.folder / f"{number:08d}.spool"
        file = path.open("xb", buffering=0)
        if self._file is not None:
            self._file.close()
        self._file = file  # unbuffered: what is written is the kernel's
        if not self._segments:
            self._offset = 0
        self._segments.append(Segment(path))

    def read(self) -> tuple[Segment, Parcel | Torn] | None:
        """The next record, oldest first; the caller takes its rows out of the segment. None: all was read."""
        while self._segments:
            segment = self._segments[0]
            if self._offset < segment.end:
                with segment.path.open("rb") as file:
                    file.seek(self._offset)
                    found = read_record(file)
                if found is None:  # it was readable once
                    self._offset = segment.end
                    return segment, Torn(dict(segment.rows))
                rows, length, whole, body = found
                self._offset += length
                return segment, Parcel(body, rows) if whole else Torn(rows)
            if len(self._segments) == 1:
                return None
            self._segments.popleft()  # its file goes with the next settle
            self._offset = 0
        return None

    def settle(self, acked: int, losses: Mapping[tuple[str, str], int]) -> None:
        """All that was read is acked or counted as lost: remember that, and delete what nobody will read again."""
        if self._segments and not self.unread():
            last = self._segments.popleft()
            self._offset = 0
            self.mark.segment = int(last.path.stem)
            if self._file is not None:
                self._file.close()
                self._file = None
        elif self._segments:
            self.mark.segment = int(self._segments[0].path.stem)
        self.mark.offset = self._offset
        self.save(acked, losses)
        kept = {segment.path for segment in self._segments}
        for path in _files(self.folder):
            if path not in kept:
                path.unlink(missing_ok=True)

    def save(self, acked: int, losses: Mapping[tuple[str, str], int]) -> None:
        """Write the number acked last and the losses so far, for whoever goes on after us."""
        self.mark.acked, self.mark.losses = acked, dict(losses)
        fresh = self.folder / "mark.new"
        fresh.write_text(self.mark.text())
        fresh.replace(self.folder / "mark")

    def full(self, more: int = 0) -> bool:
        """Whether all producers together hold as much as they may."""
        now = time.monotonic()
        if now - self._looked > LOOK_EVERY:
            self._others, self._looked = _held(self.folder), now
        return self._others + len(self) + more > self.limit

    def evict_orphan(self) -> bool:
        """Delete the oldest file of a dead process, and note the loss for whoever adopts the rest; False: no such."""
        for folder in sorted(orphans(self.folder.parent), key=_age):
            orphan = Spool.adopt(folder, self.limit)
            if orphan is not None:
                lost = orphan.forget_oldest()
                if lost is not None:
                    lost.path.unlink(missing_ok=True)
                    for model, rows in lost.rows.items():
                        key = (model, SPOOL_FULL)
                        orphan.mark.losses[key] = orphan.mark.losses.get(key, 0) + rows
                    orphan.save(orphan.mark.acked, orphan.mark.losses)
                orphan.release()
                self._looked = -LOOK_EVERY
                if lost is not None:
                    return True
        return False

    def forget_oldest(self, *, spare_first: bool = False) -> Segment | None:
        """Take the oldest file out of the sequence, without touching the disk; its rows and itself are the caller's.

        None: there is no other than the one being written, or the one to spare.
        """
        index = int(spare_first)
        if len(self._segments) <= index or (self._file is not None and len(self._segments) == index + 1):
            return None
        segment = self._segments[index]
        del self._segments[index]
        if index == 0:
            self._offset = 0
            self.mark.segment, self.mark.offset = int(segment.path.stem) + 1, 0
        return segment

    def _scan(self) -> None:
        try:
            self.mark = Mark.read(self.folder / "mark")
        except FileNotFoundError:
            pass
        except (ValueError, KeyError, TypeError):
            self.unknown += 1
        for path in _files(self.folder):
            if int(path.stem) < self.mark.segment:
                continue
            start = self.mark.offset if int(path.stem) == self.mark.segment else 0
            segment, size = Segment(path, start), path.stat().st_size
            with path.open("rb") as file:
                while segment.end < size:
                    file.seek(segment.end)
                    found = read_record(file, skip=True)
                    if found is None:
                        self.unknown += 1
                        break
                    segment.end += found[1]
                    segment.rows.update(found[0])
            if not self._segments:
                self._offset = start
            self._segments.append(segment)

    def release(self) -> None:
        """Let go of the folder: another process may adopt it. Also what a forked child does with its parent's."""
        if self._file is not None:
            self._file.close()
            self._file = None
        os.close(self._lock)

    def remove(self) -> None:
        """Nothing is left in it."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.release()


def orphans(root: Path) -> Iterator[Path]:
    """Folders of producers, dead or alive: only their lock tells."""
    with suppress(OSError):
        yield from (folder for folder in root.iterdir() if not folder.name.startswith("."))


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.spool"))


def _age(folder: Path) -> float:
    try:
        return min((path.stat().st_mtime for path in _files(folder)), default=float("inf"))
    except OSError:
        return float("inf")


def _held(ours: Path) -> int:
    """Bytes of the other producers."""
    held = 0
    for folder in orphans(ours.parent):
        if folder != ours:
            with suppress(OSError):
                held += sum(path.stat().st_size for path in _files(folder))
    return held
