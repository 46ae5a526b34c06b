"""Who sent what, for as long as it may come again; of those gone long ago, the sums."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tenure_agent import admission
from tenure_agent.ingest import Ingest
from tenure_agent.store import Database, producers
from tenure_agent.store.producers import FORGOTTEN, Producer, Totals
from tenure_agent.wire import Refusal
from tenure_proto.v1 import monitoring_pb2 as pb

Batch = Callable[..., pb.Batch]
Run = Callable[..., None]
DAY = 86_400 * 10**6


def report(seq: int, *batches: pb.Batch, producer: str = "p", **fields: Any) -> pb.ReportRequest:
    return pb.ReportRequest(producer_id=producer, seq=seq, batches=batches, **fields)


def made(name: str, seen: int, seq: int = 9) -> Producer:
    losses = {("fraud", "queue_full"): 3, (name, "shutdown"): 1}
    return Producer(name, seq, {seq: [Refusal("fraud", "malformed", 2)]}, 10, 2, seen, 1, losses)


def keep(database: Database, *told: Producer) -> None:
    def work(cursor: Any) -> None:
        producers.append(cursor, told)
        for one in told:
            producers.save_losses(cursor, one.name, one.losses)

    database.write(work).result()


def totals(database: Database) -> Totals:
    return database.read(producers.totals).result()


def lines(database: Database) -> int:
    return int(database.read(lambda c: c.execute("SELECT count(*) FROM producers").fetchall()).result()[0][0])


def test_the_newest_line_counts_and_is_all_that_stays(database: Database) -> None:
    database.write(producers.compact).result()
    for seq in (1, 2, 2, 3):
        keep(database, made("p", seq, seq), made("q", 4 - seq, seq))
    before = database.read(producers.load).result()
    assert before == {"p": made("p", 3, 3), "q": made("q", 1, 3)}

    database.write(producers.compact).result()
    assert lines(database) == 2
    assert database.read(producers.load).result() == before
    assert list(database.read(lambda cursor: producers.load(cursor, 1)).result()) == ["p"]
    assert database.read(lambda cursor: producers.find(cursor, "q")).result() == before["q"]
    assert database.read(lambda cursor: producers.find(cursor, "r")).result() is None


def test_of_those_gone_long_ago_the_sums_stay(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(producers, "KNOWN", 3)
    keep(database, *(made(f"p{day}", day * DAY) for day in range(10)))
    before = totals(database)
    assert (before.stored, before.missed, before.lost) == (100, 20, 10)
    assert before.dropped == {"queue_full": 30, "shutdown": 10}

    for idle, left in ((20, 10), (5, 5), (5, 5), (1, 3)):  # at least as long as rows, and never fewer than KNOWN
        database.write(lambda cursor: producers.forget(cursor, idle * DAY)).result()  # noqa: B023
        assert sorted(database.read(producers.load).result()) == [f"p{day}" for day in range(10 - left, 10)]
        assert totals(database) == before
        assert lines(database) == left + (left < 10)

    forgotten = database.read(lambda cursor: producers.find(cursor, FORGOTTEN)).result()
    assert forgotten is not None
    assert (forgotten.stored, forgotten.losses["fraud", "queue_full"]) == (70, 21)
    assert database.read(lambda cursor: producers.find(cursor, "p0")).result() is None


def test_a_producer_that_is_no_longer_in_memory_is_still_known(
    ingesting: Run, batch: Batch, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "REMEMBERED", 2)
    losses = [pb.Loss(model="fraud", reason="queue_full", rows=5)]

    async def story(ingest: Ingest) -> None:
        for _ in range(2):  # the second time nothing is new
            for number in range(9):
                await ingest.report(report(1, batch({"x": [1.0]}), producer=f"p{number}", losses=losses))
            assert len(ingest.remembered()) <= 4
        assert (ingest.stored(), ingest.dropped()) == (9, {"queue_full": 45})

    async def restarted(ingest: Ingest) -> None:
        assert len(ingest.remembered()) == 2
        for number in range(9):
            await ingest.report(report(3, batch({"x": [1.0]}), producer=f"p{number}", acked_seq=2, losses=losses))
        assert (ingest.stored(), ingest.dropped(), ingest.lost_after_ack) == (18, {"queue_full": 45}, 9)

    async def again(ingest: Ingest) -> None:
        assert (ingest.stored(), ingest.dropped(), ingest.lost_after_ack) == (18, {"queue_full": 45}, 9)

    ingesting(story, restarted, again)
    assert totals(database).stored == 18


def test_lines_are_put_together_under_way(
    ingesting: Run, batch: Batch, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(producers, "LINES", 10)

    async def story(ingest: Ingest) -> None:
        for seq in range(1, 12):
            await ingest.report(report(seq, batch({"x": [1.0]}), producer="p" if seq < 3 else "q"))
            assert lines(database) == (seq if seq < 11 else 2)

    ingesting(story)
    known = database.read(producers.load).result()
    assert {name: one.last_seq for name, one in known.items()} == {"p": 2, "q": 11}
