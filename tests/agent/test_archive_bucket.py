"""An archive in an S3-compatible store: moto's server, asked over HTTP as a real one would be."""

from __future__ import annotations

import asyncio
import datetime as dt
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from moto.server import ThreadedMotoServer

from tenure.errors import TenureError
from tenure_agent.archive import bucket
from tenure_agent.archive.archiving import Archiving
from tenure_agent.archive.bucket import Bucket
from tenure_agent.archive.place import PlaceFailed
from tenure_agent.exports import Exports
from tenure_agent.metrics import Metrics
from tenure_agent.store import Database, archive
from tenure_agent.store.database import Cursor
from tenure_agent.store.export import Wanted
from tenure_proto.v1 import monitoring_pb2 as pb

SECOND, DAY = 10**6, 86_400 * 10**6


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    started: Any = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    started.start()
    host, port = started.get_host_and_port()
    yield f"http://{host}:{port}"
    started.stop()


@pytest.fixture
def place(server: str, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    made = Bucket("archive/some prefix", server)
    if not made._files.exists("archive"):
        made._files.mkdir("archive")
    return made


def test_rows_go_there_and_come_back(
    place: Bucket,
    database: Database,
    put: Callable[..., None],
    batch: Callable[..., pb.Batch],
    truths: Callable[..., pb.Outcomes],
    metrics: Metrics,
    tmp_path: Path,
) -> None:
    put(
        batch({"x": [1.0, 2.0]}, model="it's", ids=["a", "b"], step=DAY),
        truths=[truths({"a": 1, "b": 0}, model="it's")],
    )
    archiving = Archiving(database, place, dt.timedelta(days=1), metrics)
    asyncio.run(archiving.everything())
    assert archiving.failed is None
    folder = "predictions/model=it%27s"
    days = [name.removeprefix(folder).split("/")[1] for name in place.names(folder)]
    assert days == ["day=1970-01-01", "day=1970-01-02"]

    def expire(cursor: Cursor) -> None:
        cursor.execute("DELETE FROM rows_1")
        cursor.execute("DELETE FROM outcomes")
        archive.expired(cursor, 1, 99)

    database.write(expire).result()
    wanted = Wanted("it's", "1", "champion", DAY, 3 * DAY, DAY)
    found = asyncio.run(Exports(database, place).write(wanted))
    assert (found["rows"], found["archived_files"]) == (1, 2)
    with duckdb.connect() as connection:
        path = str(database.exports / f"export-{found['name']}")
        rows = connection.execute("SELECT id, x, label FROM read_parquet(?)", [path]).fetchall()
    assert rows == [("b", 2.0, "0")]


@pytest.mark.parametrize("size", [10, 12 << 20])
def test_files_are_replaced_and_removed(
    place: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(bucket, "CHUNK", 5 << 20)  # the least S3 takes of a part
    name = "outcomes/model=m/day=1970-01-01/file.parquet"
    for letter in (b"a", b"b"):
        staged = tmp_path / "staged"
        staged.write_bytes(letter * size)
        place.put(staged, name)
        assert not staged.exists()
    assert place.names("outcomes/model=m") == [name]
    place.fetch(name, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"b" * size
    place.remove(name)
    place.remove(name)
    assert place.names("outcomes/model=m") == []


def test_failures_say_what_to_try(place: Bucket, server: str, tmp_path: Path) -> None:
    (tmp_path / "staged").write_text("rows")
    failing: list[Callable[[], None]] = [
        lambda: Bucket("nowhere/at/all", server).put(tmp_path / "staged", "name"),
        lambda: place.fetch("absent", tmp_path / "to"),
    ]
    for tried in failing:
        with pytest.raises(PlaceFailed, match=r"'s3://.*' failed \(FileNotFoundError: .* Try: the endpoint, bucket"):
            tried()
    assert (tmp_path / "staged").exists()


def test_without_s3fs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(TenureError, match=r"S3 needs s3fs. Try: pip install 'tenure\[s3\]'"):
        Bucket("archive", None)
