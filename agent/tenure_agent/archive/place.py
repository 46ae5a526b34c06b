"""Where archived files are: a directory, or a bucket. A file is there whole or not at all."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from tenure.errors import TenureError
from tenure_agent.config import ArchiveConfig


class PlaceFailed(TenureError):
    """The archive could not be written or read."""


class Place(Protocol):
    """Names are relative, with slashes. Every call may block, and raises `PlaceFailed` where it fails."""

    def put(self, staged: Path, name: str) -> None:
        """Move a file there; one of that name is replaced."""

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""

    def names(self, folder: str) -> list[str]:
        """All files below a folder; none where it is not there."""

    def fetch(self, name: str, to: Path) -> None:
        """Have a file as a local one."""


def open_place(config: ArchiveConfig) -> Place | None:
    """
    Raises
    ------
    TenureError
        What the place needs is not installed.
    """
    if config.url is None:
        return None
    if config.bucket is None:
        return Directory(Path(config.url))
    from tenure_agent.archive.bucket import Bucket  # noqa: PLC0415  # s3fs takes its time, and is in an extra

    return Bucket(config.bucket, config.endpoint_url)


class Directory:
    """On this machine, or mounted there."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    def put(self, staged: Path, name: str) -> None:
        target = self._root / name
        aside = target.with_name(f".{target.name}.tmp")
        try:
            _make(target.parent)
            shutil.move(staged, aside)  # which may be another file system
            _sync(aside)
            os.replace(aside, target)  # noqa: PTH105  # tests kill here
            _sync(target.parent)
        except OSError as error:
            with suppress(OSError):
                aside.unlink(missing_ok=True)
            raise _failed(self._root, "written", error) from error

    def remove(self, name: str) -> None:
        target = self._root / name
        try:
            target.with_name(f".{target.name}.tmp").unlink(missing_ok=True)
            target.unlink(missing_ok=True)
        except OSError as error:
            raise _failed(self._root, "written", error) from error

    def names(self, folder: str) -> list[str]:
        try:
            found = sorted((self._root / folder).glob("day=*/*.parquet"))
        except OSError as error:
            raise _failed(self._root, "read", error) from error
        return [path.relative_to(self._root).as_posix() for path in found if not path.name.startswith(".")]

    def fetch(self, name: str, to: Path) -> None:
        try:
            try:
                to.hardlink_to(self._root / name)
            except OSError:
                shutil.copyfile(self._root / name, to)
        except OSError as error:
            raise _failed(self._root, "read", error) from error


def _make(folder: Path) -> None:
    if not folder.is_dir():
        _make(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        _sync(folder.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _failed(root: Path, what: str, error: OSError) -> PlaceFailed:
    return PlaceFailed(f"archive.url: {str(root)!r} cannot be {what} ({error.strerror}). Try: room and rights there")
