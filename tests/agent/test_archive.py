"""Rows and outcomes go to Parquet before they expire: each once, under their own names, whatever fails on the way."""

from __future__ import annotations

import asyncio
import datetime as dt
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.agent.archived import DAY, SECOND, Ailing, Batch, Put, Value, note, read

from tenure_agent.archive import names
from tenure_agent.archive.archiving import Archiving
from tenure_agent.archive.place import Directory, PlaceFailed
from tenure_agent.exports import Exports
from tenure_agent.metrics import Metrics
from tenure_agent.store import Database, archive
from tenure_agent.store.archive import File, Range
from tenure_agent.store.catalogue import Catalogue
from tenure_agent.store.database import Cursor
from tenure_agent.store.export import Wanted
from tenure_proto.v1 import monitoring_pb2 as pb


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


def test_a_directory_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no directory")
    staged = tmp_path / "staged"
    staged.write_text("rows")
    with pytest.raises(PlaceFailed, match=r"cannot be written .File exists.. Try: room and rights there"):
        Directory(tmp_path / "file").put(staged, "a/b.parquet")
    with pytest.raises(PlaceFailed, match=r"cannot be read .No such file"):
        Directory(tmp_path).fetch("absent", tmp_path / "to")


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
