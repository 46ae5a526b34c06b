"""The door: every report once, every refusal with its reason, memory and disk alike whatever fails."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

from tenure.testing import ManualClock
from tenure_agent import ingest as ingest_module
from tenure_agent.ingest import Busy, Ingest
from tenure_agent.metrics import Metrics
from tenure_agent.store import Database, outcomes, predictions, producers
from tenure_agent.store import catalogue as catalogue_module
from tenure_agent.store.catalogue import Catalogue
from tenure_proto.v1 import monitoring_pb2 as pb

SECOND = 1_000_000
Batch = Callable[..., pb.Batch]
Truths = Callable[..., pb.Outcomes]
Value = Callable[..., float]
Open = Callable[[], AbstractAsyncContextManager[Ingest]]
Story = Callable[[Ingest], Awaitable[None]]
Play = Callable[..., None]


@pytest.fixture
def committed() -> list[tuple[int, int]]:
    return []


@pytest.fixture
def play(database: Database, metrics: Metrics, committed: list[tuple[int, int]]) -> Play:
    """Run stories one after the other, each with an ingest that was just started on the same store."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Ingest]:
        async def note(oldest: int, newest: int) -> None:
            committed.append((oldest, newest))

        catalogue = await database.async_read(Catalogue)
        ingest = Ingest(database, catalogue, metrics, ManualClock(10**15), note)
        await ingest.start()
        yield ingest
        await ingest.stop()

    async def run(stories: tuple[Story, ...]) -> None:
        for story in stories:
            async with asyncio.timeout(60), opened() as ingest:
                await story(ingest)

    return lambda *stories: asyncio.run(run(stories))


def report(seq: int, *batches: pb.Batch, producer: str = "p", **fields: Any) -> pb.ReportRequest:
    return pb.ReportRequest(producer_id=producer, seq=seq, batches=batches, **fields)


def stored(database: Database, name: str = "fraud") -> int:
    model = database.read(Catalogue).result().models[name]
    return sum(rows for _, _, rows in database.read(lambda c: predictions.stored_counts(c, model)).result())


def refusals(reply: pb.ReportReply) -> list[tuple[str, str, int]]:
    return [(refused.model, refused.reason, refused.rows) for refused in reply.rejections]


def test_stored_before_it_is_acked(
    play: Play, batch: Batch, truths: Truths, database: Database, value: Value, committed: list[tuple[int, int]]
) -> None:
    async def story(ingest: Ingest) -> None:
        request = report(1, batch({"x": [1.0, 2.0]}), outcomes=[truths({"a": 1}, known=9 * SECOND)])
        reply = await ingest.report(request)
        assert (reply.acked_seq, refusals(reply)) == (1, [])
        assert stored(database) == 2
        assert ingest.stored() == 3

    play(story)
    assert database.read(outcomes.count_outcomes).result() == [(1, 1)]
    assert committed == [(SECOND, 9 * SECOND)]
    assert value("predictions_total", model="fraud", version="1", role="champion") == 2
    assert value("outcomes_total", model="fraud") == 1


def test_the_same_report_twice_is_stored_once(play: Play, batch: Batch, database: Database, value: Value) -> None:
    async def story(ingest: Ingest) -> None:
        for _ in range(3):
            assert (await ingest.report(report(1, batch({"x": [1.0]})))).acked_seq == 1
        await ingest.report(report(2, batch({"x": [2.0]})))
        assert (await ingest.report(report(1, batch({"x": [1.0]})))).acked_seq == 1

    play(story)
    assert stored(database) == 2
    assert value("duplicate_reports_total") == 3
    assert value("predictions_total", model="fraud", version="1", role="champion") == 2


def test_the_same_report_twice_in_one_group_is_stored_once(
    play: Play, batch: Batch, database: Database, value: Value
) -> None:
    async def story(ingest: Ingest) -> None:
        requests = [report(1, batch({"x": [1.0]})), report(1, batch({"x": [1.0]})), report(2, batch({"x": [2.0]}))]
        replies = await asyncio.gather(*map(ingest.report, requests))
        assert [reply.acked_seq for reply in replies] == [1, 1, 2]

    play(story)
    assert value("commit_seconds_count") == 1
    assert stored(database) == 2
    assert value("duplicate_reports_total") == 1


def test_producers_do_not_disturb_each_other(play: Play, batch: Batch, database: Database) -> None:
    async def story(ingest: Ingest) -> None:
        requests = [report(1, batch({"x": [1.0]}), producer=f"p{i}") for i in range(20)]
        await asyncio.gather(*map(ingest.report, requests))

    play(story)
    assert stored(database) == 20


def test_a_restart_remembers_what_is_stored(play: Play, batch: Batch, database: Database) -> None:
    async def before(ingest: Ingest) -> None:
        await ingest.report(report(1, batch({"x": [1.0]}, start=50 * SECOND)))
        await ingest.report(report(2, batch({"x": [2.0]})))

    async def after(ingest: Ingest) -> None:
        assert ingest.newest == 50 * SECOND
        assert ingest.stored() == 2
        assert (await ingest.report(report(2, batch({"x": [2.0]})))).acked_seq == 2
        assert ingest.stored() == 2
        await ingest.report(report(3, batch({"x": [3.0]})))

    play(before, after)
    catalogue = database.read(Catalogue).result()
    assert stored(database) == 3
    assert database.read(lambda c: predictions.newest_batch(c, catalogue)).result() == 3


def test_a_gap_is_counted_once(play: Play, batch: Batch, database: Database, value: Value) -> None:
    async def story(ingest: Ingest) -> None:
        for seq in (1, 2, 5, 5, 6):
            await ingest.report(report(seq, batch({"x": [1.0]})))

    play(story)
    assert value("missed_reports_total") == 2
    assert database.read(producers.load).result()["p"].missed == 2


def bad_batches(batch: Batch) -> list[tuple[pb.Batch, str]]:
    short = batch({"x": [1.0, 2.0]}, model="short")
    short.times = short.times[:8]
    return [
        (short, "malformed"),
        (batch({"x": [1.0]}, model=""), "bad_model_name"),
        (batch({"x": [1.0]}, model="m" * 257), "bad_model_name"),
        (batch({"x": [1.0]}, version=""), "bad_version_name"),
        (batch({"": [1.0]}), "bad_column_name"),
        (batch({"x" * 257: [1.0]}), "bad_column_name"),
        (batch({f"c{i}": [1.0] for i in range(9)}), "too_many_columns"),
    ]


def test_refused_with_a_reason_and_the_same_answer_on_a_resend(
    play: Play, batch: Batch, database: Database, value: Value, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue_module, "MAX_COLUMNS", 5)
    bad = bad_batches(batch)
    request = report(1, batch({"x": [1.0]}), *[one for one, _ in bad], batch({"x": [2.0]}))
    expected = [(one.model, reason, one.rows) for one, reason in bad]

    async def first(ingest: Ingest) -> None:
        assert refusals(await ingest.report(request)) == expected
        assert refusals(await ingest.report(request)) == expected

    async def after_a_restart(ingest: Ingest) -> None:
        assert refusals(await ingest.report(request)) == expected
        assert refusals(await ingest.report(report(2, batch({"x": [1.0]})))) == []

    play(first, after_a_restart)
    assert stored(database) == 3
    assert value("dropped_total", model="short", reason="malformed") == 2
    assert value("dropped_total", model="fraud", reason="bad_column_name") == 2
    assert value("dropped_total", model="fraud", reason="too_many_columns") == 1


def test_outcomes_are_refused_alike(play: Play, truths: Truths, database: Database) -> None:
    broken = truths({"a": 1, "b": 0})
    broken.times = b""

    async def story(ingest: Ingest) -> None:
        request = report(1, outcomes=[broken, truths({"a": 1}, model=""), truths({"a": 1}, model="fraud")])
        assert refusals(await ingest.report(request)) == [("fraud", "malformed", 2), ("", "bad_model_name", 1)]

    play(story)
    assert database.read(outcomes.count_outcomes).result() == [(1, 1)]


def test_a_failed_commit_leaves_nothing_behind(
    play: Play, batch: Batch, database: Database, value: Value, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = predictions.append

    def fail(*_: Any) -> None:
        raise OSError("No space left on device: /secret/path")

    async def story(ingest: Ingest) -> None:
        await ingest.report(report(1, batch({"x": [1.0]})))
        monkeypatch.setattr(predictions, "append", fail)
        requests = [report(2, batch({"y": ["t"]}, version="9")), report(1, batch({"x": [1.0]}, model="new"), producer="q")]
        for outcome in await asyncio.gather(*map(ingest.report, requests), return_exceptions=True):
            assert isinstance(outcome, RuntimeError)
            assert "/secret/path" not in str(outcome)
        assert ingest._catalogue.models == (await database.async_read(Catalogue)).models
        assert ingest._producers == await database.async_read(producers.load)
        assert ingest.stored() == 1

        monkeypatch.setattr(predictions, "append", real)
        for reply in await asyncio.gather(*map(ingest.report, requests)):
            assert refusals(reply) == []

    play(story)
    assert stored(database) == 2
    assert stored(database, "new") == 1
    assert value("commit_errors_total") == 1
    assert value("duplicate_reports_total") == 0


def test_a_store_that_is_away_for_a_while_acks_nothing_it_does_not_hold(
    play: Play, batch: Batch, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = database._transact

    def away(work: Callable[[Any], Any]) -> Any:
        """What is done in memory is done, then the connection is lost; a reload gets no answer either."""

        def lost(cursor: Any) -> None:
            if work.__name__ != "_reload":
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

    play(story)
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
    play: Play, batch: Batch, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = [report(seq, batch({"x": [float(seq)] * 100})) for seq in (1, 2, 3)]
    monkeypatch.setattr(ingest_module, "QUEUE_BYTES", requests[1].ByteSize() + 10)

    async def story(ingest: Ingest) -> None:
        go_on = threading.Event()
        database.write(lambda _: go_on.wait(60))  # the writer is busy
        first = asyncio.create_task(ingest.report(requests[0]))
        await asyncio.sleep(0)
        while not ingest._queue.empty():  # until it is in hand
            await asyncio.sleep(0)
        second = asyncio.create_task(ingest.report(requests[1]))
        await asyncio.sleep(0)
        with pytest.raises(Busy):
            await ingest.report(requests[2])
        go_on.set()
        assert [(await one).acked_seq for one in (first, second)] == [1, 2]
        assert (await ingest.report(requests[2])).acked_seq == 3

    play(story)
    assert stored(database) == 300


def test_a_row_from_the_future_does_not_move_the_event_clock(
    play: Play, batch: Batch, database: Database, committed: list[tuple[int, int]]
) -> None:
    now, later = 10**15, 10**15 + 10 * 365 * 86_400 * SECOND

    async def story(ingest: Ingest) -> None:
        await ingest.report(report(1, batch({"x": [1.0]}, start=5 * SECOND)))
        await ingest.report(report(2, batch({"x": [1.0]}, start=later)))

    async def after_a_restart(ingest: Ingest) -> None:
        assert ingest.newest == now

    play(story, after_a_restart)
    assert committed == [(5 * SECOND, 5 * SECOND), (now, now)]
    assert stored(database) == 2


def losses(**rows: int) -> list[pb.Loss]:
    return [pb.Loss(model="fraud", reason=reason, rows=count) for reason, count in rows.items()]


def test_losses_are_totals_and_counted_as_they_grow(play: Play, value: Value) -> None:
    told = [losses(queue_full=5), losses(queue_full=7, rejected=2, emitted=100, acked=91), losses(queue_full=7)]

    async def story(ingest: Ingest) -> None:
        for seq, one in enumerate(told[:2], 1):
            await ingest.report(report(seq, losses=one))
        await ingest.report(report(1, producer="q", losses=losses(queue_full=1)))
        assert ingest.dropped() == {"queue_full": 8, "rejected": 2}

    async def after_a_restart(ingest: Ingest) -> None:
        await ingest.report(report(3, losses=losses(queue_full=10, rejected=2)))
        assert ingest.dropped() == {"queue_full": 11, "rejected": 2}

    play(story, after_a_restart)
    assert value("dropped_total", model="fraud", reason="queue_full") == 11
    assert value("dropped_total", model="fraud", reason="rejected") == 0  # counted where it was refused
    assert value("dropped_total", model="fraud", reason="emitted") == 0


def test_reasons_from_outside_make_few_series(play: Play, metrics: Metrics) -> None:
    async def story(ingest: Ingest) -> None:
        await ingest.report(report(1, losses=losses(**{f"reason{i}": 1 for i in range(1000)})))

    play(story)
    [dropped] = [family for family in metrics.registry.collect() if family.name == "tenure_dropped"]
    counted = [sample for sample in dropped.samples if sample.name == "tenure_dropped_total"]
    assert len(counted) <= 201
    assert sum(sample.value for sample in counted) == 1000


def test_stop_commits_what_is_queued(play: Play, batch: Batch, database: Database) -> None:
    tasks: list[asyncio.Task[pb.ReportReply]] = []

    async def story(ingest: Ingest) -> None:
        tasks.extend(asyncio.create_task(ingest.report(report(seq, batch({"x": [1.0]})))) for seq in range(1, 6))
        await asyncio.sleep(0)

    play(story)
    assert [task.result().acked_seq for task in tasks] == [1, 2, 3, 4, 5]
    assert stored(database) == 5


def test_a_caller_that_gives_up_is_stored_all_the_same(play: Play, batch: Batch, database: Database) -> None:
    async def story(ingest: Ingest) -> None:
        task = asyncio.create_task(ingest.report(report(1, batch({"x": [1.0]}))))
        await asyncio.sleep(0)
        task.cancel()
        assert (await ingest.report(report(2, batch({"x": [1.0]})))).acked_seq == 2

    play(story)
    assert stored(database) == 2
