"""Reports that come again, out of order or not at all, over the wire into the file: each is stored once, each gap counted."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tenure
from tenure.columns import packed
from tenure_agent.asking import ask
from tenure_proto.v1 import monitoring_pb2 as pb
from tenure_proto.v1 import monitoring_pb2_grpc as wire

EXAMPLES = int(os.environ.get("TENURE_FAULTS", "25"))
DEADLINE = 60.0
# Producer, number: some numbers never come, some twice, and a later one may come first.
SENT = st.lists(st.tuples(st.sampled_from("pq"), st.integers(1, 12)), min_size=1, max_size=25)


@pytest.fixture(scope="module")
def port(started: Any) -> Iterator[tuple[Any, wire.MonitoringStub]]:
    agent = started()
    with grpc.insecure_channel(agent.address) as channel:
        yield agent, wire.MonitoringStub(channel)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(sent=SENT, killed=st.integers(0, 200))
def test_stored_once_whatever_comes_in_whatever_order(
    port: tuple[Any, wire.MonitoringStub], sent: list[tuple[str, int]], killed: int
) -> None:
    agent, stub = port
    run = uuid4().hex
    newest, stored, missed, again, late = {"p": 0, "q": 0}, set[str](), 0, 0, 0
    before = counts(agent)
    for at, (producer, seq) in enumerate(sent):
        if at == killed:
            agent.kill()
            agent.start()
            missed = again = late = 0
            before = counts(agent)
        made = pb.Batch(model="order", version="1", rows=1, times=packed("q", [1]))
        made.ids.texts.append(f"{run}-{producer}-{seq}")
        request = pb.ReportRequest(producer_id=f"{run}-{producer}", seq=seq, batches=[made])
        assert stub.Report(request, timeout=DEADLINE, wait_for_ready=True).acked_seq == seq
        if made.ids.texts[0] in stored:
            again += 1
        elif seq > newest[producer]:
            missed += seq - newest[producer] - 1
            newest[producer] = seq
        else:
            late += 1
        stored.add(made.ids.texts[0])
    query = f"SELECT id FROM predictions_order WHERE starts_with(id, '{run}') ORDER BY id"
    assert [id_ for (id_,) in ask(agent.address, "sql", {"query": query})["rows"]] == sorted(stored)
    assert counts(agent) == (before[0] + missed, before[1] + again, before[2] + late)


def test_several_reports_of_one_process_are_on_their_way_and_none_overtakes_another(started: Any) -> None:
    agent = started()
    settings = tenure.Settings(agent=agent.address, batch_bytes=64 << 10, queue_rows=1 << 20, deadline=DEADLINE)
    with tenure.Monitor("order", settings=settings) as monitor:
        watched = monitor.watch(lambda features: [0.5] * len(features))
        sizes = (10, 3_000, 500, 1)
        for number in range(60):
            watched([{f"x{i}": float(number) for i in range(20)}] * sizes[number % 4])
        assert monitor.flush(DEADLINE)
        stats, reports = monitor.stats(), monitor._batcher._backlog.acked_seq
    assert ask(agent.address, "status")["stored"] == stats.emitted == stats.acked == 15 * sum(sizes)
    assert counts(agent) == (0, 0, 0)
    assert agent.metric("tenure_commit_seconds_count") < reports, "several share a commit"


def counts(agent: Any) -> tuple[float, ...]:
    """Reports passed over, reports that came again, and reports that came after all."""
    shown = agent.metrics()
    return tuple(shown[f"tenure_{kind}_reports_total"] for kind in ("missed", "duplicate", "late"))
