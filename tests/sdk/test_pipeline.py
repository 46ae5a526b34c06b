"""Several reports on their way: what leaves when, and what becomes of all of them when one is lost."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest

from tenure import Settings
from tenure.backlog import Parcel, Stats
from tenure.batcher import Batcher
from tenure.capture import Row, Stream, Truth
from tenure.errors import TransportError
from tenure.pipeline import Pipeline
from tenure.producer import Producer
from tenure.testing import MemoryTransport
from tenure_proto.v1 import monitoring_pb2 as pb

DEADLINE = 60.0
MOST = Producer.most_sent

Make = Callable[..., Batcher]


class OnItsWay:
    def __init__(self, agent: Agent, request: pb.ReportRequest, fate: str) -> None:
        self.agent, self.request, self.fate = agent, request, fate

    def queued(self) -> bool:
        return self.fate not in {"lost", "refused"}

    def reply(self) -> pb.ReportReply:
        if self.fate == "hangs":
            assert self.agent.closed.wait(DEADLINE)
        if self.fate != "taken":
            raise TransportError(self.fate)
        reply = pb.ReportReply(acked_seq=self.request.seq)
        for batch in self.request.batches:
            if batch.model == "refused":
                reply.rejections.add(model=batch.model, reason="malformed", rows=batch.rows)
        return reply


class Agent(MemoryTransport):
    """Takes reports as they are sent and answers when it is asked to. Of each attempt, by its number, the fate."""

    def __init__(self, fates: dict[int, str] | None = None) -> None:
        super().__init__()
        self.fates = fates or {}
        self.attempts: list[pb.ReportRequest] = []
        self.alone: list[int] = []
        self.timeouts: list[float] = []
        self.closed, self.hanging = threading.Event(), threading.Event()

    def send(self, payload: bytes, timeout: float) -> Any:
        request, fate = pb.ReportRequest.FromString(payload), self.fates.get(len(self.attempts), "taken")
        self.attempts.append(request)
        self.timeouts.append(timeout)
        if fate == "crashes":
            raise RuntimeError("not foreseen")
        if fate not in {"lost", "refused"}:
            super().report(payload, timeout)
        if fate == "hangs":
            self.hanging.set()
        return OnItsWay(self, request, fate)

    def report(self, payload: bytes, timeout: float) -> pb.ReportReply:
        sent: OnItsWay = self.send(payload, timeout)
        self.alone.append(sent.request.seq)
        return sent.reply()

    def close(self) -> None:
        self.closed.set()

    def seqs(self) -> list[int]:
        return [attempt.seq for attempt in self.attempts]


def producer_with(*sizes: int) -> Producer:
    producer = Producer("p", nullcontext(), Settings(batch_bytes=1600))  # merges up to 100 bytes
    for number, size in enumerate(sizes):
        body = pb.ReportRequest(batches=[pb.Batch(model="m", version="v" * size, rows=number)]).SerializeToString()
        producer.backlog.add(Parcel(body, {"m": 1}))
    return producer


def pipeline_to(agent: Agent) -> Pipeline:
    return Pipeline(lambda: agent, nullcontext(), 2.0)


def test_so_many_are_on_their_way_at_a_time_in_order() -> None:
    agent, producer = Agent(), producer_with(*[200] * (MOST + 3))
    pipeline = pipeline_to(agent)

    for acked in range(4):
        pipeline.fill(producer)
        assert agent.seqs() == list(range(1, MOST + 1 + acked))
        assert agent.attempts[-1].acked_seq == acked
        flight, reply = pipeline.reply()
        assert flight.seq == reply.acked_seq == acked + 1
        producer.backlog.acknowledge({})
    assert agent.timeouts[:MOST] == [2.0 * (ahead + 1) for ahead in range(MOST)]
    assert not agent.alone


@pytest.mark.parametrize("sizes", [[10], [10, 90], [200, 10], [200, 200, 10]])
def test_one_that_may_still_grow_waits_for_the_acks_of_those_before_it(sizes: list[int]) -> None:
    agent, producer = Agent(), producer_with(*sizes)
    pipeline = pipeline_to(agent)
    waiting = len(producer.backlog)

    while producer.backlog:
        pipeline.fill(producer)
        assert len(agent.attempts) == max(1, waiting - 1) or len(producer.backlog) == 1
        pipeline.reply()
        producer.backlog.acknowledge({})
    assert agent.alone == [waiting]


@pytest.mark.parametrize("fate", ["lost", "refused"])
def test_nothing_follows_what_the_agent_has_not_queued(fate: str) -> None:
    agent, producer = Agent({1: fate}), producer_with(*[200] * 5)
    pipeline = pipeline_to(agent)

    pipeline.fill(producer)
    assert agent.seqs() == [1, 2]
    assert pipeline.reply()[0].seq == 1
    producer.backlog.acknowledge({})
    with pytest.raises(TransportError, match=fate):
        pipeline.reply()


def test_after_a_reset_all_that_is_not_acked_goes_again_in_order() -> None:
    agent, producer = Agent(), producer_with(*[200] * 5)
    pipeline = pipeline_to(agent)
    pipeline.fill(producer)
    pipeline.reply()
    producer.backlog.acknowledge({})

    pipeline.reset()
    pipeline.fill(producer)

    assert agent.closed.is_set()
    assert agent.seqs() == [1, 2, 3, 4, 2, 3, 4, 5]
    for first, again in zip(agent.attempts[1:4], agent.attempts[4:7], strict=True):
        assert first.batches == again.batches
    assert [report.seq for report in agent.reports] == [1, 2, 3, 4, 5]


def test_an_ack_of_another_report_is_none() -> None:
    agent, producer = Agent(), producer_with(200, 200)
    pipeline = pipeline_to(agent)
    pipeline.fill(producer)
    agent.attempts[0].seq = 0

    with pytest.raises(TransportError, match="report 0 was acked for it"):
        pipeline.reply()


def test_what_was_given_up_meanwhile_is_not_mixed_with_what_comes() -> None:
    agent, producer = Agent(), producer_with(*[200] * 3)
    pipeline = pipeline_to(agent)
    pipeline.fill(producer)
    producer.backlog.abandon("shutdown")
    for parcel in producer_with(*[200] * 6).backlog:
        producer.backlog.add(parcel)

    pipeline.fill(producer)
    assert agent.seqs() == [1, 2, 3]
    assert not producer.backlog.on_its_way(pipeline.reply()[0].seq)
    pipeline.reset()
    pipeline.fill(producer)
    assert agent.seqs() == [1, 2, 3, 4, 5, 6, 7]


def test_nothing_on_its_way_has_no_reply() -> None:
    with pytest.raises(TransportError, match="closed meanwhile"):
        pipeline_to(Agent()).reply()


def truth(number: int, model: str = "m") -> Truth:
    """Too large to share a report with another."""
    return Truth(model, f"{number}-".ljust(300, "x"), 1, None, 7)


def numbers(agent: Agent) -> list[int]:
    return [int(found["id"].partition("-")[0]) for found in agent.outcomes("m")]


FATES = ["lost", "refused", "its ack is lost", "crashes"]


@pytest.mark.parametrize("fate", FATES)
@pytest.mark.parametrize("place", range(7))
@pytest.mark.parametrize("times", [1, 2])
def test_whichever_fails_each_is_taken_once_and_in_order(make: Make, fate: str, place: int, times: int) -> None:
    agent = Agent(dict.fromkeys(range(place, place + times), fate))
    batcher = make(agent, batch_bytes=400, flush_interval=0.05)
    for number in range(7):
        batcher.put(truth(number))

    assert batcher.flush(DEADLINE)
    assert numbers(agent) == list(range(7))
    assert [report.seq for report in agent.reports] == list(range(1, 8))
    assert batcher.stats("m") == Stats(7, 7, 0, {})
    sent: dict[int, pb.ReportRequest] = {}
    for attempt in agent.attempts:
        assert sent.setdefault(attempt.seq, attempt).outcomes == attempt.outcomes
        assert attempt.acked_seq < attempt.seq <= attempt.acked_seq + MOST


@pytest.mark.parametrize("lost", [{}, {2: "its ack is lost"}, {1: "lost", 5: "its ack is lost"}])
def test_rejections_count_for_their_own_report(make: Make, lost: dict[int, str]) -> None:
    agent = Agent(lost)
    batcher = make(agent, batch_bytes=400, flush_interval=0.05)
    for number in range(8):
        model = "refused" if number % 3 == 1 else "m"
        batcher.put(Row(Stream(model, "1"), {"x": "y" * 250}, 0.5, 1000, number))

    assert batcher.flush(DEADLINE)
    assert batcher.stats("m") == Stats(5, 5, 0, {})
    assert batcher.stats("refused") == Stats(3, 0, 0, {"rejected": 3})


def test_closed_with_several_on_their_way_each_is_lost_once(make: Make) -> None:
    agent = Agent({0: "hangs", 1: "hangs", 2: "hangs"})
    batcher = make(agent, batch_bytes=400, flush_interval=0.05, exit_timeout=DEADLINE)
    for number in range(6):
        batcher.put(truth(number))
    assert agent.hanging.wait(DEADLINE)

    assert not batcher.close(timeout=0)
    assert batcher.stats("m") == Stats(6, 0, 0, {"shutdown": 6})
    agent.fates.clear()
    batcher.put(truth(6))
    assert batcher.flush(DEADLINE)
    assert batcher.stats("m") == Stats(7, 1, 0, {"shutdown": 6})
    assert numbers(agent)[-1] == 6


def test_a_fork_ends_what_is_on_its_way_and_the_parent_sends_it_again(make: Make) -> None:
    agent = Agent({0: "hangs", 1: "hangs"})
    batcher = make(agent, batch_bytes=400, flush_interval=0.05, exit_timeout=DEADLINE)
    for number in range(6):
        batcher.put(truth(number))
    assert agent.hanging.wait(DEADLINE)

    batcher.before_fork()
    assert agent.closed.is_set()
    batcher.after_fork_in_parent()

    assert batcher.flush(DEADLINE)
    assert numbers(agent) == list(range(6))
    assert batcher.stats("m") == Stats(6, 6, 0, {})


def test_with_a_spool_they_go_one_by_one(make: Make, tmp_path: Any) -> None:
    agent = Agent({1: "its ack is lost"})
    batcher = make(agent, batch_bytes=400, flush_interval=0.05, spool=str(tmp_path))
    for number in range(6):
        batcher.put(truth(number))

    assert batcher.flush(DEADLINE)
    assert numbers(agent) == list(range(6))
    assert {attempt.seq - attempt.acked_seq for attempt in agent.attempts} == {1}


def test_few_rows_go_as_ever_one_report_alone(make: Make) -> None:
    agent = Agent()
    batcher = make(agent)
    for number in range(20):
        batcher.put(Row(Stream("m", "1"), {"x": 1.0}, 0.5, 1000, number))
        assert batcher.flush(DEADLINE)

    assert agent.alone == agent.seqs() == list(range(1, 21))
