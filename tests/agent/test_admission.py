"""What a report leaves behind: whose it is, what was lost on the way, what changed its type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tenure_agent.ingest import Ingest
from tenure_agent.store import Database, predictions, producers
from tenure_agent.store.catalogue import Catalogue
from tenure_agent.wire import MAX_PRODUCER, MAX_SEQ
from tenure_proto.v1 import monitoring_pb2 as pb

Batch = Callable[..., pb.Batch]
Value = Callable[..., float]
Run = Callable[..., None]


def report(seq: int, *batches: pb.Batch, producer: str = "p", **fields: Any) -> pb.ReportRequest:
    return pb.ReportRequest(producer_id=producer, seq=seq, batches=batches, **fields)


def ids(database: Database) -> list[str]:
    model = database.read(Catalogue).result().models["fraud"]
    query = f"SELECT id FROM {model.table} ORDER BY batch, id"
    return [one for (one,) in database.read(lambda cursor: cursor.execute(query).fetchall()).result()]


@pytest.mark.parametrize(
    ("seq", "acked", "lost", "missed"),
    [(3, 2, 0, 0), (6, 5, 3, 0), (6, 2, 0, 3), (6, 4, 2, 1), (6, 99, 3, 0), (6, 0, 0, 3)],
)
def test_what_was_acked_and_is_gone_is_counted_once(
    ingesting: Run, batch: Batch, database: Database, value: Value, seq: int, acked: int, lost: int, missed: int
) -> None:
    async def story(ingest: Ingest) -> None:
        await ingest.report(report(1, batch({"x": [1.0]})))
        await ingest.report(report(2, batch({"x": [1.0]}), acked_seq=1))
        for _ in range(2):
            assert (await ingest.report(report(seq, batch({"x": [2.0]}), acked_seq=acked))).acked_seq == seq
        await ingest.report(report(seq + 1, batch({"x": [3.0]}), acked_seq=seq))
        assert ingest.lost_after_ack == lost

    ingesting(story)
    assert value("lost_after_ack_reports_total") == lost
    assert value("missed_reports_total") == missed
    assert database.read(producers.load).result()["p"].missed == missed
    assert len(ids(database)) == 4


def test_each_of_several_reports_that_come_again_is_told_what_was_refused_of_it(ingesting: Run, batch: Batch) -> None:
    async def story(ingest: Ingest) -> None:
        for seq in range(1, 5):
            refused = [batch({"x": [1.0] * seq}, model="m" * 257)] if seq % 2 else []
            reply = await ingest.report(report(seq, *refused, batch({"x": [1.0]})))
            assert [one.rows for one in reply.rejections] == [seq] * len(refused)

    ingesting(story, story)


def test_a_report_that_was_overtaken_is_stored_once(
    ingesting: Run, batch: Batch, database: Database, value: Value
) -> None:
    def of(seq: int, acked: int = 0) -> pb.ReportRequest:
        return report(seq, batch({"x": [1.0]}, ids=[str(seq)]), acked_seq=acked)

    async def story(ingest: Ingest) -> None:
        for seq in (1, 5, 3, 3, 9):
            assert (await ingest.report(of(seq))).acked_seq == seq
        refused = report(7, batch({"": [1.0] * 2}), batch({"x": [1.0]}, ids=["7"]))
        refused.batches[0].rows = 0
        assert [one.reason for one in (await ingest.report(refused)).rejections] == ["malformed"]
        assert not (await ingest.report(of(9))).rejections, "what was refused of another"
        assert [one.reason for one in (await ingest.report(refused)).rejections] == ["malformed"], "told again"

    async def later(ingest: Ingest) -> None:
        for seq in (3, 7, 4, 12, 4):
            await ingest.report(of(seq, acked=11 if seq == 12 else 0))
        assert ingest.lost_after_ack == 2
        await ingest.report(of(10))  # it was acked to another than us
        assert ingest.lost_after_ack == 1

    ingesting(story)
    assert [value(f"{kind}_reports_total") for kind in ("missed", "late", "duplicate")] == [6, 2, 3]
    ingesting(later)
    assert sorted(ids(database), key=int) == ["1", "3", "4", "5", "7", "9", "10", "12"]
    known = database.read(producers.load).result()["p"]
    assert (known.missed, known.lost, known.late) == (3, 1, 4)
    assert known.gaps == ((2, 2, False), (6, 6, False), (8, 8, False), (11, 11, True))


@pytest.mark.parametrize("seq", [0, MAX_SEQ + 1, 2**64 - 1])
def test_a_report_without_a_number_is_refused_whole(
    ingesting: Run, batch: Batch, database: Database, value: Value, seq: int
) -> None:
    async def story(ingest: Ingest) -> None:
        reply = await ingest.report(report(seq, batch({"x": [1.0, 2.0]})))
        assert [(one.model, one.reason, one.rows) for one in reply.rejections] == [("fraud", "bad_seq", 2)]

    ingesting(story)
    assert database.read(producers.load).result() == {}
    assert value("missed_reports_total") == 0


@pytest.mark.parametrize("name", ["", "x" * (MAX_PRODUCER + 1)])
def test_a_report_of_nobody_is_refused_whole(
    ingesting: Run, batch: Batch, database: Database, value: Value, name: str
) -> None:
    async def story(ingest: Ingest) -> None:
        for _ in range(2):  # it has no number of its own: each is counted
            reply = await ingest.report(report(1, batch({"x": [1.0, 2.0]}), producer=name))
            assert [(one.model, one.reason, one.rows) for one in reply.rejections] == [("fraud", "bad_producer_id", 2)]
        assert ingest.stored() == 0

    ingesting(story)
    assert database.read(producers.load).result() == {}
    assert value("dropped_total", model="fraud", reason="bad_producer_id") == 4
    assert value("missed_reports_total") == 0


def test_a_change_of_type_is_counted_once(ingesting: Run, batch: Batch, value: Value) -> None:
    async def story(ingest: Ingest) -> None:
        await ingest.report(report(1, batch({"x": [1.0], "t": ["a"], "b": [True]})))
        assert value("type_changes_total", model="fraud") == 0
        await ingest.report(report(2, batch({"x": ["one"], "t": ["b"], "b": [1.0]})))
        assert value("type_changes_total", model="fraud") == 1
        await ingest.report(report(3, batch({"x": [2.0], "t": [1.0], "b": [False]})))
        await ingest.report(report(4, batch({"x": ["two"], "t": ["c"], "new": [1.0]})))

    ingesting(story)
    assert value("type_changes_total", model="fraud") == 2


def test_texts_that_are_all_missing_are_no_change_of_type(
    ingesting: Run, batch: Batch, value: Value, database: Database
) -> None:
    async def story(ingest: Ingest) -> None:
        await ingest.report(report(1, batch({"t": ["a", None]})))
        await ingest.report(report(2, batch({"t": [float("nan"), float("nan")], "x": [1.0, 2.0]})))
        await ingest.report(report(3, batch({"t": ["b", None]})))

    ingesting(story)
    assert value("type_changes_total", model="fraud") == 0
    kinds = database.read(lambda cursor: Catalogue(cursor).models["fraud"].columns["feature", "t"]).result()
    assert (kinds.has_texts, kinds.has_numbers) == (True, False)


def test_ids_given_and_generated_in_one_group(
    database: Database, catalogue: Catalogue, batch: Batch, put: Callable[..., None]
) -> None:
    def generated(prefix: str, rows: int) -> pb.Batch:
        made = batch({"x": [0.0] * rows})
        made.ids.prefix = prefix
        return made

    put(generated("a", 2), batch({"x": [0.0, 0.0]}, ids=["A17", "B-2"]), generated("'b\0'", 1), generated("a", 1))
    put(generated("c", 2), generated("c", 1))
    put(generated("", 1))

    assert ids(database) == ["a-0", "a-1", "A17", "B-2", "'b\0'-0", "a-0", "c-0", "c-1", "c-0", "-0"]
    rows, _ = database.read(lambda cursor: predictions.extent(cursor, catalogue.models["fraud"], 1, 10**18)).result()
    assert rows == 10


def test_latencies_and_errors_are_of_the_rows_that_have_them(
    database: Database, catalogue: Catalogue, batch: Batch, put: Callable[..., None]
) -> None:
    slow, broken = batch({"x": [0.0, 1.0]}), batch({"x": [2.0, 3.0]})
    slow.latencies = b"\0\0\x80\x3f\0\0\xc0\x7f"  # 1.0 and NaN
    broken.errors.add(row=1, type="KeyError")
    put(batch({"x": [9.0]}), slow, broken)
    query = f"SELECT n1, latency, error FROM {catalogue.models['fraud'].table} ORDER BY batch, n1"

    assert database.read(lambda cursor: cursor.execute(query).fetchall()).result() == [
        (9.0, None, None),
        (0.0, 1.0, None),
        (1.0, None, None),
        (2.0, None, None),
        (3.0, None, "KeyError"),
    ]


def test_a_batch_with_too_many_new_columns_takes_none_of_the_names_left(
    ingesting: Run, batch: Batch, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tenure_agent.admission.MAX_COLUMNS", 3)

    async def story(ingest: Ingest) -> None:
        for seq, names, reasons in [
            (1, "a", []),
            (2, "bcd", ["too_many_columns"]),
            (3, "abc", []),
            (4, "d", ["too_many_columns"]),
        ]:
            reply = await ingest.report(report(seq, batch({name: [1.0] for name in names})))
            assert [one.reason for one in reply.rejections] == reasons

    ingesting(story)
    assert {name for _, name in database.read(Catalogue).result().models["fraud"].columns} == set("abc")
