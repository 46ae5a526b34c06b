"""The door: every report once, every refusal with its reason, memory and disk alike whatever fails."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from tenure_agent.ingest import Ingest
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
Run = Callable[..., None]


def report(seq: int, *batches: pb.Batch, producer: str = "p", **fields: Any) -> pb.ReportRequest:
    return pb.ReportRequest(producer_id=producer, seq=seq, batches=batches, **fields)


def stored(database: Database, name: str = "fraud") -> int:
    model = database.read(Catalogue).result().models[name]
    return sum(rows for _, _, rows in database.read(lambda c: predictions.stored_counts(c, model)).result())


def refusals(reply: pb.ReportReply) -> list[tuple[str, str, int]]:
    return [(refused.model, refused.reason, refused.rows) for refused in reply.rejections]


def test_stored_before_it_is_acked(
    ingesting: Run, batch: Batch, truths: Truths, database: Database, value: Value, committed: list[tuple[int, int]]
) -> None:
    async def story(ingest: Ingest) -> None:
        request = report(1, batch({"x": [1.0, 2.0]}), outcomes=[truths({"a": 1}, known=9 * SECOND)])
        reply = await ingest.report(request)
        assert (reply.acked_seq, refusals(reply)) == (1, [])
        assert stored(database) == 2
        assert ingest.stored() == 3

    ingesting(story)
    assert database.read(outcomes.count_outcomes).result() == [(1, 1)]
    assert committed == [(SECOND, 9 * SECOND)]
    assert value("predictions_total", model="fraud", version="1", role="champion") == 2
    assert value("outcomes_total", model="fraud") == 1


def test_the_same_report_twice_is_stored_once(ingesting: Run, batch: Batch, database: Database, value: Value) -> None:
    async def story(ingest: Ingest) -> None:
        for _ in range(3):
            assert (await ingest.report(report(1, batch({"x": [1.0]})))).acked_seq == 1
        await ingest.report(report(2, batch({"x": [2.0]})))
        assert (await ingest.report(report(1, batch({"x": [1.0]})))).acked_seq == 1

    ingesting(story)
    assert stored(database) == 2
    assert value("duplicate_reports_total") == 3
    assert value("predictions_total", model="fraud", version="1", role="champion") == 2


def test_the_same_report_twice_in_one_group_is_stored_once(
    ingesting: Run, batch: Batch, database: Database, value: Value
) -> None:
    async def story(ingest: Ingest) -> None:
        requests = [report(1, batch({"x": [1.0]})), report(1, batch({"x": [1.0]})), report(2, batch({"x": [2.0]}))]
        replies = await asyncio.gather(*map(ingest.report, requests))
        assert [reply.acked_seq for reply in replies] == [1, 1, 2]

    ingesting(story)
    assert value("commit_seconds_count") == 1
    assert stored(database) == 2
    assert value("duplicate_reports_total") == 1


def test_producers_do_not_disturb_each_other(ingesting: Run, batch: Batch, database: Database) -> None:
    async def story(ingest: Ingest) -> None:
        requests = [report(1, batch({"x": [1.0]}), producer=f"p{i}") for i in range(20)]
        await asyncio.gather(*map(ingest.report, requests))

    ingesting(story)
    assert stored(database) == 20


def test_a_restart_remembers_what_is_stored(ingesting: Run, batch: Batch, database: Database) -> None:
    async def before(ingest: Ingest) -> None:
        await ingest.report(report(1, batch({"x": [1.0]}, start=50 * SECOND)))
        await ingest.report(report(2, batch({"x": [2.0]})))

    async def after(ingest: Ingest) -> None:
        assert ingest.newest == 50 * SECOND
        assert ingest.stored() == 2
        assert (await ingest.report(report(2, batch({"x": [2.0]})))).acked_seq == 2
        assert ingest.stored() == 2
        await ingest.report(report(3, batch({"x": [3.0]})))

    ingesting(before, after)
    catalogue = database.read(Catalogue).result()
    assert stored(database) == 3
    assert database.read(lambda c: predictions.newest_batch(c, catalogue)).result() == 3


def test_a_gap_is_counted_once(ingesting: Run, batch: Batch, database: Database, value: Value) -> None:
    async def story(ingest: Ingest) -> None:
        for seq in (1, 2, 5, 5, 6):
            await ingest.report(report(seq, batch({"x": [1.0]})))

    ingesting(story)
    assert value("missed_reports_total") == 2
    assert database.read(producers.load).result()["p"].missed == 2


def bad_batches(batch: Batch) -> list[tuple[pb.Batch, str]]:
    short = batch({"x": [1.0, 2.0]}, model="short")
    short.times = short.times[:8]
    unnamed, long = batch({"x": [1.0]}), batch({"x": [1.0]})  # the SDK sends no such names
    unnamed.features[0].name, long.features[0].name = "", "x" * 257
    return [
        (short, "malformed"),
        (batch({"x": [1.0]}, model=""), "bad_model_name"),
        (batch({"x": [1.0]}, model="m" * 257), "bad_model_name"),
        (batch({"x": [1.0]}, version=""), "bad_version_name"),
        (unnamed, "bad_column_name"),
        (long, "bad_column_name"),
        (batch({f"c{i}": [1.0] for i in range(9)}), "too_many_columns"),
    ]


def test_refused_with_a_reason_and_the_same_answer_on_a_resend(
    ingesting: Run, batch: Batch, database: Database, value: Value, monkeypatch: pytest.MonkeyPatch
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

    ingesting(first, after_a_restart)
    assert stored(database) == 3
    assert value("dropped_total", model="short", reason="malformed") == 2
    assert value("dropped_total", model="fraud", reason="bad_column_name") == 2
    assert value("dropped_total", model="fraud", reason="too_many_columns") == 1


def test_outcomes_are_refused_alike(ingesting: Run, truths: Truths, database: Database) -> None:
    broken = truths({"a": 1, "b": 0})
    broken.times = b""

    async def story(ingest: Ingest) -> None:
        request = report(1, outcomes=[broken, truths({"a": 1}, model=""), truths({"a": 1}, model="fraud")])
        assert refusals(await ingest.report(request)) == [("fraud", "malformed", 2), ("", "bad_model_name", 1)]

    ingesting(story)
    assert database.read(outcomes.count_outcomes).result() == [(1, 1)]


def test_a_row_from_the_future_does_not_move_the_event_clock(
    ingesting: Run, batch: Batch, database: Database, committed: list[tuple[int, int]]
) -> None:
    now, later = 10**15, 10**15 + 10 * 365 * 86_400 * SECOND

    async def story(ingest: Ingest) -> None:
        await ingest.report(report(1, batch({"x": [1.0]}, start=5 * SECOND)))
        await ingest.report(report(2, batch({"x": [1.0]}, start=later)))

    async def after_a_restart(ingest: Ingest) -> None:
        assert ingest.newest == now

    ingesting(story, after_a_restart)
    assert committed == [(5 * SECOND, 5 * SECOND), (now, now)]
    assert stored(database) == 2


def losses(**rows: int) -> list[pb.Loss]:
    return [pb.Loss(model="fraud", reason=reason, rows=count) for reason, count in rows.items()]


def test_losses_are_totals_and_counted_as_they_grow(ingesting: Run, value: Value) -> None:
    told = [losses(queue_full=5), losses(queue_full=7, rejected=2), losses(queue_full=7)]

    async def story(ingest: Ingest) -> None:
        for seq, one in enumerate(told[:2], 1):
            await ingest.report(report(seq, losses=one))
        await ingest.report(report(1, producer="q", losses=losses(queue_full=1)))
        assert ingest.dropped() == {"queue_full": 8, "rejected": 2}

    async def after_a_restart(ingest: Ingest) -> None:
        await ingest.report(report(3, losses=losses(queue_full=10, rejected=2)))
        assert ingest.dropped() == {"queue_full": 11, "rejected": 2}

    ingesting(story, after_a_restart)
    assert value("dropped_total", model="fraud", reason="queue_full") == 11
    assert value("dropped_total", model="fraud", reason="rejected") == 0  # counted where it was refused


def test_reasons_from_outside_make_few_series(ingesting: Run, metrics: Metrics) -> None:
    async def story(ingest: Ingest) -> None:
        await ingest.report(report(1, losses=losses(**{f"reason{i}": 1 for i in range(1000)})))

    ingesting(story)
    [dropped] = [family for family in metrics.registry.collect() if family.name == "tenure_dropped"]
    counted = [sample for sample in dropped.samples if sample.name == "tenure_dropped_total"]
    assert len(counted) <= 201
    assert sum(sample.value for sample in counted) == 1000


def test_a_quiet_agent_commits_a_report_at_once(
    ingesting: Run, batch: Batch, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits: list[int] = []
    timers: list[float] = []

    async def story(ingest: Ingest) -> None:
        loop, write = asyncio.get_running_loop(), database.async_write
        at = loop.call_at

        async def counted(work: Callable[..., Any], **settings: Any) -> Any:
            commits.append(ingest._queue.qsize())
            return await write(work, **settings)

        def noted(when: float, *rest: Any, **settings: Any) -> asyncio.TimerHandle:
            timers.append(when)
            return at(when, *rest, **settings)

        monkeypatch.setattr(database, "async_write", counted)
        monkeypatch.setattr(loop, "call_at", noted)
        for seq in (1, 2, 3):
            await ingest.report(report(seq, batch({"x": [1.0]})))
            assert len(commits) == seq
        assert not timers  # nothing waits for company, or for a clock

    ingesting(story)
