"""The fakes that ship: they do what their documentation shows."""

import doctest

import pytest

from tenure import TransportError, testing
from tenure.testing import ManualClock, MemoryTransport, column_values
from tenure_proto.v1 import monitoring_pb2 as pb


def test_examples() -> None:
    result = doctest.testmod(testing)

    assert result.attempted > 0
    assert result.failed == 0


def test_a_clock_moves_by_hand() -> None:
    clock = ManualClock(5)
    assert (clock(), clock()) == (5, 5)

    clock.advance(1.5)
    assert clock() == 1_500_005


def report(seq: int, producer: str = "p") -> bytes:
    return pb.ReportRequest(producer_id=producer, seq=seq).SerializeToString()


def test_each_report_is_kept_once() -> None:
    transport = MemoryTransport()
    acks = [transport.report(report(seq), 1).acked_seq for seq in (1, 1, 2, 1)]
    transport.report(report(1, "q"), 1)

    assert acks == [1, 1, 2, 1]
    assert [(kept.producer_id, kept.seq) for kept in transport.reports] == [("p", 1), ("p", 2), ("q", 1)]


def test_an_agent_may_be_away() -> None:
    transport = MemoryTransport()
    transport.available = False
    with pytest.raises(TransportError, match="the agent is away"):
        transport.report(report(1), timeout=0.5)
    assert transport.reports == []

    transport.available = True
    assert transport.report(report(1), timeout=0.5).acked_seq == 1


def test_what_it_took_stays_readable() -> None:
    transport = MemoryTransport()
    transport.report(report(1), 1)
    transport.close()
    transport.close()

    assert len(transport.reports) == 1
    assert transport.predictions("m") == transport.outcomes("m") == []


@pytest.mark.parametrize(
    ("column", "values"),
    [
        (pb.Column(), [None, None]),
        (pb.Column(numbers=b"\0" * 16, validity=b"\2"), [None, 0.0]),
        (pb.Column(kind=pb.TEXT, texts=["a"], codes=b"\0" * 8), ["a", "a"]),
        (pb.Column(kind=pb.TEXT, texts=["a"], codes=b"\0" * 8, validity=b"\1"), ["a", None]),
    ],
)
def test_column_values(column: pb.Column, values: list[object]) -> None:
    assert column_values(column, 2) == values
