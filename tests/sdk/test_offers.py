"""References that ship with models: asked for by hash, sent where they are missing, and never in the way of reports."""

import os
import random
import threading
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from tests.sdk.offered import CONTENT, DEADLINE, Agent, row

from tenure import Monitor, Settings, TransportError
from tenure.batcher import Batcher
from tenure.offers import PART_BYTES, Offers
from tenure.testing import MemoryTransport
from tenure_proto.v1 import monitoring_pb2 as pb

Make = Callable[..., Batcher]
pytestmark = pytest.mark.usefixtures("short_pauses")


@pytest.mark.parametrize("kind", [str, Path])
def test_the_file_is_there_before_the_first_report(file: Path, kind: Callable[[Path], Any]) -> None:
    agent = Agent()
    with Monitor("m", "2", transport=agent, settings=Settings(deadline=DEADLINE), reference=kind(file)) as monitor:
        assert agent.calls == []
        monitor.record({"x": 1.0}, 0.5)
        assert monitor.flush(DEADLINE)
    assert agent.references == {("m", "2"): CONTENT}
    assert agent.calls == ["known?", f"{len(CONTENT)} from 0", "report"]


def test_the_host_reads_nothing(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine, looked = threading.get_ident(), []
    original = os.stat

    def stat(path: Any, *args: Any, **options: Any) -> os.stat_result:
        if str(path) == str(file):
            looked.append(threading.get_ident())
        return original(path, *args, **options)

    monkeypatch.setattr(os, "stat", stat)
    with Monitor("m", transport=MemoryTransport(), reference=file) as monitor:
        monitor.record({"x": 1.0}, 0.5)
        assert monitor.flush(DEADLINE)
    assert looked
    assert mine not in looked


def test_a_large_file_goes_in_parts(make: Make, tmp_path: Path) -> None:
    large = random.Random(0).randbytes(2 * PART_BYTES + 7)
    (tmp_path / "large").write_bytes(large)
    agent = Agent()
    batcher = make(agent, deadline=DEADLINE)
    batcher.offer("m", "1", str(tmp_path / "large"))
    batcher.put(row())
    assert batcher.flush(DEADLINE)
    assert agent.references["m", "1"] == large
    sizes = [f"{PART_BYTES} from 0", f"{PART_BYTES} from {PART_BYTES}", f"7 from {2 * PART_BYTES}"]
    assert agent.calls == ["known?", *sizes, "report"]


def test_what_is_known_is_not_sent(make: Make, file: Path) -> None:
    agent = Agent()
    agent.references["m", "1"] = CONTENT
    batcher = make(agent, deadline=DEADLINE)
    batcher.offer("m", "1", str(file))
    for i in range(3):
        batcher.put(row(i))
        assert batcher.flush(DEADLINE)
    assert agent.calls == ["known?", "report", "report", "report"]


@pytest.mark.parametrize("act", ["be away", "look", "forget"])
def test_it_is_tried_again_until_it_is_taken_without_a_row_to_send(make: Make, file: Path, act: str) -> None:
    agent = Agent(act, act, act)
    batcher = make(agent)
    batcher.offer("m", "1", str(file))
    batcher.put(row())
    assert batcher.flush(DEADLINE)
    assert agent.hears(lambda: agent.references)
    assert agent.closed == 0  # reports go over it


def test_a_report_waits_for_no_more_than_one_deadline(make: Make, file: Path) -> None:
    class Hanging(Agent):
        waited: list[float]

        def offer(self, payload: bytes, timeout: float) -> pb.ReferenceReply:
            self.waited = [*getattr(self, "waited", []), timeout]
            self.calls.append("offer")
            raise TransportError("it did not answer in time")

    agent = Hanging()
    batcher = make(agent, deadline=0.5)
    batcher.offer("m", "1", str(file))
    for i in range(5):
        batcher.put(row(i))
        assert batcher.flush(DEADLINE)
    assert max(agent.waited) <= 0.5
    assert agent.calls.count("report") == 5


def test_each_connection_is_offered_it_anew(make: Make, file: Path) -> None:
    agent = Agent()
    batcher = make(agent, deadline=DEADLINE)
    batcher.offer("m", "1", str(file))
    batcher.put(row(0))
    assert batcher.flush(DEADLINE)
    agent.available = False
    batcher.put(row(1))
    assert agent.hears(lambda: agent.closed)
    agent.references.clear()  # another agent, with nothing in its store
    agent.available = True
    assert agent.hears(lambda: agent.references)
    assert batcher.flush(DEADLINE)
    assert agent.calls.count("report") == 2


def test_an_agent_that_took_the_place_of_another_unnoticed_is_offered_it(make: Make, file: Path) -> None:
    agent = Agent()
    batcher = make(agent, deadline=DEADLINE)
    batcher.offer("m", "1", str(file))
    for i, agent.session in enumerate(["", "a", "a", "b", "b"]):
        batcher.put(row(i))
        assert batcher.flush(DEADLINE)
    assert agent.hears(lambda: agent.calls.count("known?") == 2)
    assert agent.calls[:5] == ["known?", f"{len(CONTENT)} from 0", "report", "report", "report"]
    assert agent.closed == 0


def test_a_file_that_was_written_anew_is_what_the_next_agent_gets(make: Make, file: Path) -> None:
    agent = Agent()
    batcher = make(agent, deadline=DEADLINE)
    batcher.offer("m", "1", str(file))
    batcher.put(row(0))
    assert batcher.flush(DEADLINE)
    file.write_bytes(b"another")
    batcher.before_fork()
    batcher.after_fork_in_parent()
    batcher.put(row(1))
    assert batcher.flush(DEADLINE)
    assert agent.references == {("m", "1"): b"another"}


def test_a_monitor_that_does_nothing_offers_nothing(file: Path) -> None:
    monitor = Monitor("m", settings=Settings(disabled=True), reference=file)
    assert monitor._batcher._offers is None


def test_the_newest_file_of_a_version_counts(make: Make, file: Path) -> None:
    other = file.with_name("other")
    other.write_bytes(b"newer")
    agent = Agent()
    batcher = make(agent, deadline=DEADLINE)
    for path in (file, file, other):
        batcher.offer("m", "1", str(path))
    batcher.offer("m", "2", str(file))
    batcher.put(row())
    assert batcher.flush(DEADLINE)
    assert agent.references == {("m", "1"): b"newer", ("m", "2"): CONTENT}


def test_the_fake_takes_parts_in_their_order_and_looks_at_the_hash() -> None:
    fake, digest = MemoryTransport(), sha256(CONTENT).digest()

    def offer(offset: int, content: bytes, sha: bytes = digest) -> pb.ReferenceReply:
        made = pb.ReferenceOffer(model="m", version="1", sha256=sha, size=len(CONTENT), offset=offset, content=content)
        return fake.offer(made.SerializeToString(), 1)

    assert offer(0, b"").wanted == 0
    assert offer(0, CONTENT[:5]).wanted == 5
    assert offer(7, CONTENT[7:]).wanted == 5
    assert offer(5, CONTENT[5:]).taken
    assert offer(0, b"").taken
    assert offer(0, CONTENT, bytes(32)).refused == "damaged"
    fake.available = False
    with pytest.raises(TransportError, match="away"):
        offer(0, b"")


def test_where_a_part_does_not_come_through_the_next_is_smaller(make: Make, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(PART_BYTES))
    agent = Agent("take", *["be away"] * 6)
    batcher = make(agent)
    batcher.offer("m", "1", str(tmp_path / "large"))
    batcher.put(row())
    assert agent.hears(lambda: agent.references)
    sent = [call.partition(" ")[0] for call in agent.calls if call.endswith("from 0")]
    assert sent == [str(PART_BYTES >> failures) for failures in (0, 1, 2, 3, 4, 4, 4)]


def test_a_file_that_shrinks_on_its_way_is_looked_at_anew_and_not_asked_about_for_ever(tmp_path: Path) -> None:
    file = tmp_path / "large.reference"
    file.write_bytes(os.urandom(3 << 20))
    asked: list[int] = []

    class Shrinking(MemoryTransport):
        def offer(self, payload: bytes, timeout: float) -> pb.ReferenceReply:
            asked.append(len(payload))
            reply = super().offer(payload, timeout)
            if reply.wanted == 2 << 20:
                os.truncate(file, 1000)
            return reply

    offers, transport = Offers(), Shrinking()
    offers.add("fraud", "1", str(file))
    while offers.left() == 0:
        offers.step(transport, 1.0)
        assert len(asked) < 10
