"""The DuckDB file: one agent at a time, one writer, nothing half done."""

from __future__ import annotations

import asyncio
import fcntl
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import duckdb
import pytest

from tenure.errors import TenureError
from tenure_agent.lock import lock, look
from tenure_agent.store import Database, DatabaseLocked, StoreFull
from tenure_agent.store.database import SCHEMA, Cursor
from tenure_agent.store.room import Room


def count(cursor: Cursor) -> int:
    return int(cursor.execute("SELECT count(*) FROM jobs").fetchall()[0][0])


def insert(cursor: Cursor) -> None:
    cursor.execute("INSERT INTO jobs VALUES ('job', 1)")


def test_a_second_agent_is_told_who_holds_the_file(database: Database, tmp_path: Path) -> None:
    with pytest.raises(DatabaseLocked) as refused:
        Database(tmp_path / "tenure.duckdb")

    message = str(refused.value)
    assert isinstance(refused.value, TenureError)
    assert message.startswith("store.path: ")
    assert "is held by another agent (process " in message
    assert "Try: stop that agent" in message
    database.write(insert).result()
    assert database.read(count).result() == 1


def test_looking_who_holds_it_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "tenure.duckdb"
    look(path)
    assert not list(tmp_path.iterdir())
    for _ in range(2):
        opened = Database(path)
        with pytest.raises(DatabaseLocked, match=rf"process {os.getpid()}\b"):
            look(path)
        opened.close()
        look(path)


def test_one_who_only_looks_keeps_nobody_from_starting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "tenure.duckdb"
    os.close(lock(path))
    looking = os.open(f"{path}.lock", os.O_RDONLY)
    fcntl.flock(looking, fcntl.LOCK_SH)
    monkeypatch.setattr("tenure_agent.lock.time.sleep", lambda _: os.close(looking))
    os.close(lock(path))
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.close(looking)  # it was waited for


def test_the_file_is_free_after_close(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "tenure.duckdb"
    for expected in (0, 1):
        opened = Database(path)
        assert opened.read(count).result() == expected
        opened.write(insert).result()
        opened.close()
    assert not path.with_name("tenure.duckdb.wal").exists()


def test_what_fails_is_undone_whole(database: Database) -> None:
    def fail(cursor: Cursor) -> None:
        insert(cursor)
        raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        database.write(fail).result()

    assert database.read(count).result() == 0
    database.write(insert).result()
    assert database.read(count).result() == 1


@pytest.mark.parametrize("way", ["read", "write", "ask"])
def test_nothing_found_ends_the_wait_for_it(database: Database, way: str) -> None:
    with pytest.raises(LookupError):
        asyncio.run(_awaited(getattr(database, way)(lambda _: next(iter(())))))


async def _awaited(future: Future[None]) -> None:
    await asyncio.wait_for(asyncio.wrap_future(future), 30)


def test_tables_made_in_a_failed_transaction_are_gone(database: Database) -> None:
    def fail(cursor: Cursor) -> None:
        cursor.execute("CREATE TABLE rows_1 (x INTEGER)")
        raise RuntimeError("on purpose")

    for _ in range(2):
        with pytest.raises(RuntimeError):
            database.write(fail).result()


def test_readers_see_what_is_committed_only(database: Database) -> None:
    inserted, looked = threading.Event(), threading.Event()

    def slow(cursor: Cursor) -> None:
        insert(cursor)
        inserted.set()
        assert looked.wait(30)

    writing = database.write(slow)
    assert inserted.wait(30)
    seen = database.read(count).result()
    looked.set()
    writing.result()

    assert seen == 0
    assert database.read(count).result() == 1


def test_writes_run_one_at_a_time_in_their_order(database: Database) -> None:
    order: list[int] = []
    futures = [database.write(lambda _, i=i: order.append(i)) for i in range(50)]  # type: ignore[misc]
    for future in futures:
        future.result()
    assert order == list(range(50))


def test_close_finishes_what_is_queued(tmp_path: Path) -> None:
    path = tmp_path / "tenure.duckdb"
    opened = Database(path)
    futures = [opened.write(insert) for _ in range(20)]
    opened.close()
    assert all(future.done() for future in futures)

    reopened = Database(path)
    assert reopened.read(count).result() == 20
    reopened.close()


@pytest.mark.parametrize(
    "query",
    [
        "COPY jobs TO '{other}/stolen.csv'",
        "SELECT * FROM read_csv('{other}/secret.csv')",
        "SELECT * FROM '{other}/secret.csv'",
        "SELECT content FROM read_text('{other}/secret.csv')",
        "SELECT * FROM glob('{other}/*')",
        "COPY jobs FROM '{other}/secret.csv'",
        "EXPORT DATABASE '{other}/all'",
        "SELECT * FROM read_csv('https://127.0.0.1:1/x.csv')",
        "SET temp_directory = '{other}'",
        "SET autoinstall_known_extensions = true",
        "RESET lock_configuration",
        "CREATE PERSISTENT SECRET s (TYPE s3)",
        "ATTACH '{other}/other.duckdb'",
        "SET enable_external_access = true",
        "SET allowed_directories = ['/']",
        "SET memory_limit = '1TB'",
        "INSTALL httpfs",
        "LOAD httpfs",
    ],
)
def test_no_query_leaves_the_export_folder(database: Database, tmp_path: Path, query: str) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "secret.csv").write_text("a\n1\n")
    with pytest.raises(duckdb.Error):
        database.read(lambda cursor: cursor.execute(query.format(other=other))).result()
    assert [path.name for path in other.iterdir()] == ["secret.csv"]


def test_exports_are_private(database: Database) -> None:
    assert database.exports.stat().st_mode & 0o777 == 0o700
    path = database.exports / "jobs.parquet"
    database.read(lambda cursor: cursor.execute(f"COPY jobs TO '{path}' (FORMAT parquet)")).result()
    assert path.exists()


def test_a_path_with_a_quote_works(tmp_path: Path) -> None:
    opened = Database(tmp_path / "it's; DROP TABLE" / 'a "b".duckdb')
    opened.write(insert).result()
    assert opened.read(count).result() == 1
    opened.close()


def test_a_newer_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "tenure.duckdb"
    opened = Database(path)
    opened.write(lambda cursor: cursor.execute("UPDATE meta SET value = ?", [str(SCHEMA + 1)])).result()
    opened._connection.close()  # as a kill leaves it: with its log
    os.close(opened._lock_file)
    before = {file.name: file.read_bytes() for file in tmp_path.glob("tenure.duckdb*") if file.is_file()}
    assert before["tenure.duckdb.wal"]

    for _ in range(2):  # refusing lets go of the file
        with pytest.raises(TenureError, match=f"schema {SCHEMA + 1} is newer than this agent's {SCHEMA}") as refused:
            Database(path)
        assert not isinstance(refused.value, DatabaseLocked)
        assert "Try: a newer tenure-agent" in str(refused.value)
    assert {file.name: file.read_bytes() for file in tmp_path.glob("tenure.duckdb*") if file.is_file()} == before


def test_somebody_elses_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "tenure.duckdb"
    with duckdb.connect(str(path)) as other:
        other.execute("CREATE TABLE theirs (x INTEGER)")
    before = path.read_bytes()
    with pytest.raises(TenureError, match="no store of Tenure's"):
        Database(path)
    assert path.read_bytes() == before


def test_a_full_disk_refuses_until_there_is_room(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database.room, "_floor", 1 << 62)
    assert database.room.full
    with pytest.raises(StoreFull, match="Try: make room"):
        database.write(insert).result()
    database.write(lambda cursor: cursor.execute("DELETE FROM jobs"), into_floor=True).result()
    assert database.read(count).result() == 0

    monkeypatch.setattr(database.room, "_floor", 0)
    database.write(insert).result()
    assert not database.room.full


def test_rooms_own_free_blocks_count_where_the_log_has_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = Room(tmp_path, 100 << 20)
    monkeypatch.setattr(room, "free", lambda: 60 << 20)
    room.wrote(reusable=99 << 20)
    assert room.short()
    room.wrote(reusable=100 << 20)
    assert not room.short()
    monkeypatch.setattr(room, "free", lambda: 40 << 20)
    assert room.short()


def broken(error: duckdb.Error) -> Callable[[Cursor], None]:
    def work(_: Cursor) -> None:
        raise error

    return work


@pytest.mark.parametrize("way", ["read", "write", "ask"])
def test_a_fatal_error_is_healed_by_opening_again(database: Database, way: str) -> None:
    database.write(insert).result()
    with pytest.raises(duckdb.FatalException):
        getattr(database, way)(broken(duckdb.FatalException("database has been invalidated"))).result()
    database.write(insert).result()
    assert database.read(count).result() == 2
    assert database.ask(count).result() == 2


def test_a_read_cut_off_by_the_healing_of_another_is_run_again(database: Database) -> None:
    reading = threading.Event()

    def slow(cursor: Cursor) -> int:
        first = not reading.is_set()
        reading.set()
        return int(cursor.execute(f"SELECT count(*) FROM range({10**13 if first else 7})").fetchall()[0][0])

    answer = database.read(slow)
    assert reading.wait(30)
    with pytest.raises(duckdb.FatalException):
        database.write(broken(duckdb.FatalException("on purpose"))).result()
    assert answer.result() == 7


def test_no_room_in_a_commit_is_told_as_such_and_heals(database: Database) -> None:
    error = duckdb.TransactionException("Failed to commit: Could not write file: No space left on device")
    with pytest.raises(StoreFull):
        database.write(broken(error)).result()
    assert database.room.full
    database.write(insert).result()
    assert not database.room.full


@pytest.mark.parametrize("query", ["SELECT corrupt", "SELECT error('Corrupt database file: checksum')"])
def test_no_question_makes_a_store_unreadable(database: Database, query: str) -> None:
    for way in (database.ask, database.read):
        with pytest.raises(duckdb.Error):
            way(lambda cursor: cursor.execute(query).fetchall()).result()
    assert not database.lost
