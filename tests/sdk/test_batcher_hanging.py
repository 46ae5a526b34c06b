"""The queue and its sender while the agent takes a report and does not answer."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from tenure.backlog import Stats
from tenure.batcher import Batcher
from tenure.capture import Row, Stream, Table
from tenure.errors import TransportError
from tenure.testing import MemoryTransport
from tenure_proto.v1 import monitoring_pb2 as pb

DEADLINE = 60.0

Make = Callable[..., Batcher]


class HangingAgent(MemoryTransport):
    """Does not answer until `answer` is set; closing the transport ends a call only where `closable` says so."""

    def __init__(self, *, closable: bool = False) -> None:
        super().__init__()
        self.closable = closable
        self.answer, self.closed = threading.Event(), threading.Event()
        self.called = threading.Semaphore(0)
        self.callers = self.most_callers = 0

    def report(self, payload: bytes, timeout: float) -> pb.ReportReply:
        self.callers += 1
        self.most_callers = max(self.most_callers, self.callers)
        self.called.release()
        try:
            if not self.answer.wait(DEADLINE) or self.closed.is_set():
                raise TransportError("closed")
            return super().report(payload, timeout)
        finally:
            self.callers -= 1

    def close(self) -> None:
        if self.closable:
            self.closed.set()
            self.answer.set()

    def counters(self) -> list[int]:
        return [int(found["id"].rpartition("-")[2]) for found in self.predictions("m")]


def row(counter: int, x: Any = 1.0) -> Row:
    return Row(Stream("m", "1"), {"x": x}, 0.5, 1000, counter)


def table(rows: int, counter: int) -> Table:
    return Table(Stream("m", "1"), {"x": [1.0] * rows}, None, 1000, counter, rows)


def held(make: Make, *, closable: bool = False, **settings: Any) -> tuple[Batcher, HangingAgent]:
    """A batcher whose sender is in a call with row 0, so that what is put next stays in the queue."""
    agent = HangingAgent(closable=closable)
    batcher = make(agent, **settings)
    batcher.put(row(0))
    assert agent.called.acquire(timeout=DEADLINE)
    return batcher, agent


def test_a_full_queue_drops_the_oldest_and_counts(make: Make) -> None:
    batcher, agent = held(make, queue_rows=4)
    for i in range(1, 7):
        batcher.put(row(i))

    assert batcher.stats("m") == Stats(emitted=7, acked=0, queued=5, dropped={"queue_full": 2})
    agent.answer.set()
    assert batcher.flush(DEADLINE)
    assert batcher.stats("m") == Stats(7, 5, 0, {"queue_full": 2})
    assert agent.counters() == [0, 3, 4, 5, 6]
    assert [(loss.reason, loss.rows) for loss in agent.reports[-1].losses] == [("queue_full", 2)]


def test_a_table_takes_the_room_of_its_rows(make: Make) -> None:
    batcher, agent = held(make, queue_rows=4)
    for i in range(1, 4):
        batcher.put(row(i))
    batcher.put(table(3, counter=100))
    assert batcher.stats("m") == Stats(emitted=7, acked=0, queued=5, dropped={"queue_full": 2})

    batcher.put(row(4))
    assert batcher.stats("m") == Stats(8, 0, 5, {"queue_full": 3})
    batcher.put(row(5))
    assert batcher.stats("m") == Stats(9, 0, 3, {"queue_full": 6})

    agent.answer.set()
    assert batcher.flush(DEADLINE)
    assert agent.counters() == [0, 4, 5]
    batcher.put(table(4, counter=200))
    assert batcher.flush(DEADLINE)
    assert batcher.stats("m") == Stats(13, 7, 0, {"queue_full": 6})


def test_flush_says_when_its_time_was_not_enough(make: Make) -> None:
    batcher, agent = held(make)

    assert not batcher.flush(timeout=0.01)
    assert batcher.stats("m") == Stats(1, 0, 1, {})
    agent.answer.set()
    assert batcher.flush(DEADLINE)


def test_flush_waits_for_rows_that_are_being_moved(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a sender that has emptied the queue and has not filled the backlog yet
    agent = MemoryTransport()
    batcher = make(agent)
    moving, go_on = threading.Event(), threading.Event()
    add = batcher._backlog.add

    def slow_add(parcel: Any) -> None:
        moving.set()
        assert go_on.wait(DEADLINE)
        add(parcel)

    monkeypatch.setattr(batcher._backlog, "add", slow_add)
    batcher.put(row(0))
    assert moving.wait(DEADLINE)

    # When it is flushed
    acked: list[int] = []
    flushing = threading.Thread(target=lambda: acked.append(batcher.flush(DEADLINE) and len(agent.reports)))
    flushing.start()
    flushing.join(0.1)
    go_on.set()
    flushing.join(DEADLINE)

    # Then it returns after the row is acked
    assert acked == [1]


def test_close_ends_a_call_that_hangs(make: Make) -> None:
    batcher, agent = held(make, closable=True, exit_timeout=DEADLINE)
    batcher.put(row(1))

    assert not batcher.close(timeout=0.01)
    assert agent.closed.is_set()
    assert agent.callers == 0
    assert batcher.stats("m") == Stats(2, 0, 0, {"shutdown": 2})


def test_an_ack_that_comes_after_close_changes_no_account(make: Make) -> None:
    batcher, agent = held(make)
    assert not batcher.close(timeout=0.01)
    assert batcher.stats("m") == Stats(1, 0, 0, {"shutdown": 1})

    agent.answer.set()
    batcher.put(row(1))
    assert batcher.flush(DEADLINE)
    assert batcher.stats("m") == Stats(2, 1, 0, {"shutdown": 1})
    assert agent.most_callers == 1


def test_rows_encoded_after_close_change_no_account(make: Make) -> None:
    encoding, go_on = threading.Event(), threading.Event()

    class Slow:
        def __float__(self) -> float:
            encoding.set()
            assert go_on.wait(DEADLINE)
            return 1.0

    agent = HangingAgent()
    agent.answer.set()
    batcher = make(agent)
    batcher.put(row(0, Slow()))
    assert encoding.wait(DEADLINE)
    assert not batcher.close(timeout=0.01)
    assert batcher.stats("m") == Stats(1, 0, 0, {"shutdown": 1})

    go_on.set()
    batcher.put(row(1))
    assert batcher.flush(DEADLINE)
    assert batcher.stats("m") == Stats(2, 1, 0, {"shutdown": 1})
    assert agent.counters() == [1]


def test_a_fork_ends_a_call_that_hangs_and_the_parent_resends(make: Make) -> None:
    batcher, agent = held(make, closable=True, exit_timeout=DEADLINE)

    batcher.before_fork()
    assert agent.callers == 0
    batcher.put(row(1))
    assert not agent.called.acquire(blocking=False)  # nothing is sent while the process forks
    agent.closed.clear()
    batcher.after_fork_in_parent()

    assert batcher.flush(DEADLINE)
    assert agent.counters() == [0, 1]
    assert [report.seq for report in agent.reports] == [1, 2]
    assert batcher.stats("m") == Stats(2, 2, 0, {})


def test_a_sender_that_outlives_a_fork_stays_the_only_one(make: Make) -> None:
    batcher, agent = held(make)

    for i in range(1, 4):
        batcher.before_fork()
        batcher.after_fork_in_parent()
        batcher.put(row(i))
    agent.answer.set()

    assert batcher.flush(DEADLINE)
    assert batcher.stats("m") == Stats(4, 4, 0, {})
    assert agent.counters() == [0, 1, 2, 3]
    assert agent.most_callers == 1
