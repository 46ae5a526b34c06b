"""A file that cannot be read is set aside under a name with its time, and the agent goes on with a new one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from tenure_agent.store import Database, StoreLost, predictions
from tenure_agent.store.catalogue import Catalogue
from tenure_agent.store.damage import files_set_aside, out_of_room, set_aside, told, unreadable
from tenure_agent.store.database import Cursor
from tenure_agent.wire import decode_batch
from tenure_proto.v1 import monitoring_pb2 as pb

NOON = 1_795_435_200.0  # 2026-11-23T12:00:00Z
STAMP = "unreadable-20261123T120000Z"


def insert(cursor: Cursor) -> None:
    cursor.execute("INSERT INTO jobs SELECT 'job' || random(), range FROM range(100000)")


def count(cursor: Cursor) -> int:
    return int(cursor.execute("SELECT count(*) FROM jobs WHERE name != ''").fetchall()[0][0])


@pytest.fixture
def reopened(tmp_path: Path) -> Callable[[], Database]:
    return lambda: Database(tmp_path / "t.duckdb", clock=lambda: NOON)


@pytest.fixture
def filled(tmp_path: Path, reopened: Callable[[], Database]) -> Path:
    """A store of 200,000 rows, half of them in its log, as a kill leaves it."""
    path = tmp_path / "t.duckdb"
    for killed in (False, True):
        database = reopened()
        database.write(insert).result()
        log = path.with_name("t.duckdb.wal")
        kept = {file: file.read_bytes() for file in (path, log)} if killed else {}
        database.close()
        for file, content in kept.items():
            file.write_bytes(content)
    return path


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def test_what_is_no_database_is_set_aside_whole(tmp_path: Path, reopened: Callable[[], Database]) -> None:
    path = tmp_path / "t.duckdb"
    for number in (1, 2):
        path.write_bytes(b"no database, but long enough to be read as the head of one" * 100)
        path.with_name("t.duckdb.wal").write_bytes(b"log")
        database = reopened()
        assert database.read(count).result() == 0
        database.close()
        assert len(files_set_aside(path)) == number
    names = {file.name for file in tmp_path.glob("*unreadable*")}
    first = f"t.duckdb.{STAMP}"
    assert names == {first, f"{first}.wal", f"{first}-2", f"{first}-2.wal"}
    assert (tmp_path / f"{first}.wal").read_bytes() == b"log"


def test_a_broken_log_costs_what_is_in_it_and_no_more(filled: Path, reopened: Callable[[], Database]) -> None:
    flip(filled.with_name("t.duckdb.wal"), 1000)
    database = reopened()
    assert database.read(count).result() == 100_000
    assert [file.name for file in files_set_aside(filled)] == [f"t.duckdb.wal.{STAMP}"]
    database.close()


def test_a_block_found_broken_in_use_loses_the_store_once_looked_at_twice(
    filled: Path, reopened: Callable[[], Database]
) -> None:
    for block in range(filled.stat().st_size // (256 << 10) - 1):
        flip(filled, 12_288 + block * (256 << 10) + 20_000)
    filled.with_name("t.duckdb.wal").unlink()
    lost: list[bool] = []
    database = reopened()
    if not database.lost and not files_set_aside(filled):  # else a block read at the start was hit
        database.on_lost = lambda: lost.append(True)
        for _ in range(2):
            with pytest.raises(StoreLost, match="cannot be read"):
                database.read(count).result()
        with pytest.raises(StoreLost):
            database.write(insert).result()
        assert lost == [True]
        database.replace()
    assert database.read(count).result() == 0
    database.write(insert).result()
    assert [file.name for file in files_set_aside(filled)] == [f"t.duckdb.{STAMP}"]
    database.close()


def test_a_hole_that_duckdb_does_not_see_is_counted(
    tmp_path: Path, reopened: Callable[[], Database], batch: Callable[..., pb.Batch]
) -> None:
    path, rows = tmp_path / "t.duckdb", 4000
    database = reopened()
    catalogue = database.read(Catalogue).result()
    rows_in = [(77, decode_batch(batch({"x": [0.25] * rows}, outputs={"prediction": [0.5] * rows})))]
    database.write(lambda cursor: predictions.append(cursor, catalogue, rows_in, 1)).result()
    assert database.read(lambda cursor: predictions.count_zeroed(cursor, catalogue)).result() == 0
    log = path.with_name("t.duckdb.wal")
    kept = {file: file.read_bytes() for file in (path, log)}
    database.close()

    hole = kept[log].index((77).to_bytes(8, "little") * 1000) + 80  # a sector's worth of ingest numbers
    path.write_bytes(kept[path])
    log.write_bytes(kept[log][:hole] + bytes(512) + kept[log][hole + 512 :])
    database = reopened()
    assert files_set_aside(path) == []
    catalogue = database.read(Catalogue).result()
    assert database.read(lambda cursor: predictions.count_zeroed(cursor, catalogue)).result() == 64
    database.close()


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (duckdb.FatalException("Corrupt: checksum of 'secret'\nsecret"), "FatalException: its bytes do not add up"),
        (duckdb.TransactionException("'secret': No space left on device"), "TransactionException: no room on the disk"),
        (duckdb.ConversionException("Could not convert 'secret'"), "ConversionException"),
        (duckdb.IOException('Cannot open file "t.duckdb"\nmore'), 'Cannot open file "t.duckdb"'),
        (StoreLost("store.path: 't' cannot be read"), "store.path: 't' cannot be read"),
    ],
)
def test_what_a_log_says_of_an_error_quotes_no_row(error: duckdb.Error | StoreLost, says: str) -> None:
    assert told(error) == says


@pytest.mark.parametrize(
    ("error", "broken", "full"),
    [
        (duckdb.Error("Corrupt database file: computed checksum 1 does not match stored checksum 2"), True, False),
        (duckdb.IOException('Could not read enough bytes from file "t.duckdb"'), True, False),
        (duckdb.Error('Failure while replaying WAL file "t.duckdb.wal"'), True, False),
        (duckdb.FatalException("Failed to create checkpoint: No space left on device"), False, True),
        (duckdb.IOException("Corrupt page: Disk quota exceeded"), False, True),
        (duckdb.OutOfMemoryException("could not allocate block: checksum"), False, False),
        (duckdb.BinderException('column "corrupt" not found'), False, False),
        (duckdb.InvalidInputException("Corrupt database file"), False, False),
        (duckdb.FatalException("database has been invalidated"), False, False),
    ],
)
def test_what_an_error_says_about_the_file(error: duckdb.Error, broken: bool, full: bool) -> None:
    assert (unreadable(error), out_of_room(error)) == (broken, full)


def test_only_what_was_set_aside_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "t[1].duckdb"
    for name in ("t[1].duckdb", "t[1].duckdb.lock", "t1.duckdb.unreadable-20261123T120000Z"):
        (tmp_path / name).touch()
    assert files_set_aside(path) == []
    assert set_aside(path, NOON, log_only=False).name == f"t[1].duckdb.{STAMP}"
    assert [file.name for file in files_set_aside(path)] == [f"t[1].duckdb.{STAMP}"]
    assert (tmp_path / "t[1].duckdb.lock").exists()
    assert files_set_aside(tmp_path / "gone" / "t.duckdb") == []
