"""Clients that send too much, too little or too slowly: they are refused and counted, and a real producer gets through."""

from __future__ import annotations

import itertools
import socket
from contextlib import ExitStack, suppress
from typing import Any

import grpc
import pytest

from tenure.columns import packed
from tenure.transport import REPORT
from tenure_proto.v1 import monitoring_pb2 as pb
from tenure_proto.v1 import monitoring_pb2_grpc as wire

DEADLINE = 60.0
STREAMS = 16  # at a time: the agent refuses more of one connection than 32
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5)


def batch(names: list[str]) -> pb.Batch:
    columns = [pb.Column(name=name, kind=pb.NUMBER, numbers=packed("d", [1.0])) for name in names]
    made = pb.Batch(model="flooded", version="1", rows=1, features=columns, times=packed("q", [1]))
    made.ids.texts.append("a")
    return made


def resident(agent: Any) -> int:
    with open(f"/proc/{agent.pid}/statm") as file:  # noqa: PTH123
        return int(file.read().split()[1]) * 4096


def test_a_hundred_thousand_features_at_once_and_spread_over_reports(started: Any, traffic: Any) -> None:
    agent = started()
    flow = traffic(agent)
    producers = itertools.count()
    with grpc.insecure_channel(agent.address) as channel:
        stub = wire.MonitoringStub(channel)

        def send(*reports: list[str]) -> list[list[str]]:
            told = []
            for at in range(0, len(reports), STREAMS):
                calls = []
                for names in reports[at : at + STREAMS]:
                    request = pb.ReportRequest(producer_id=str(next(producers)), seq=1, batches=[batch(names)])
                    calls.append(stub.Report.future(request, timeout=DEADLINE, wait_for_ready=True))
                told += [[one.reason for one in call.result().rejections] for call in calls]
            return told

        assert send(["x"]) == [[]]
        assert send([f"f{i}" for i in range(100_000)]) == [["too_many_columns"]]
        before = resident(agent)
        told = send(*([f"g{i}" for i in range(start, start + 100)] for start in range(0, 100_000, 100)))
        assert told.count([]) == 19
        assert told.count(["too_many_columns"]) == 981
        assert resident(agent) - before < 200 << 20
        assert send(["x"]) == [[]]
    shown = agent.metrics()
    assert shown['tenure_dropped_total{model="flooded",reason="too_many_columns"}'] == 982
    assert len(shown) < 1000
    flow.until_acked()
    flow.stored_once()


def test_a_message_of_five_mebibytes_and_garbage_are_refused(started: Any, traffic: Any) -> None:
    agent = started()
    flow = traffic(agent)
    with grpc.insecure_channel(agent.address) as channel:
        call: Any = channel.unary_unary(REPORT)
        for payload, code in [
            (bytes(5 << 20), grpc.StatusCode.RESOURCE_EXHAUSTED),
            (b"\xff" * 1000, grpc.StatusCode.UNKNOWN),
        ]:
            with pytest.raises(grpc.RpcError) as refused:
                call(payload, timeout=DEADLINE, wait_for_ready=True)
            assert refused.value.code() is code
        ragged = batch(["x"])
        ragged.features[0].numbers = packed("d", [1.0, 2.0])
        request = pb.ReportRequest(producer_id="ragged", seq=1, batches=[ragged])
        reply = wire.MonitoringStub(channel).Report(request, timeout=DEADLINE)
        assert [(one.reason, one.rows) for one in reply.rejections] == [("malformed", 1)]
    flow.until_acked()
    flow.stored_once()


def test_idle_and_trickling_connections_fill_the_port_and_a_producer_stays_connected(
    started: Any, traffic: Any
) -> None:
    agent = started()
    flow = traffic(agent)
    flow.until_acked()
    with ExitStack() as stack:
        opened = []
        for number in range(600):
            made = stack.enter_context(socket.socket(socket.AF_UNIX))
            made.connect(agent.address.removeprefix("unix:"))
            opened.append(made)
            if number % 2:
                made.sendall(PREFACE)
        for at in range(20):
            for made in opened[::7]:
                with suppress(OSError):  # cut off, as those beyond the limit are
                    made.sendall(PREFACE[at : at + 1])
            flow.until_acked()
    flow.stored_once()
