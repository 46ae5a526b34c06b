"""The shipped fake and the real transport with a real agent: the same tests, so that what holds of one holds of both."""

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

import grpc
import numpy as np
import pytest

from tenure import Monitor, Settings, Stats, TransportError
from tenure.backlog import Parcel
from tenure.capture import Capture, Row, Stream, Truth
from tenure.report import encode
from tenure.testing import MemoryTransport
from tenure.transport import GrpcTransport, Sent, Transport
from tenure_agent.builder import Rows, build_reference
from tenure_proto.v1 import monitoring_pb2 as pb
from tenure_proto.v1 import monitoring_pb2_grpc as wire

DEADLINE = 60.0


@dataclass
class Place:
    """A transport, and what its other end holds."""

    transport: Transport
    stored: Callable[[str], tuple[int, int]]  # model → predictions, outcomes
    leave: Callable[[], None]
    come_back: Callable[[], None]


@pytest.fixture(params=["memory", "agent"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    if request.param == "memory":
        memory = MemoryTransport()
        yield Place(
            memory,
            lambda model: (len(memory.predictions(model)), len(memory.outcomes(model))),
            lambda: setattr(memory, "available", False),
            lambda: setattr(memory, "available", True),
        )
        return
    address, process = request.getfixturevalue("agent")

    def stored(model: str) -> tuple[int, int]:
        with grpc.insecure_channel(address) as channel:
            reply = wire.OperatorStub(channel).Ask(pb.AskRequest(verb="status"), timeout=DEADLINE)
        held = json.loads(reply.answer)["models"].get(model, {"predictions": [], "outcomes": 0})
        return sum(rows["rows"] for rows in held["predictions"]), held["outcomes"]

    def stop() -> None:
        os.kill(process, signal.SIGSTOP)
        os.waitid(os.P_PID, process, os.WSTOPPED)  # only now it is sure not to answer

    transport = GrpcTransport(address)
    try:
        yield Place(transport, stored, stop, lambda: os.kill(process, signal.SIGCONT))
    finally:
        os.kill(process, signal.SIGCONT)
        transport.close()


@pytest.fixture
def model() -> str:
    """A name of the test's own: the agent serves all of them."""
    return f"model {uuid4()}"


@pytest.fixture
def producer() -> str:
    return f"producer {uuid4()}"


def report(producer: str, seq: int, captures: list[Capture]) -> bytes:
    (parcel,) = encode(captures, producer, 1 << 20)
    assert isinstance(parcel, Parcel)
    return pb.ReportRequest(producer_id=producer, seq=seq).SerializeToString() + parcel.body


def rows(model: str, count: int) -> list[Capture]:
    return [Row(Stream(model, "1"), {"x": i, "country": "NL"}, 0.5, 1_718_625_600_000_000, i) for i in range(count)]


def truths(model: str, count: int) -> list[Capture]:
    return [Truth(model, str(i), 1, None, 1_718_625_600_000_000) for i in range(count)]


def test_a_report_is_acked_and_stored(place: Place, model: str, producer: str) -> None:
    reply = place.transport.report(report(producer, 1, rows(model, 3) + truths(model, 2)), DEADLINE)

    assert (reply.acked_seq, list(reply.rejections)) == (1, [])
    assert place.stored(model) == (3, 2)


def test_a_resend_is_acked_again_and_stored_once(place: Place, model: str, producer: str) -> None:
    first, second = (report(producer, seq, rows(model, 3)) for seq in (1, 2))

    acks = [place.transport.report(payload, DEADLINE).acked_seq for payload in (first, first, second, second, first)]

    assert acks == [1, 1, 2, 2, 1]
    assert place.stored(model) == (6, 0)


def test_a_number_is_its_producers_own(place: Place, model: str, producer: str) -> None:
    for name in (producer, f"{producer} forked"):
        assert place.transport.report(report(name, 1, rows(model, 3)), DEADLINE).acked_seq == 1

    assert place.stored(model) == (6, 0)


def test_a_gap_in_the_numbers_is_no_refusal(place: Place, model: str, producer: str) -> None:
    acks = [place.transport.report(report(producer, seq, rows(model, 1)), DEADLINE).acked_seq for seq in (5, 9)]

    assert acks == [5, 9]
    assert place.stored(model) == (2, 0)


def test_news_without_rows_are_acked(place: Place, model: str, producer: str) -> None:
    news = pb.ReportRequest(producer_id=producer, seq=1, losses=[pb.Loss(model=model, reason="queue_full", rows=7)])

    assert place.transport.report(news.SerializeToString(), DEADLINE).acked_seq == 1
    assert place.stored(model) == (0, 0)


@pytest.fixture
def shipped(tmp_path: Path, model: str) -> Path:
    """A reference of the test's model."""
    path = tmp_path / "a.reference"
    build_reference(model, "1", Rows({("feature", "x"): np.arange(200.0)})).save(path)
    return path


def test_a_reference_is_asked_for_sent_in_parts_and_known_then(place: Place, model: str, shipped: Path) -> None:
    content = shipped.read_bytes()

    def offer(start: int = 0, end: int = 0, version: str = "1") -> pb.ReferenceReply:
        made = pb.ReferenceOffer(model=model, version=version, sha256=sha256(content).digest(), size=len(content))
        made.offset, made.content = start, content[start:end]
        return place.transport.offer(made.SerializeToString(), DEADLINE)

    assert [offer(*span).wanted for span in ((), (0, 100), (0, 100), (300, 400), ())] == [0, 100, 100, 100, 100]
    reply = offer(100, len(content))
    while not reply.taken:
        assert (reply.refused, reply.wanted) == ("", len(content))
        reply = offer()
    assert (offer().taken, offer(0, 100).taken) == (True, True)
    assert not offer(version="2").taken


def test_a_monitor_with_a_reference_has_it_taken(place: Place, model: str, shipped: Path) -> None:
    settings = Settings(flush_interval=0.001, deadline=DEADLINE)
    with Monitor(model, settings=settings, transport=KeptOpen(place.transport), reference=shipped) as monitor:
        monitor.record({"x": 1.0}, 0.5)
        assert monitor.flush(DEADLINE)
    content = shipped.read_bytes()
    asked = pb.ReferenceOffer(model=model, version="1", sha256=sha256(content).digest(), size=len(content))
    assert place.transport.offer(asked.SerializeToString(), DEADLINE).taken
    assert place.stored(model) == (1, 0)


def test_away_is_an_error_and_a_resend_is_stored_once(place: Place, model: str, producer: str) -> None:
    payload = report(producer, 1, rows(model, 3))
    place.leave()
    with pytest.raises(TransportError):
        place.transport.report(payload, timeout=0.2)
    place.come_back()

    assert place.transport.report(payload, DEADLINE).acked_seq == 1
    assert place.stored(model) == (3, 0)


def test_several_on_their_way_are_stored_and_acked_in_their_order(place: Place, model: str, producer: str) -> None:
    threads = threading.enumerate()
    on_their_way = [place.transport.send(report(producer, 1, rows(model, 2)), DEADLINE)]
    for seq in range(2, 9):
        assert on_their_way[-1].queued()
        on_their_way.append(place.transport.send(report(producer, seq, rows(model, 2)), DEADLINE))
    assert threading.enumerate() == threads, "none of gRPC's in the host"
    assert [sent.reply().acked_seq for sent in on_their_way] == list(range(1, 9))
    assert place.stored(model) == (16, 0)


def test_what_is_sent_to_one_that_is_away_is_not_queued(place: Place, model: str, producer: str) -> None:
    place.leave()
    sent = place.transport.send(report(producer, 1, rows(model, 1)), 0.2)
    assert not sent.queued()
    with pytest.raises(TransportError):
        sent.reply()
    place.come_back()
    sent = place.transport.send(report(producer, 1, rows(model, 1)), DEADLINE)
    assert (sent.queued(), sent.reply().acked_seq) == (True, 1)
    assert place.stored(model) == (1, 0)


class KeptOpen:
    """A batcher closes what failed; the one transport of a test is closed by its fixture."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def report(self, payload: bytes, timeout: float) -> pb.ReportReply:
        return self._transport.report(payload, timeout)

    def send(self, payload: bytes, timeout: float) -> Sent:
        return self._transport.send(payload, timeout)

    def offer(self, payload: bytes, timeout: float) -> pb.ReferenceReply:
        return self._transport.offer(payload, timeout)

    def close(self) -> None:
        """Stay open."""


def test_a_monitor_loses_nothing_while_the_other_end_is_away(place: Place, model: str) -> None:
    settings = Settings(flush_interval=0.001, deadline=0.2)
    with Monitor(model, settings=settings, transport=KeptOpen(place.transport)) as monitor:
        watched = monitor.watch(id="order")(lambda features: 0.5)
        watched({"order": "A", "amount": 12.5})
        assert monitor.flush(DEADLINE)

        place.leave()
        watched({"order": "B", "amount": None})
        monitor.outcome("A", label=1)
        assert not monitor.flush(timeout=0.01)
        assert monitor.stats() == Stats(emitted=3, acked=1, queued=2, dropped={})

        place.come_back()
        assert monitor.flush(DEADLINE)
        assert monitor.stats() == Stats(emitted=3, acked=3, queued=0, dropped={})
    assert place.stored(model) == (2, 1)
