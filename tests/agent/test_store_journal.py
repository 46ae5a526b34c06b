"""A checkpoint cut off while it writes over metadata: undone when the file is opened again, and nothing else is touched."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tenure_agent.store import Database
from tenure_agent.store.damage import files_set_aside
from tenure_agent.store.database import Cursor
from tenure_agent.store.journal import HEAD, whole

BLOCK, PAGE = 262_144, 4096
ROWS = 50_000


def insert(cursor: Cursor) -> None:
    cursor.execute(f"INSERT INTO jobs SELECT 'job' || random(), range FROM range({ROWS})")


def count(cursor: Cursor) -> int:
    return int(cursor.execute("SELECT count(*) FROM jobs WHERE name != ''").fetchall()[0][0])


@dataclass
class Cut:
    """A store before its second checkpoint, as a kill would leave it, and after it."""

    path: Path
    before: bytes
    log: bytes
    after: bytes
    journal: bytes

    def at(self, pages: int) -> None:
        """As if killed when so many pages of the metadata were written."""
        changed = [at for at in range(HEAD, len(self.before), BLOCK) if self._differs(at)]
        assert changed, "the checkpoint wrote no block over itself"
        content = bytearray(self.before)
        for at in changed:
            content[at : at + pages * PAGE] = self.after[at : at + pages * PAGE]
        self.put(bytes(content))

    def _differs(self, at: int) -> bool:
        return self.before[at : at + BLOCK] != self.after[at : at + BLOCK]

    def put(self, content: bytes) -> None:
        for name, one in (("", content), (".wal", self.log), (".journal", self.journal)):
            self.path.with_name(self.path.name + name).write_bytes(one)


@pytest.fixture
def reopened(tmp_path: Path) -> Callable[[], Database]:
    return lambda: Database(tmp_path / "t.duckdb", clock=lambda: 0.0)


@pytest.fixture
def cut(tmp_path: Path, reopened: Callable[[], Database]) -> Cut:
    path = tmp_path / "t.duckdb"
    database = reopened()
    database.write(insert).result()
    database.checkpoint().result()
    database.write(insert).result()
    before, log, journal = (path.with_name(path.name + name).read_bytes() for name in ("", ".wal", ".journal"))
    database.checkpoint().result()
    after = path.read_bytes()
    database.close()
    return Cut(path, before, log, after, journal)


def held(reopened: Callable[[], Database]) -> tuple[int, int]:
    """Rows of the store, and files set aside for it."""
    database = reopened()
    try:
        return database.read(count).result(), len(files_set_aside(database.path))
    finally:
        database.close()


@pytest.mark.parametrize("pages", [0, 1, 2, 3, 63])
def test_killed_after_any_page_nothing_is_lost(cut: Cut, reopened: Callable[[], Database], pages: int) -> None:
    cut.at(pages)
    assert held(reopened) == (2 * ROWS, 0)


def test_without_the_copy_such_a_file_is_lost(cut: Cut, reopened: Callable[[], Database]) -> None:
    cut.journal = b""
    cut.at(1)
    assert held(reopened) == (0, 1)


@pytest.mark.parametrize("at", [0, 20, HEAD, 3 * HEAD, -1])
def test_a_copy_that_is_not_whole_or_of_another_head_is_not_used(
    cut: Cut, reopened: Callable[[], Database], at: int
) -> None:
    copy = bytearray(cut.journal)
    copy[at] ^= 1
    cut.journal = bytes(copy)
    cut.at(1)
    assert held(reopened) == (0, 1)


def test_a_copy_cut_short_is_not_used(cut: Cut, reopened: Callable[[], Database]) -> None:
    cut.journal = cut.journal[:-100]
    cut.at(1)
    assert held(reopened) == (0, 1)


def test_what_a_whole_checkpoint_wrote_stays(cut: Cut, reopened: Callable[[], Database]) -> None:
    """The copy is of the head before."""
    cut.log = b""
    cut.put(cut.after)
    assert held(reopened) == (2 * ROWS, 0)


def test_a_bit_that_flipped_in_the_metadata_flips_back(cut: Cut, reopened: Callable[[], Database]) -> None:
    content = bytearray(cut.before)
    content[HEAD + 100] ^= 1
    cut.put(bytes(content))
    assert held(reopened) == (2 * ROWS, 0)


def test_a_new_file_knows_nothing_of_the_former(cut: Cut, reopened: Callable[[], Database]) -> None:
    cut.at(1)
    for name in ("", ".wal"):
        cut.path.with_name(cut.path.name + name).unlink()
    assert held(reopened) == (0, 0)


def test_a_copy_that_cannot_be_written_costs_nothing_else(
    tmp_path: Path, reopened: Callable[[], Database], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "t.duckdb.journal").mkdir()
    database = reopened()
    database.write(insert).result()
    database.close()
    assert held(reopened) == (ROWS, 0)
    assert "no copy of the metadata for now" in caplog.text


def test_a_copy_that_failed_is_made_after_the_next_commit(
    tmp_path: Path, reopened: Callable[[], Database], caplog: pytest.LogCaptureFixture
) -> None:
    copy = tmp_path / "t.duckdb.journal"
    copy.mkdir()
    database = reopened()
    for _ in range(3):
        database.write(insert).result()
    assert caplog.text.count("no copy of the metadata for now") == 1
    copy.rmdir()
    database.write(insert).result()
    assert copy.is_file()
    database.close()


@pytest.mark.parametrize("size", [0, 100, HEAD - 1])
def test_a_file_without_a_whole_head_is_set_aside(cut: Cut, reopened: Callable[[], Database], size: int) -> None:
    cut.log = b""
    cut.put(cut.before[:size])
    assert held(reopened)[0] == 0


def test_no_other_process_may_write_to_the_file_meanwhile(reopened: Callable[[], Database], tmp_path: Path) -> None:
    """DuckDB's own lock, which the system lifts once any handle on the file is closed in this process."""
    database = reopened()
    database.write(insert).result()
    database.checkpoint().result()
    other = f"import duckdb; duckdb.connect({str(tmp_path / 't.duckdb')!r})"
    done = subprocess.run([sys.executable, "-c", other], capture_output=True, text=True, check=False)
    database.close()
    assert "Could not set lock on file" in done.stderr


def test_blocks_of_a_real_file_are_whole_and_flipped_ones_are_not(cut: Cut) -> None:
    blocks = [cut.after[at : at + BLOCK] for at in range(HEAD, len(cut.after), BLOCK)]
    assert len(blocks) > 1
    assert all(map(whole, blocks))
    for at in (0, 7, 8, 5000, BLOCK - 1):
        flipped = bytearray(blocks[0])
        flipped[at] ^= 4
        assert not whole(bytes(flipped))
    assert not whole(b"")
    assert not whole(blocks[0][:-1])
