"""An archive in an S3-compatible store, over s3fs. Who may write there is told by the usual AWS environment or profile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from tenure.errors import TenureError
from tenure_agent.archive.place import PlaceFailed

T = TypeVar("T")
CHUNK = 8 << 20  # bytes of an upload held in memory
WAIT = {"connect_timeout": 10, "read_timeout": 60, "retries": {"max_attempts": 2}}


class Bucket:
    """
    Parameters
    ----------
    path
        ``bucket/prefix``.
    endpoint
        Another address than AWS's.

    Raises
    ------
    TenureError
        s3fs is not installed.
    """

    def __init__(self, path: str, endpoint: str | None) -> None:
        try:
            import s3fs  # noqa: PLC0415  # in an extra
        except ImportError:
            raise TenureError("archive.url: S3 needs s3fs. Try: pip install 'tenure[s3]'") from None
        self._path = path
        self._files: Any = s3fs.S3FileSystem(endpoint_url=endpoint, config_kwargs=WAIT, use_listings_cache=False)

    def put(self, staged: Path, name: str) -> None:
        self._tried(lambda: self._files.put_file(str(staged), self._at(name), chunksize=CHUNK, max_concurrency=1))
        staged.unlink()

    def remove(self, name: str) -> None:
        def work() -> None:
            if self._files.exists(self._at(name)):
                self._files.rm_file(self._at(name))

        self._tried(work)

    def names(self, folder: str) -> list[str]:
        found = self._tried(lambda: self._files.find(self._at(folder)))
        return sorted(str(path).removeprefix(f"{self._path}/") for path in found)

    def fetch(self, name: str, to: Path) -> None:
        self._tried(lambda: self._files.get_file(self._at(name), str(to)))

    def _at(self, name: str) -> str:
        return f"{self._path}/{name}"

    def _tried(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except Exception as error:  # botocore's and aiohttp's have no base of their own
            why = f"{type(error).__name__}: {error}".splitlines()[0][:200]
            raise PlaceFailed(
                f"archive.url: 's3://{self._path}' failed ({why}). Try: the endpoint, bucket and credentials"
            ) from error
