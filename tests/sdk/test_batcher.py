"""The queue and its sender: what is sent, what is sent again, and what is told of losses."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from tenure.backlog import Stats
from tenure.backoff import Backoff
from tenure.batcher import Batcher
from tenure.capture import Row, Stream, Table, Truth
from tenure.errors import TransportError
from tenure.intake import TABLE_COUNTERS
from tenure.screen import Screen
from tenure.testing import MemoryTransport
from tenure_proto.v1 import monitoring_pb2 as pb

DEADLINE = 60.0

Make = Callable[..., Batcher]


class Agent(MemoryTransport):
    """An agent with a script: one act per call, then all goes well. Rows of the model "refused" it rejects."""

    def __init__(self, *script: str) -> None:
        super().__init__()
        self.script = list(script)
        self.attempts: list[pb.ReportRequest] = []
        self.heard = threading.Condition()

    def report(self, payload: bytes, timeout: float) -> pb.ReportReply:
        request = pb.ReportRequest.FromString(payload)
        with self.heard:
            self.attempts.append(request)
            act = self.script.pop(0) if self.script else "take"
            self.heard.notify_all()
        if act == "crash":
            raise RuntimeError("not foreseen")
        if act == "be away":
            raise TransportError("nobody there")
        reply = super().report(payload, timeout)
        with self.heard:
            self.heard.notify_all()
        if act == "lose the ack":
            raise TransportError("the reply was lost")
        if act == "ack less":
            reply.acked_seq -= 1
        for batch in request.batches:
            if batch.model == "refused":
                reply.rejections.add(model=batch.model, reason="malformed", rows=batch.rows)
        return reply

    def hears(self, what: Callable[[], object]) -> bool:
        with self.heard:
            return bool(self.heard.wait_for(what, DEADLINE))

    def rows(self) -> int:
        return sum(batch.rows for report in self.reports for batch in report.batches)

    def losses(self) -> dict[str, int]:
        """What the newest report told of losses."""
        return {loss.reason: loss.rows for loss in self.reports[-1].losses} if self.reports else {}

    def counters(self) -> list[int]:
        return [int(found["id"].rpartition("-")[2]) for found in self.predictions("m")]


def row(counter: int, x: Any = 1.0, model: str = "m") -> Row:
    return Row(Stream(model, "1"), {"x": x}, 0.5, 1000, counter)


def table(rows: int, counter: int = TABLE_COUNTERS) -> Table:
    return Table(Stream("m", "1"), {"x": [1.0] * rows}, None, 1000, counter, rows)


def test_what_is_put_is_sent_and_acked(make: Make) -> None:
    agent = Agent()
    batcher = make(agent)
    for i in range(5):
        batcher.put(row(i))
    batcher.put(Truth("m", "A", 1, None, 7))
    batcher.put(table(3, counter=100))

    assert batcher.flush(DEADLINE)
    assert batcher.stats("m") == Stats(emitted=9, acked=9, queued=0, dropped={})
    assert sorted(agent.counters()) == [0, 1, 2, 3, 4, 100, 101, 102]
    assert len(agent.outcomes("m")) == 1
    assert [report.seq for report in agent.reports] == list(range(1, len(agent.reports) + 1))
    assert {report.producer_id for report in agent.reports} == {batcher.prefix}


def test_models_are_counted_apart(make: Make) -> None:
    batcher = make(Agent())
    for model in ("m", "n", "n"):
        batcher.put(row(0, model=model))
    batcher.drop("capture_error", "n", 2)

    assert batcher.flush(DEADLINE)
    assert batcher.stats("m") == Stats(1, 1, 0, {})
    assert batcher.stats("n") == Stats(4, 2, 0, {"capture_error": 2})
    assert batcher.stats("unknown") == Stats(0, 0, 0, {})


def test_nothing_to_flush_starts_nothing(make: Make) -> None:
    agent = Agent()
    batcher = make(agent)

    assert batcher.flush(0)
    assert batcher.close(0)
    assert agent.attempts == []


def test_tables_reserve_their_ids(make: Make) -> None:
    batcher = make(Agent())

    assert [batcher.reserve(rows) for rows in (3, 1, 5)] == [TABLE_COUNTERS, TABLE_COUNTERS + 3, TABLE_COUNTERS + 4]


def test_an_ack_ends_the_pauses_growth_even_where_more_waits(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = Agent(*["be away"] * 4, "take", "be away", "be away")
    failures: list[int] = []

    def seconds(_: Backoff, in_a_row: int) -> float:
        failures.append(in_a_row)
        return 0.0

    monkeypatch.setattr(Backoff, "seconds", seconds)
    batcher = make(agent, batch_bytes=400)
    batcher.put(Truth("m", "A" * 300, 1, None, 7))  # a report for each
    batcher.put(Truth("m", "B" * 300, 1, None, 7))
    assert batcher.flush(DEADLINE)
    assert failures == [1, 2, 3, 4, 1, 2]


@pytest.mark.parametrize("act", ["be away", "lose the ack", "ack less", "crash"])
def test_a_resend_keeps_its_number_and_its_rows(make: Make, act: str) -> None:
    agent = Agent(act, act)
    batcher = make(agent)
    batcher.put(row(0))
    assert batcher.flush(DEADLINE)
    batcher.put(row(1))
    assert batcher.flush(DEADLINE)

    assert [attempt.seq for attempt in agent.attempts] == [1, 1, 1, 2]
    assert len({attempt.SerializeToString() for attempt in agent.attempts[:3]}) == 1
    assert [attempt.acked_seq for attempt in agent.attempts] == [0, 0, 0, 1]
    assert agent.counters() == [0, 1]
    assert batcher.stats("m") == Stats(2, 2, 0, {})


def test_rejected_rows_are_not_acked(make: Make) -> None:
    agent = Agent()
    batcher = make(agent)
    batcher.put(row(0))
    batcher.put(row(0, model="refused"))
    batcher.put(row(1, model="refused"))
    assert batcher.flush(DEADLINE)

    assert batcher.stats("m") == Stats(1, 1, 0, {})
    assert batcher.stats("refused") == Stats(2, 0, 0, {"rejected": 2})


def test_while_the_agent_is_away_the_backlog_is_bounded_in_bytes(make: Make) -> None:
    agent = Agent()
    agent.available = False
    batcher = make(agent, batch_bytes=400, queue_bytes=1500)
    for i in range(100):
        batcher.put(row(i))
    assert agent.hears(lambda: "queue_full" in batcher.stats("m").dropped and not batcher.queue)
    assert batcher.stats("m").emitted == 100

    agent.available = True
    assert batcher.flush(DEADLINE)
    stats = batcher.stats("m")
    assert (stats.emitted, stats.queued) == (100, 0)
    assert len(agent.counters()) == stats.acked == 100 - stats.dropped["queue_full"]
    assert agent.counters() == sorted(agent.counters())
    assert agent.counters()[-1] == 99  # the newest is kept


def test_losses_are_told_even_where_no_row_follows(make: Make) -> None:
    agent = Agent("be away")
    batcher = make(agent)
    batcher.drop("capture_error", "m", 2)
    assert agent.hears(lambda: agent.losses() == {"capture_error": 2})

    batcher.drop("capture_error", "m")
    assert agent.hears(lambda: agent.losses() == {"capture_error": 3})  # totals, not increments
    assert agent.rows() == 0
    assert batcher.stats("m") == Stats(3, 0, 0, {"capture_error": 3})


def test_what_was_sampled_out_is_told_and_is_no_complaint(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    agent = Agent()
    batcher = make(agent)
    nobody = Stream("m", "1", screen=Screen(sample=0.0))
    for i in range(3):
        batcher.put(Row(nobody, {"x": 1.0}, 0.5, 1000, i))

    assert agent.hears(lambda: agent.losses() == {"sampled_out": 3})
    assert batcher.flush(DEADLINE)
    assert batcher.stats("m") == Stats(3, 0, 0, {"sampled_out": 3})
    assert not caplog.text


def test_a_table_larger_than_the_queue_is_dropped_and_told(make: Make) -> None:
    agent = Agent()
    batcher = make(agent, queue_rows=4)
    batcher.put(table(5))

    assert batcher.stats("m") == Stats(5, 0, 0, {"queue_full": 5})
    assert agent.hears(lambda: agent.losses() == {"queue_full": 5})


MISFIT = Table(Stream("m", "1"), None, 0.5, 1000, 0, 1)  # it has no columns to read


def test_what_cannot_be_encoded_is_counted_logged_and_told(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    agent = Agent()
    batcher = make(agent, batch_bytes=1000)
    for capture in (row(0, 1.0), MISFIT, row(0, "y" * 2000)):
        batcher.put(capture)

    assert batcher.flush(DEADLINE)
    assert batcher.stats("m") == Stats(3, 1, 0, {"encode_error": 1, "too_large": 1})
    assert agent.hears(lambda: agent.losses() == {"encode_error": 1, "too_large": 1})
    assert "has no attribute 'shape'" in caplog.text


def test_in_tests_an_encode_error_is_raised_by_flush_once(make: Make) -> None:
    batcher = make(Agent(), strict=True, batch_bytes=1000)
    for capture in (MISFIT, row(0, "y" * 2000)):
        batcher.put(capture)

    with pytest.raises(AttributeError, match="has no attribute 'shape'"):
        batcher.flush(DEADLINE)
    assert batcher.flush(DEADLINE)


def test_the_sender_outlives_what_it_did_not_foresee(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    batcher = make(Agent("crash"))
    batcher.put(row(0))

    assert batcher.flush(DEADLINE)
    assert batcher.stats("m") == Stats(1, 1, 0, {})
    assert "the sender failed" in caplog.text


def test_close_stops_the_sender_and_the_next_row_starts_it(make: Make) -> None:
    agent = Agent()
    batcher = make(agent, exit_timeout=DEADLINE)
    batcher.put(row(0))
    assert batcher.close(DEADLINE)
    assert batcher.stats("m") == Stats(1, 1, 0, {})

    batcher.put(row(1))
    assert batcher.close(DEADLINE)
    assert batcher.close(DEADLINE)
    assert batcher.stats("m") == Stats(2, 2, 0, {})
    assert [report.seq for report in agent.reports] == [1, 2]


def test_close_without_an_agent_counts_what_is_lost(make: Make) -> None:
    agent = Agent()
    agent.available = False
    batcher = make(agent, exit_timeout=DEADLINE)
    for i in range(3):
        batcher.put(row(i))

    assert not batcher.close(timeout=0.01)
    assert batcher.stats("m") == Stats(3, 0, 0, {"shutdown": 3})

    agent.available = True
    batcher.put(row(3))
    assert batcher.flush(DEADLINE)
    assert batcher.stats("m") == Stats(4, 1, 0, {"shutdown": 3})
    assert agent.losses() == {"shutdown": 3}
