"""Training data: predictions with the newest word on each, of the store and of archived files as one."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tenure_agent.archive.archiving import Archiving
from tenure_agent.archive.place import Directory
from tenure_agent.exports import Exports
from tenure_agent.metrics import Metrics
from tenure_agent.store import Database, archive
from tenure_agent.store.catalogue import Catalogue
from tenure_agent.store.database import Cursor
from tenure_agent.store.export import Wanted
from tenure_proto.v1 import monitoring_pb2 as pb

SECOND, DAY = 10**6, 86_400 * 10**6
Batch = Callable[..., pb.Batch]
Truths = Callable[..., pb.Outcomes]
Put = Callable[..., None]
Exported = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def place(tmp_path: Path) -> Directory:
    return Directory(tmp_path / "archive")


@pytest.fixture
def exported(database: Database, place: Directory) -> Exported:
    """The rows of [start, end) by column, in the order of their ids."""
    exports = Exports(database, place)

    def read(start: int = 0, end: int = DAY, known: int = 10 * DAY, **wanted: Any) -> list[dict[str, Any]]:
        asked = Wanted(
            **({"model": "fraud", "version": None, "role": "champion"} | wanted), start=start, end=end, known=known
        )
        found = asyncio.run(exports.write(asked))
        if not found["rows"]:
            return []
        path = str(database.exports / f"export-{found['name']}")
        with duckdb.connect() as connection:
            result = connection.execute("SELECT * FROM read_parquet(?) ORDER BY id, time", [path])
            names = [str(column[0]) for column in result.description or ()]
            rows = [dict(zip(names, row, strict=True)) for row in result.fetchall()]
        assert len(rows) == found["rows"]
        return rows

    return read


@pytest.fixture
def expire(database: Database, place: Directory, metrics: Metrics) -> Callable[[], None]:
    """Archive all, and then remove it from the store."""

    def run() -> None:
        archiving = Archiving(database, place, dt.timedelta(days=1), metrics)
        asyncio.run(archiving.everything())
        assert archiving.failed is None

        def work(cursor: Cursor) -> None:
            for model in Catalogue(cursor).models.values():
                cursor.execute(f"DELETE FROM {model.table}")
                archive.expired(cursor, model.number, archive.reach(cursor, model.number).archived)
            cursor.execute("DELETE FROM outcomes")

        database.write(work).result()

    return run


def test_what_is_read_back(exported: Exported, batch: Batch, truths: Truths, put: Put) -> None:
    put(
        batch(
            {"amount": [1.0, 2.0, None, 4.0], 'a "quoted"; name': ["x", None, "z", "w"]},
            ids=["a", "b", "c", "d"],
            outputs={"prediction": [0.1, 0.2, 0.3, 0.4]},
        ),
        batch({"amount": [9.0]}, ids=["a"], role=pb.SHADOW, version="2", outputs={"prediction": [0.9]}),
        truths=[truths({"a": 1, "b": 0, "c": 1, "nobody": 1}, known=100 * SECOND), truths({"d": 1}, known=DAY)],
    )
    rows = exported(known=200 * SECOND)
    assert [row["id"] for row in rows] == ["a", "b", "c"]
    assert [row["amount"] for row in rows] == [1.0, 2.0, None]
    assert [row['a "quoted"; name'] for row in rows] == ["x", None, "z"]
    assert [row["label"] for row in rows] == ["1", "0", "1"]
    assert [row["output.prediction"] for row in rows] == [0.1, 0.2, 0.3]
    assert [row["version"] for row in rows] == ["1"] * 3
    assert rows[0]["time"].isoformat() == "1970-01-01T00:00:01"
    assert rows[0]["known"].isoformat() == "1970-01-01T00:01:40"

    [row] = exported(role="shadow")
    assert (row["id"], row["version"], row["amount"]) == ("a", "2", 9.0)
    assert [row["label"] for row in exported(known=200 * SECOND, labelled=False)] == ["1", "0", "1", None]


@pytest.mark.parametrize("archived", [False, True])
def test_window_version_and_what_was_known(
    exported: Exported, batch: Batch, truths: Truths, put: Put, expire: Callable[[], None], archived: bool
) -> None:
    put(
        batch({"x": [1.0, 2.0, 3.0, 4.0]}, ids=["a", "b", "c", "d"]),
        batch({"x": [5.0]}, ids=["e"], version="it's 2"),
        truths=[
            truths({"a": 0, "b": 0, "c": 0, "d": 0, "e": 0}, known=50 * SECOND),
            truths({"b": 1}, known=60 * SECOND),
        ],
    )
    if archived:
        expire()

    def labels(*span: int, **wanted: Any) -> dict[str, str]:
        return {row["id"]: row["label"] for row in exported(*span, **wanted)}

    assert labels(2 * SECOND, 4 * SECOND, 55 * SECOND) == {"b": "0", "c": "0"}
    assert labels(2 * SECOND, 4 * SECOND, 60 * SECOND) == {"b": "1", "c": "0"}
    assert labels(0, DAY, 49 * SECOND) == {}
    assert labels(version="it's 2") == {"e": "0"}


@pytest.mark.parametrize("archived", [False, True])
def test_names_that_are_taken(
    exported: Exported, batch: Batch, truths: Truths, put: Put, expire: Callable[[], None], archived: bool
) -> None:
    features = {"id": [7.0], "time": [8.0], "label": ["feature"], "version": [9.0], "Amount": [1.0], "amount": [2.0]}
    features |= {"day": ["mon"], "model": [3.0], "known": [4.0]}
    put(batch(features, ids=["a"]), truths=[truths({"a": "truth"})])
    if archived:
        expire()
    [row] = exported()
    taken = {name: row[f"feature.{name}"] for name in ("id", "time", "label", "version", "known")}
    assert taken == {"id": 7.0, "time": 8.0, "label": "feature", "version": 9.0, "known": 4.0}
    assert (row["id"], row["label"], row["version"]) == ("a", "truth", "1")
    assert (row["Amount"], row["amount_2"], row["day"], row["model"]) == (1.0, 2.0, "mon", 3.0)


def test_the_archive_and_the_store_are_one(
    exported: Exported,
    batch: Batch,
    truths: Truths,
    put: Put,
    expire: Callable[[], None],
    database: Database,
    place: Directory,
    metrics: Metrics,
) -> None:
    put(
        batch({"x": [1.0, 2.0], "flag": [True, False], "old": ["o", "o"]}, ids=["a", "b"]),
        truths=[truths({"a": 0, "b": 0}, known=DAY)],
    )
    expire()
    put(batch({"x": ["three", "4"], "flag": [True, None], "new": [1.0, 2.0]}, ids=["c", "d"], start=3 * SECOND))
    archiving = Archiving(database, place, dt.timedelta(days=1), metrics)
    asyncio.run(archiving.everything())  # in the archive, and still in the store: taken once
    put(
        batch({"x": [5.0], "flag": [2.5]}, ids=["e"], start=5 * SECOND),
        truths=[truths({"b": 1, "c": 1, "d": 1, "e": 1}, known=2 * DAY), truths({"a": 9}, known=DAY - 1)],
    )
    rows = exported()
    assert [(row["id"], row["label"], row["x"]) for row in rows] == [
        ("a", "0", "1"),  # known before: no newer word
        ("b", "1", "2"),
        ("c", "1", "three"),
        ("d", "1", "4"),
        ("e", "1", "5"),
    ]
    assert [row["flag"] for row in rows] == [1.0, 0.0, 1.0, None, 2.5]
    assert [(row["old"], row["new"]) for row in rows] == [
        ("o", None),
        ("o", None),
        (None, 1.0),
        (None, 2.0),
        (None, None),
    ]
    assert [row["known"].day for row in rows] == [2, 3, 3, 3, 3]
    expire()
    assert exported() == rows


def test_files_of_other_stores_count_and_strangers_do_not(
    exported: Exported,
    batch: Batch,
    truths: Truths,
    put: Put,
    expire: Callable[[], None],
    database: Database,
    tmp_path: Path,
) -> None:
    put(batch({"x": [1.0]}, ids=["a"]), truths=[truths({"a": 1})])
    expire()
    [file] = tmp_path.glob("archive/predictions/*/*/*.parquet")
    (file.parent / "notes.parquet").write_text("no Parquet at all")

    def forget(cursor: Cursor) -> None:
        """As if this were a new store, which has not seen the model yet."""
        for table in ("archived", "columns", "versions", "models"):
            cursor.execute(f"DELETE FROM {table}")
        cursor.execute("UPDATE meta SET value = '0123456789ab' WHERE key = 'store'")

    database.write(forget).result()
    assert [row["id"] for row in exported()] == ["a"]
