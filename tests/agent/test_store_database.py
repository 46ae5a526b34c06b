"""The DuckDB file: one agent at a time, one writer, nothing half done."""

from __future__ import annotations

import threading
from pathlib import Path

import duckdb
import pytest

from tenure.errors import TenureError
from tenure_agent.store import Database, DatabaseLocked
from tenure_agent.store.database import SCHEMA, Cursor


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
    opened.close()

    for _ in range(2):  # refusing lets go of the file
        with pytest.raises(TenureError, match=f"schema {SCHEMA + 1} is newer than this agent's {SCHEMA}") as refused:
            Database(path)
        assert not isinstance(refused.value, DatabaseLocked)
        assert "Try: a newer tenure-agent" in str(refused.value)


def test_a_file_that_is_no_database_lets_go_of_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "tenure.duckdb"
    path.write_bytes(b"not a database, but long enough to be read as the head of one" * 100)
    for _ in range(2):
        with pytest.raises(duckdb.Error):
            Database(path)
    path.unlink()
    Database(path).close()
