"""The door when something goes wrong: memory and disk stay alike, and nobody waits for ever."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tenure.testing import ManualClock
from tenure_agent import ingest as ingest_module
from tenure_agent.ingest import Busy, Ingest
from tenure_agent.metrics import Metrics
from tenure_agent.store import Database, predictions, producers
from tenure_agent.store.catalogue import Catalogue
from tenure_proto.v1 import monitoring_pb2 as pb

Batch = Callable[..., pb.Batch]
Value = Callable[..., float]
Run = Callable[..., None]


def report(seq: int, *batches: pb.Batch, producer: str = "p", **fields: Any) -> pb.ReportRequest:
    return pb.ReportRequest(producer_id=producer, seq=seq, batches=batches, **fields)


def stored(database: Database, name: str = "fraud") -> int:
    model = database.read(Catalogue).result().models[name]
    return sum(rows for _, _, rows in database.read(lambda c: predictions.stored_counts(c, model)).result())


def test_a_failed_commit_leaves_nothing_behind(
    ingesting: Run, batch: Batch, database: Database, value: Value, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = predictions.append

    def fail(*_: Any) -> None:
        raise OSError("No space left on device: /secret/path")

    async def story(ingest: Ingest) -> None:
        await ingest.report(report(1, batch({"x": [1.0]})))
        monkeypatch.setattr(predictions, "append", fail)
        requests = [
            report(2, batch({"y": ["t"]}, version="9")),
            report(1, batch({"x": [1.0]}, model="new"), producer="q"),
        ]
        for outcome in await asyncio.gather(*map(ingest.report, requests), return_exceptions=True):
            assert isinstance(outcome, RuntimeError)
            assert "/secret/path" not in str(outcome)
        assert ingest._admission._catalogue.models == (await database.async_read(Catalogue)).models
        assert ingest._admission._producers == await database.async_read(producers.load)
        assert ingest.stored() == 1

        monkeypatch.setattr(predictions, "append", real)
        for reply in await asyncio.gather(*map(ingest.report, requests)):
            assert not reply.rejections

    ingesting(story)
    assert stored(database) == 2
    assert stored(database, "new") == 1
    assert value("commit_errors_total") == 1
    assert value("duplicate_reports_total") == 0


def test_a_report_that_cannot_be_stored_keeps_no_other_out(
    ingesting: Run, batch: Batch, database: Database, value: Value, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = predictions.append

    def append(cursor: Any, catalogue: Catalogue, batches: Any, now: int) -> None:
        if batches[0][1].model == "poison":
            raise ValueError("a value nobody thought of")
        real(cursor, catalogue, batches, now)

    monkeypatch.setattr(predictions, "append", append)

    async def story(ingest: Ingest) -> None:
        requests = [report(1, batch({"x": [1.0]}, model=f"m{i}"), producer=f"p{i}") for i in range(3)]
        poison = report(1, batch({"x": [1.0]}, model="poison"), producer="q")
        told = await asyncio.gather(*map(ingest.report, [*requests, poison]), return_exceptions=True)
        assert [isinstance(one, RuntimeError) for one in told] == [False, False, False, True]
        assert ingest.stored() == 3

    ingesting(story)
    assert [stored(database, f"m{i}") for i in range(3)] == [1, 1, 1]
    assert "poison" not in database.read(Catalogue).result().models
    assert value("commit_errors_total") == 2


def test_a_store_that_is_away_for_a_while_acks_nothing_it_does_not_hold(
    ingesting: Run, batch: Batch, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = database._transact

    def away(work: Callable[[Any], Any]) -> Any:
        """What is done in memory is done, then the connection is lost; a reload gets no answer either."""

        def lost(cursor: Any) -> None:
            if work.__name__ != "reload":
                work(cursor)
            raise RuntimeError("the database was invalidated")

        return real(lost)

    async def story(ingest: Ingest) -> None:
        await ingest.report(report(1, batch({"x": [1.0]})))
        monkeypatch.setattr(database, "_transact", away)
        for _ in range(2):
            with pytest.raises(RuntimeError):
                await ingest.report(report(2, batch({"x": [2.0]}, version="2")))
        monkeypatch.setattr(database, "_transact", real)
        assert (await ingest.report(report(2, batch({"x": [2.0]}, version="2")))).acked_seq == 2

    ingesting(story)
    assert stored(database) == 2


def test_what_follows_a_commit_may_fail_without_stopping_the_door(
    database: Database, metrics: Metrics, batch: Batch
) -> None:
    async def run() -> None:
        async def fail(_: int, __: int) -> None:
            raise RuntimeError("on purpose")

        ingest = Ingest(database, await database.async_read(Catalogue), metrics, ManualClock(10**15), fail)
        await ingest.start()
        async with asyncio.timeout(60):
            for seq in (1, 2):
                assert (await ingest.report(report(seq, batch({"x": [1.0]})))).acked_seq == seq
            await ingest.stop()

    asyncio.run(run())
    assert stored(database) == 2


def test_busy_when_the_queue_is_full(
    ingesting: Run, batch: Batch, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = [report(seq, batch({"x": [float(seq)] * 100})) for seq in (1, 2, 3)]
    monkeypatch.setattr(ingest_module, "QUEUE_BYTES", requests[1].ByteSize() + 10)

    async def story(ingest: Ingest) -> None:
        go_on = threading.Event()
        database.write(lambda _: go_on.wait(60))  # the writer is busy
        first = asyncio.create_task(ingest.report(requests[0]))
        await asyncio.sleep(0)
        while not ingest._queue.empty():  # noqa: ASYNC110  # until it is in hand
            await asyncio.sleep(0)
        second = asyncio.create_task(ingest.report(requests[1]))
        await asyncio.sleep(0)
        with pytest.raises(Busy):
            await ingest.report(requests[2])
        go_on.set()
        assert [(await one).acked_seq for one in (first, second)] == [1, 2]
        assert (await ingest.report(requests[2])).acked_seq == 3

    ingesting(story)
    assert stored(database) == 300


def test_stop_commits_what_is_queued(ingesting: Run, batch: Batch, database: Database) -> None:
    tasks: list[asyncio.Task[pb.ReportReply]] = []

    async def story(ingest: Ingest) -> None:
        tasks.extend(asyncio.create_task(ingest.report(report(seq, batch({"x": [1.0]})))) for seq in range(1, 6))
        await asyncio.sleep(0)

    ingesting(story)
    assert [task.result().acked_seq for task in tasks] == [1, 2, 3, 4, 5]
    assert stored(database) == 5


def test_a_caller_that_gives_up_is_stored_all_the_same(ingesting: Run, batch: Batch, database: Database) -> None:
    async def story(ingest: Ingest) -> None:
        task = asyncio.create_task(ingest.report(report(1, batch({"x": [1.0]}))))
        await asyncio.sleep(0)
        task.cancel()
        assert (await ingest.report(report(2, batch({"x": [1.0]})))).acked_seq == 2

    ingesting(story)
    assert stored(database) == 2


def test_names_that_a_failed_transaction_gave_are_used_by_nobody(
    ingesting: Run, batch: Batch, database: Database
) -> None:
    begun, go_on = asyncio.Event(), threading.Event()

    def of(version: str, value: float) -> pb.Batch:
        made = batch({"x": [value]})
        made.version = version
        return made

    async def story(ingest: Ingest) -> None:
        loop = asyncio.get_running_loop()
        await ingest.report(report(1, of("1", 1.0)))

        def name(cursor: Any) -> None:
            catalogue = ingest._admission._catalogue
            catalogue.version(cursor, catalogue.model(cursor, "fraud", 0), "2", 0)
            loop.call_soon_threadsafe(begun.set)
            assert go_on.wait(60)
            raise RuntimeError("out of memory")

        naming = asyncio.create_task(ingest.write(name))
        await begun.wait()
        behind = asyncio.create_task(ingest.report(report(2, of("2", 2.0))))
        await asyncio.sleep(0)
        go_on.set()
        with pytest.raises(RuntimeError):
            await naming
        await behind
        await ingest.report(report(3, of("3", 3.0)))

    ingesting(story)
    model = database.read(Catalogue).result().models["fraud"]
    rows = database.read(lambda c: c.execute(f"SELECT version, n1 FROM {model.table} ORDER BY n1").fetchall()).result()
    assert [(model.version_name(version), value) for version, value in rows] == [("1", 1.0), ("2", 2.0), ("3", 3.0)]
