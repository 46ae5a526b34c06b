"""Removed rows give their room back, also where a few among them stay."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from tenure_agent.store import Database, expiry
from tenure_agent.store.database import Cursor
from tenure_agent.store.packing import GROUP, pack

ROWS = 8 * GROUP


def look(database: Database, query: str) -> list[Any]:
    return database.read(lambda cursor: cursor.execute(query).fetchall()).result()


@pytest.fixture
def pinned(database: Database) -> Database:
    """Slim rows of a fast model that are gone, and one in a thousand of another that are not."""
    stays = "(range % 1000 = 0)::INTEGER"

    def fill(cursor: Cursor, start: int) -> None:
        cursor.execute(
            f"INSERT INTO pending SELECT {stays} + 1, hash(range), range, 1, 0, 0.5, NULL, NULL "
            f"FROM range({start}, {start + GROUP})"
        )

    for start in range(0, ROWS, GROUP):
        database.write(partial(fill, start=start)).result()
    database.checkpoint().result()
    database.write(lambda cursor: cursor.execute("DELETE FROM pending WHERE model = 1")).result()
    database.checkpoint().result()
    return database


def test_a_few_rows_that_stay_do_not_hold_the_room_of_all_that_went(pinned: Database) -> None:
    before = pinned.read(expiry.used_bytes).result()
    left = look(pinned, "SELECT id, time FROM pending ORDER BY rowid")
    moved = pinned.write(lambda cursor: pack(cursor, "pending")).result()
    pinned.checkpoint().result()

    assert 0 < moved < len(left)
    assert sorted(look(pinned, "SELECT id, time FROM pending")) == sorted(left)
    assert pinned.read(expiry.used_bytes).result() < before / 3
    assert pinned.write(lambda cursor: pack(cursor, "pending")).result() == 0


def test_one_full_group_keeps_no_other_from_giving_room_back(database: Database) -> None:
    full = f"INSERT INTO pending SELECT 2, hash(range), range, 1, 0, 0.5, NULL, NULL FROM range({GROUP})"
    some = f"INSERT INTO pending SELECT (range % 100 = 0)::INTEGER + 1, hash(range), range, 1, 0, 0.5, NULL, NULL FROM range({GROUP})"
    sizes = []
    database.write(lambda cursor: cursor.execute(full)).result()
    for _ in range(12):
        database.write(lambda cursor: cursor.execute(some)).result()
        database.write(lambda cursor: cursor.execute("DELETE FROM pending WHERE model = 1")).result()
        database.write(lambda cursor: pack(cursor, "pending")).result()
        database.checkpoint().result()
        sizes.append(database.read(expiry.used_bytes).result())
    assert look(database, "SELECT count(*) FROM pending") == [(GROUP + 12 * -(-GROUP // 100),)]
    assert max(sizes[6:]) <= max(sizes[:6]) * 1.3


def test_what_is_mostly_there_stays_where_it_is(database: Database) -> None:
    made = f"INSERT INTO pending SELECT 1, hash(range), range, 1, 0, 0.5, NULL, NULL FROM range({ROWS})"
    database.write(lambda cursor: cursor.execute(made)).result()
    database.write(lambda cursor: cursor.execute("DELETE FROM pending WHERE time % 3 = 0")).result()
    assert database.write(lambda cursor: pack(cursor, "pending")).result() == 0
    database.write(lambda cursor: cursor.execute(f"DELETE FROM pending WHERE time >= {GROUP // 8}")).result()
    database.write(lambda cursor: cursor.execute(made.replace("range(", f"range({ROWS}, {ROWS} + "))).result()
    assert 0 < database.write(lambda cursor: pack(cursor, "pending")).result() < GROUP // 8
