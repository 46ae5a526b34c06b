"""Rows go only once they are archived, or are counted as lost."""

from __future__ import annotations

import asyncio
import datetime as dt
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.agent.archived import DAY, SECOND, Ailing, Batch, Put, Value, count, read, refer

from tenure_agent import config as config_module
from tenure_agent.archive.archiving import Archiving
from tenure_agent.archive.place import Directory
from tenure_agent.config import parse_config
from tenure_agent.metrics import Metrics
from tenure_agent.retention import Retention
from tenure_agent.store import Database, archive
from tenure_agent.store.catalogue import Catalogue


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
