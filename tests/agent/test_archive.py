"""Rows and outcomes go to Parquet before they expire: each once, under their own names, whatever fails on the way."""

from __future__ import annotations

import asyncio
import datetime as dt
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from tenure_agent import config as config_module
from tenure_agent.archive import names
from tenure_agent.archive.archiving import Archiving
from tenure_agent.archive.place import Directory, PlaceFailed
from tenure_agent.builder import Rows, build_reference
from tenure_agent.config import parse_config
from tenure_agent.exports import Exports
from tenure_agent.metrics import Metrics
from tenure_agent.retention import Retention
from tenure_agent.store import Database, archive, expiry, references
from tenure_agent.store.archive import File, Range
from tenure_agent.store.catalogue import Catalogue
from tenure_agent.store.database import Cursor
from tenure_agent.store.export import Wanted
from tenure_proto.v1 import monitoring_pb2 as pb

SECOND, DAY = 10**6, 86_400 * 10**6
Batch = Callable[..., pb.Batch]
Put = Callable[..., None]
Value = Callable[..., float]


class Ailing(Directory):
    """A place that fails while `ill`; `written` counts what was put there."""

    ill = False
    written = 0

    def put(self, staged: Path, name: str) -> None:
        if self.ill:
            raise PlaceFailed("archive.url: it is ill. Try: later")
        self.written += 1
        super().put(staged, name)


@pytest.fixture
def place(tmp_path: Path) -> Ailing:
    return Ailing(tmp_path / "archive")


@pytest.fixture
def archiving(database: Database, place: Ailing, metrics: Metrics) -> Archiving:
    return Archiving(database, place, dt.timedelta(days=1), metrics)


def read(root: Path, part: str, columns: str = "*") -> list[tuple[Any, ...]]:
    """What is archived, by anybody's reader."""
    if not list(root.glob(f"{part}/*/*/*.parquet")):
        return []
    with duckdb.connect() as connection:
        query = f"SELECT {columns} FROM read_parquet('{root}/{part}/*/*/*.parquet', union_by_name = true) ORDER BY ALL"
        return connection.execute(query).fetchall()


def note(database: Database, catalogue: Catalogue, now: int) -> None:
    database.write(lambda cursor: expiry.note(cursor, catalogue, 14 * DAY, now)).result()


def test_rows_keep_their_names_types_and_days(
    put: Put, batch: Batch, truths: Any, archiving: Archiving, tmp_path: Path
) -> None:
    model = '../it\'s a "model" 100%'
    features = {"Größe \"x'": [1.5, None], "day": ["mon", "tue"], "flag": [True, False], "id": [7.0, 8.0]}
    put(
        batch(features, model=model, ids=["a", "b"], start=DAY - SECOND, outputs={"prediction": [0.25, 0.5]}),
        batch({"x": ["text"]}, model=model, ids=["c"], start=3 * DAY, version="2", role=pb.SHADOW),
        truths=[truths({"a": 1}, model=model, known=DAY), truths({"b": "no"}, model=model, known=2 * DAY)],
    )
    asyncio.run(archiving.everything())
    assert archiving.failed is None
    root = tmp_path / "archive"
    assert [path.name for path in root.glob("predictions/*")] == ["model=..%2Fit%27s%20a%20%22model%22%20100%25"]
    assert {path.parent.name for path in root.glob("predictions/*/*/*")} == {
        "day=1970-01-01",
        "day=1970-01-02",
        "day=1970-01-04",
    }
    columns = 'id, epoch_us(time), version, role, latency, error, "Größe ""x\'", "feature.day", flag, "feature.id"'
    assert read(root, "predictions", f'{columns}, "output.prediction", x, model, day::VARCHAR') == [
        ("a", DAY - SECOND, "1", "champion", None, None, 1.5, "mon", True, 7.0, 0.25, None, model, "1970-01-01"),
        ("b", DAY, "1", "champion", None, None, None, "tue", False, 8.0, 0.5, None, model, "1970-01-02"),
        ("c", 3 * DAY, "2", "shadow", None, None, None, None, None, None, None, "text", model, "1970-01-04"),
    ]
    assert read(root, "outcomes", "id, epoch_us(time), label, model") == [
        ("a", DAY, "1", model),
        ("b", 2 * DAY, "no", model),
    ]
    assert not list(root.glob("**/.*"))
    assert root.stat().st_mode & 0o777 == 0o700


def test_what_is_due(
    put: Put,
    batch: Batch,
    truths: Any,
    database: Database,
    catalogue: Catalogue,
    archiving: Archiving,
    tmp_path: Path,
    value: Value,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put(batch({"x": [1.0, 2.0]}, ids=["a", "b"]))
    note(database, catalogue, 0)
    put(truths=[truths({"a": 1})])
    asyncio.run(archiving.run(DAY - 1))
    assert not (tmp_path / "archive").exists()
    assert value("archive_behind_seconds") == pytest.approx(86_400)

    asyncio.run(archiving.run(DAY))  # the oldest has been here for a day: all go
    assert [row[0] for part in ("predictions", "outcomes") for row in read(tmp_path / "archive", part, "id")] == [
        "a",
        "b",
        "a",
    ]
    assert (value("archived_rows_total"), value("archive_behind_seconds")) == (3, 0)

    monkeypatch.setattr(archive, "LEAST_ROWS", 3)
    monkeypatch.setattr(archive, "VALUES", 3)
    for i in range(4):
        put(batch({"x": [1.0]}, ids=[f"{i}"], start=DAY))
    asyncio.run(archiving.run(DAY))  # a file is full, the rest waits for the next
    assert len(read(tmp_path / "archive", "predictions")) == 5
    assert len(list(tmp_path.glob("archive/predictions/**/*.parquet"))) == 2


def test_a_failure_is_told_and_made_good(
    put: Put,
    batch: Batch,
    archiving: Archiving,
    place: Ailing,
    tmp_path: Path,
    value: Value,
    caplog: pytest.LogCaptureFixture,
) -> None:
    put(batch({"x": [1.0, 2.0]}, ids=["a", "b"], step=DAY))
    place.ill = True
    asyncio.run(archiving.everything())
    assert archiving.state()["failed"] == "archive.url: it is ill. Try: later"
    assert "rows of fraud could not be archived" in caplog.text
    assert (value("archive_errors_total"), value("archived_rows_total")) == (1, 0)
    put(batch({"x": [3.0]}, ids=["c"]))
    place.ill = False
    asyncio.run(archiving.everything())
    assert [row[0] for row in read(tmp_path / "archive", "predictions", "id")] == ["a", "b", "c"]
    assert place.written == 3
    assert archiving.failed is None
    assert list((tmp_path / "tenure.duckdb.exports").iterdir()) == []


def test_while_a_file_is_on_its_way_rows_come_in_and_none_go(
    put: Put, batch: Batch, database: Database, catalogue: Catalogue, place: Ailing, metrics: Metrics, tmp_path: Path
) -> None:
    arrived, go = threading.Event(), threading.Event()

    class Slow(Directory):
        def put(self, staged: Path, name: str) -> None:
            arrived.set()
            assert go.wait(60)
            super().put(staged, name)

    put(batch({"x": [1.0]}, ids=["a"]))
    archiving = Archiving(database, Slow(tmp_path / "archive"), dt.timedelta(days=1), metrics)
    retention = Retention(database, catalogue, parse_config({}, "a test"), metrics, archiving)

    async def story() -> None:
        under_way = asyncio.create_task(archiving.everything())
        await asyncio.to_thread(arrived.wait, 60)
        await asyncio.to_thread(put, batch({"x": [2.0]}, ids=["b"]))
        expiring = asyncio.create_task(retention.run(0))
        assert await database.async_read(lambda cursor: len(cursor.execute("FROM rows_1").fetchall())) == 2
        assert not expiring.done()
        go.set()
        await asyncio.gather(under_way, expiring)

    asyncio.run(story())
    assert [row[0] for row in read(tmp_path / "archive", "predictions", "id")] == ["a"]


def test_a_directory_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no directory")
    staged = tmp_path / "staged"
    staged.write_text("rows")
    with pytest.raises(PlaceFailed, match=r"cannot be written .File exists.. Try: room and rights there"):
        Directory(tmp_path / "file").put(staged, "a/b.parquet")
    with pytest.raises(PlaceFailed, match=r"cannot be read .No such file"):
        Directory(tmp_path).fetch("absent", tmp_path / "to")


def refer(database: Database, catalogue: Catalogue) -> None:
    of = build_reference("fraud", "1", Rows({("feature", "x"): np.arange(10.0)}))
    at = catalogue.models["fraud"].versions["1"]
    database.write(lambda cursor: references.save(cursor, 1, at, of, 0)).result()


def count(database: Database) -> int:
    found = database.read(lambda cursor: cursor.execute("SELECT count(*) FROM rows_1").fetchall()).result()
    return int(found[0][0])


def test_by_age_rows_go_only_once_they_are_archived(
    put: Put,
    batch: Batch,
    truths: Any,
    database: Database,
    catalogue: Catalogue,
    archiving: Archiving,
    place: Ailing,
    metrics: Metrics,
    value: Value,
) -> None:
    config = parse_config({"clock": "event", "store": {"retain": "3d"}}, "a test")
    retention = Retention(database, catalogue, config, metrics, archiving)
    put(batch({"x": [1.0] * 10}, ids=[str(i) for i in range(10)]), truths=[truths({"0": 1})])
    refer(database, catalogue)
    asyncio.run(retention.run(0))
    asyncio.run(retention.run(20 * DAY))
    assert count(database) == 10
    asyncio.run(archiving.run(20 * DAY))
    assert count(database) == 10
    asyncio.run(retention.run(20 * DAY))
    assert count(database) == 0
    assert (value("archive_lost_rows_total"), value("expired_predictions_total")) == (0, 10)
    reach = database.read(lambda cursor: archive.reach(cursor, 1)).result()
    assert (reach.archived, reach.expired) == (2, 2)


@pytest.mark.parametrize("ill", [False, True])
def test_for_room_rows_are_archived_at_once_or_lost_and_counted(
    put: Put,
    batch: Batch,
    database: Database,
    catalogue: Catalogue,
    archiving: Archiving,
    place: Ailing,
    metrics: Metrics,
    value: Value,
    tmp_path: Path,
    ill: bool,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(config_module, "LEAST_SIZE", 1 << 20)
    put(batch({"text": ["a"]}, ids=["first"]))
    fill = (
        "INSERT INTO rows_1 (batch, time, version, role, id, t1) "
        "SELECT ?, ?, 1, 0, range || '-' || ?, md5(range || ?) FROM range(20000)"
    )
    for made in range(2, 9):
        values = [made, made * SECOND, made, str(made)]
        database.write(lambda cursor: cursor.execute(fill, values)).result()  # noqa: B023
    database.checkpoint().result()
    place.ill = ill
    config = parse_config({"store": {"max_size": "3MiB", "retain": "9d"}}, "a test")
    asyncio.run(Retention(database, catalogue, config, metrics, archiving).run(0))
    stored, archived = count(database), len(read(tmp_path / "archive", "predictions", "id"))
    lost = 7 * 20_000 + 1 - stored
    assert stored < 7 * 20_000
    assert value("archive_lost_rows_total") == (lost if ill else 0)
    assert archived == (0 if ill else 7 * 20_000 + 1)
    assert (f"{lost} rows were removed for room" in caplog.text) == ill

    place.ill = False  # what is left of the range that was begun goes under the same names
    asyncio.run(archiving.everything())
    assert len(read(tmp_path / "archive", "predictions", "id")) == (stored if ill else archived)


def test_rows_that_went_from_a_range_that_was_begun_are_in_no_file(
    put: Put, batch: Batch, database: Database, archiving: Archiving, place: Ailing, tmp_path: Path
) -> None:
    put(batch({"x": [1.0, 2.0]}, ids=["a", "b"], step=DAY))
    asyncio.run(archiving.everything())
    plan = Range("fraud", 1, 1, (File("predictions", 0), File("predictions", 1)))

    def back(cursor: Cursor) -> None:
        """As if the agent had died before the watermark moved, and then had to make room."""
        cursor.execute("DELETE FROM archived")
        cursor.execute("DELETE FROM rows_1 WHERE id = 'a'")
        archive.begin(cursor, 1, plan)

    database.write(back).result()
    asyncio.run(archiving.everything())
    assert [row[0] for row in read(tmp_path / "archive", "predictions", "id")] == ["b"]


def test_a_new_store_replaces_no_file_of_the_one_before(
    put: Put, batch: Batch, archiving: Archiving, place: Ailing, metrics: Metrics, tmp_path: Path
) -> None:
    put(batch({"x": [1.0]}, ids=["a"]))
    asyncio.run(archiving.everything())
    other = Database(tmp_path / "other.duckdb")
    shutil.copy(tmp_path / "tenure.duckdb", tmp_path / "unused")  # the first one is open still
    try:
        fill = "INSERT INTO models VALUES (1, 'fraud', 0); CREATE TABLE rows_1 (batch BIGINT, time BIGINT, "
        fill += "version INTEGER, role UTINYINT, id VARCHAR, latency FLOAT, error VARCHAR); "
        fill += (
            "INSERT INTO versions VALUES (1, 1, '1', 0); INSERT INTO rows_1 VALUES (1, 1000000, 1, 0, 'b', NULL, NULL)"
        )
        other.write(lambda cursor: cursor.execute(fill)).result()
        asyncio.run(Archiving(other, place, dt.timedelta(days=1), metrics).everything())
    finally:
        other.close()
    assert [row[0] for row in read(tmp_path / "archive", "predictions", "id")] == ["a", "b"]


@pytest.mark.parametrize("model", ["fraud", "a/b", "..", "ü" * 256, "x" * 256, "%", "day=1"])
def test_names(model: str) -> None:
    range_ = Range(model, 7, 123_456_789_012_345, ())
    name = names.name("0123456789ab", range_, File("outcomes", 20_000))
    assert name.startswith(names.folder("outcomes", model) + "/day=2024-10-04/")
    assert all(0 < len(part.encode()) <= 255 and part not in {".", ".."} for part in name.split("/"))
    assert name.count("/") == 3
    assert names.read(name) == names.Archived(name, "0123456789ab", 20_000, 7, 123_456_789_012_345)
    assert names.read("predictions/model=fraud/day=2024-10-04/part-0.parquet") is None
    assert names.folder("outcomes", model) != names.folder("outcomes", model[:-1])


def test_one_bad_time_spoils_no_file(
    put: Put, batch: Batch, database: Database, catalogue: Catalogue, archiving: Archiving, tmp_path: Path
) -> None:
    put(batch({"when": [dt.datetime(2024, 1, 1, tzinfo=dt.UTC)] * 2}, ids=["a", "b"]))
    assert catalogue.models["fraud"].columns["feature", "when"].kinds == {"DATETIME"}
    database.write(lambda cursor: cursor.execute("UPDATE rows_1 SET n1 = 1e300 WHERE id = 'b'")).result()
    asyncio.run(archiving.everything())
    assert archiving.failed is None
    assert read(tmp_path / "archive", "predictions", 'id, "when"') == [("a", dt.datetime(2024, 1, 1)), ("b", None)]  # noqa: DTZ001


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Database]:
    """A store with little memory."""
    opened = Database(tmp_path / "small.duckdb", memory=68 << 20)
    yield opened
    opened.close()


def test_long_texts_fit_into_the_memory_there_is(
    small: Database, place: Ailing, metrics: Metrics, tmp_path: Path
) -> None:
    def fill(cursor: Cursor) -> None:
        catalogue = Catalogue(cursor)
        model = catalogue.model(cursor, "chat", 0)
        catalogue.version(cursor, model, "1", 0)
        catalogue.column(cursor, model, "feature", "prompt", "TEXT", 0)
        text = f"repeat(md5(range::VARCHAR), {4096 // 32})"
        columns = "batch, time, version, role, id, t1"
        cursor.execute(f"INSERT INTO rows_1 ({columns}) SELECT 1, range, 1, 0, range, {text} FROM range(8000)")

    small.write(fill).result()
    archiving = Archiving(small, place, dt.timedelta(days=1), metrics)
    asyncio.run(archiving.everything())
    assert archiving.failed is None
    wanted = Wanted("chat", None, "champion", 0, DAY, DAY, labelled=False)
    assert asyncio.run(Exports(small, place).write(wanted))["rows"] == 8_000
    assert read(tmp_path / "archive", "predictions", "count(*), sum(length(prompt))") == [(8_000, 8_000 * 4096)]
