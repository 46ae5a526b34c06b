"""References that monitors upload to a real agent: what is taken, what wins, what is refused, and what it survives."""

from __future__ import annotations

import asyncio
import gzip
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from tests.agent.live import columns

import tenure
from tenure.offers import MOST_BYTES
from tenure.testing import ManualClock
from tenure_agent import uploads as uploads_module
from tenure_agent.builder import Rows, build_reference
from tenure_agent.config import parse_config
from tenure_agent.daemon import Agent
from tenure_agent.ingest import Busy, Ingest
from tenure_agent.metrics import Metrics
from tenure_agent.records import Level, Verdict
from tenure_agent.reference import Reference
from tenure_agent.review import Reviewer
from tenure_agent.store import Database, StoreLost, references
from tenure_agent.store.catalogue import Catalogue
from tenure_agent.store.database import Cursor
from tenure_agent.uploads import Uploads
from tenure_proto.v1 import monitoring_pb2 as pb

Running = Callable[..., AbstractContextManager[Agent]]
START = 1_718_625_600  # seconds since 1970
DEADLINE = 60.0
OURS = {"models": {"fraud": {"drift": {"window": "10m", "min_rows": 30}}}}
LIVE = {"models": {"fraud": {"drift": {"window": "10m", "min_rows": 30}, "reference": {"first_rows": 100}}}}


def built(rows: int = 2000, model: str = "fraud", told: str = "a file") -> Reference:
    values = {("feature", name): array for name, array in columns(rows).items()}
    return build_reference(model, "3", Rows(values), told=told)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "fraud.reference"
    built().save(path)
    return path


@contextmanager
def monitoring(reference: Path | None, version: str = "3.2.1") -> Iterator[tenure.Monitor]:
    address = f"unix:{Path.cwd()}/tenure.sock"  # a sender of the test's own
    settings = tenure.Settings(address, deadline=DEADLINE, flush_interval=0.001)
    monitor = tenure.Monitor("fraud", version, settings=settings, reference=reference)
    try:
        yield monitor
    finally:
        assert monitor.close(timeout=DEADLINE)


def record(monitor: tenure.Monitor, rows: int = 1, start: int = START) -> None:
    draw = columns(rows, 7)
    for i in range(rows):
        features = {name: None if values[i] != values[i] else values[i] for name, values in draw.items()}
        monitor.record(features, 0.5, time=start + 5 * i)
    assert monitor.flush(DEADLINE)


def settled(monitor: tenure.Monitor) -> None:
    """Until all that is offered was taken or refused; nobody calls back."""
    offers = monitor._batcher._offers
    assert offers is not None
    until = time.monotonic() + DEADLINE
    while offers.left() is not None and time.monotonic() < until:
        time.sleep(0.005)
    assert offers.left() is None


def stored(agent: Agent) -> list[tuple[str, str]]:
    """Of every reference its source and the hash of the file it came in, if a monitor sent it."""

    def read(cursor: Cursor) -> list[tuple[str, str]]:
        found = cursor.execute("SELECT document, uploaded FROM refs ORDER BY model, version").fetchall()
        return [(json.loads(document)["source"], uploaded) for document, uploaded in found]

    return agent._database.read(read).result(DEADLINE)


def count(agent: Agent, result: str, model: str = "fraud") -> float:
    labels = {"model": model, "result": result}
    return agent.metrics.registry.get_sample_value("tenure_reference_uploads_total", labels) or 0.0


def checked(agent: Agent, seconds: int = 2040) -> Verdict:
    """What the drift check says so long after the start."""
    loop = agent._watch.get_loop()
    asked = agent._reviewer.review("fraud", (START + seconds) * 10**6)
    found = asyncio.run_coroutine_threadsafe(asked, loop).result(DEADLINE)
    assert found is not None
    return found.drift


def hashed(file: Path) -> str:
    return sha256(file.read_bytes()).hexdigest()


def test_what_ships_with_the_model_is_used_at_once(running: Running, file: Path) -> None:
    with running(OURS) as agent:
        with monitoring(None) as monitor:
            record(monitor)
            assert "no reference yet" in checked(agent).reason
        with monitoring(file) as monitor:
            record(monitor, 400)
            settled(monitor)
        assert stored(agent) == [("a file", hashed(file))]
        drift = checked(agent)
        assert (drift.level, drift.rows) == (Level.OK, 120)
        assert count(agent, "taken") == 1


def test_it_is_taken_once_and_outlives_a_restart(running: Running, file: Path) -> None:
    with monitoring(file) as first, monitoring(file, "4") as second:
        for _ in range(2):
            with running(OURS) as agent:
                for monitor in (first, second):
                    record(monitor)
                    settled(monitor)
                assert stored(agent) == [("a file", hashed(file))] * 2
        assert count(agent, "taken") == 0, "by the second agent, which had it in its store"


def test_an_agent_that_comes_later_or_has_lost_its_store_is_offered_it(running: Running, file: Path) -> None:
    with monitoring(file) as monitor:
        monitor.record({"x0": 1.0}, 0.5)
        assert not monitor.flush(timeout=0.3)
        for _ in range(2):
            with running() as agent:
                record(monitor)
                settled(monitor)
                assert stored(agent) == [("a file", hashed(file))]
            for left in file.parent.glob("tenure.duckdb*"):
                left.rmdir() if left.is_dir() else left.unlink()
    assert monitor.stats().acked == monitor.stats().emitted == 3


def test_a_store_replaced_in_service_keeps_it_or_gets_it_again(running: Running, file: Path) -> None:
    def lose(_: Cursor) -> None:
        raise StoreLost("on purpose")

    with running() as agent, monitoring(file) as monitor:
        record(monitor)
        settled(monitor)
        with pytest.raises(StoreLost):
            agent._database.write(lose).result(DEADLINE)
        agent._database._lost = StoreLost("on purpose")
        agent._database.on_lost()
        record(monitor, start=START + 100)
        settled(monitor)
        assert stored(agent) == [("a file", hashed(file))]


def test_what_live_rows_made_is_replaced_and_judged_anew(running: Running, file: Path) -> None:
    with running(LIVE) as agent:
        with monitoring(None) as monitor:
            record(monitor, 400)
            before = checked(agent)
            assert stored(agent) == [("the first 100 live rows", "")]
            assert before.level is not Level.INSUFFICIENT_DATA
        with monitoring(file) as monitor:
            record(monitor, start=START + 2000)
            settled(monitor)
            assert stored(agent) == [("a file", hashed(file))]
            after = checked(agent)
            assert (after.level, after.rows) == (Level.OK, before.rows)
            built(1500, told="another file").save(file)
            monitor._batcher.before_fork()  # the file was written anew: a new connection looks at it
            monitor._batcher.after_fork_in_parent()
            record(monitor, start=START + 2005)
            settled(monitor)
            assert stored(agent) == [("another file", hashed(file))]
            assert checked(agent).level is Level.OK
    with running(LIVE) as agent:
        assert checked(agent).level is not Level.ERROR
        assert stored(agent) == [("another file", hashed(file))]


def test_a_configured_file_wins(running: Running, file: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "tenure")
    configured = file.with_name("fraud-3.2.1.configured")
    built(told="the configured one").save(configured)
    named = {"file": str(file.with_name("fraud-{version}.configured"))}
    with running({"models": {"fraud": {"reference": named}}}) as agent:
        with monitoring(file) as monitor, monitoring(file, "other") as other:
            for one in (monitor, other):
                record(one)
            settled(monitor)
        checked(agent)
        assert stored(agent) == [("a file", hashed(file))], "of the version that has none configured"
        assert (count(agent, "configured"), count(agent, "taken")) == (1, 1)
    said = [one.getMessage() for one in caplog.records if one.name == "tenure"]
    why = "the agent's configuration names a file for it, models.*.reference.file"
    assert said == [f"tenure: the reference of fraud 3.2.1 was not sent: {why}"]


REFUSED: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "garbage": (lambda path: path.write_bytes(b"garbage"), "malformed", "it is no reference"),
    "bomb": (lambda path: path.write_bytes(gzip.compress(bytes(80 << 20), 1)), "too_large", "over 24 MiB"),
    "other model": (lambda path: built(model="churn").save(path), "other_model", "another model"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused_is_told_counted_and_not_sent_again(
    running: Running, file: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    spoil, reason, why = REFUSED[kind]
    spoil(file)
    with running(OURS) as agent:
        with monitoring(file) as monitor:
            record(monitor)
            settled(monitor)
            assert monitor.stats().acked == 1
        assert stored(agent) == []
        assert "no reference yet" in checked(agent).reason
        assert count(agent, reason) == 1
    [said] = [one.getMessage() for one in caplog.records if one.name == "tenure" and one.levelname == "WARNING"]
    assert why in said
    assert said.endswith("Predictions go on without it.")


FORKED = """
import os, signal, sys
from tenure import Monitor, Settings
monitor = Monitor("fraud", "1", agent=sys.argv[1], settings=Settings(deadline=60.0), reference=sys.argv[2])
monitor.record({"x0": 1.0}, 0.5)
assert monitor.flush(60)
for _ in range(3):
    child = os.fork()
    if not child:
        signal.alarm(60)
        monitor.record({"x0": 1.0}, 0.5)
        flushed = monitor.flush(60)
        os._exit(0 if flushed and monitor._batcher._offers.left() is None else 1)
    assert os.waitpid(child, 0)[1] == 0
    monitor.record({"x0": 1.0}, 0.5)
    assert monitor.flush(60)
monitor.close(60)
"""


def test_forked_children_ask_again_and_send_nothing(running: Running, file: Path) -> None:
    with running() as agent:
        command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKED, agent.addresses["grpc"], str(file)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert stored(agent) == [("a file", hashed(file))]
        assert count(agent, "taken") == 1


Offer = Callable[..., Awaitable[pb.ReferenceReply]]
Story = Callable[[Uploads, Offer], Awaitable[None]]


@pytest.fixture
def play(database: Database, catalogue: Catalogue, metrics: Metrics, file: Path) -> Callable[[Story], None]:
    """Tell a story of offers of one file, as several processes make them."""
    content = file.read_bytes()
    digest = sha256(content).digest()

    async def run(story: Story) -> None:
        async def committed(_: int, __: int) -> None:
            raise AssertionError("no report comes")

        config = parse_config({}, "a test")
        clock = ManualClock(10**15)
        ingest = Ingest(database, catalogue, metrics, clock, committed)
        reviewer = Reviewer(database, catalogue, config, metrics, clock)
        uploads = Uploads(database, catalogue, ingest, reviewer, config, metrics, clock)

        async def offer(start: int = 0, end: int = 0, **changes: Any) -> pb.ReferenceReply:
            made = pb.ReferenceOffer(model="fraud", version="1", sha256=digest, size=len(content), offset=start)
            made.content = content[start:end]
            for name, value in changes.items():
                setattr(made, name, value)
            return await uploads.offer(made)

        async with asyncio.timeout(DEADLINE):
            await story(uploads, offer)
            await uploads.stop()

    return lambda story: asyncio.run(run(story))


async def until_taken(offer: Offer) -> None:
    while not (reply := await offer()).taken:
        assert not reply.refused, reply.why


def test_processes_that_send_the_same_file_share_the_work(
    play: Callable[[Story], None], file: Path, value: Callable[..., float]
) -> None:
    size = file.stat().st_size

    async def story(_: Uploads, offer: Offer) -> None:
        assert (await offer()).wanted == 0
        assert (await offer(0, 100)).wanted == 100
        assert (await offer(0, 50)).wanted == 100, "another was faster"
        assert (await offer(200, 300)).wanted == 100, "what comes before is missing"
        assert (await offer()).wanted == 100
        await asyncio.gather(*(offer(100, size) for _ in range(5)))
        await until_taken(offer)

    play(story)
    assert value("reference_uploads_total", model="fraud", result="taken") == 1


def test_two_files_of_one_size_are_two(play: Callable[[Story], None]) -> None:
    async def story(_: Uploads, offer: Offer) -> None:
        assert (await offer(0, 100)).wanted == 100
        assert (await offer(sha256=bytes(32))).wanted == 0
        assert (await offer(version="2")).wanted == 0

    play(story)


def test_bytes_that_are_not_those_offered_may_be_sent_anew(play: Callable[[Story], None], file: Path) -> None:
    size = file.stat().st_size

    async def story(_: Uploads, offer: Offer) -> None:
        assert (await offer(0, 0, content=bytes(size))).refused == "damaged"
        await offer(0, size)
        await until_taken(offer)

    play(story)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"size": MOST_BYTES + 1}, "too_large"),
        ({"size": 1 << 63}, "too_large"),
        ({"size": 0}, "malformed"),
        ({"sha256": b"short"}, "malformed"),
        ({"model": ""}, "bad_model_name"),
        ({"model": "x" * 257}, "bad_model_name"),
        ({"version": ""}, "bad_version_name"),
        ({"version": "x" * 100_000}, "bad_version_name"),
    ],
)
def test_what_can_be_no_offer_is_refused_unread(
    play: Callable[[Story], None], changes: dict[str, Any], reason: str, catalogue: Catalogue
) -> None:
    async def story(uploads: Uploads, offer: Offer) -> None:
        assert (await offer(0, 100, **changes)).refused == reason
        assert not uploads._parts

    play(story)
    assert not catalogue.models


def test_limits_on_names_are_those_of_reports(
    play: Callable[[Story], None], file: Path, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = file.stat().st_size
    monkeypatch.setattr("tenure_agent.store.catalogue.MAX_VERSIONS", 1)

    async def story(_: Uploads, offer: Offer) -> None:
        await offer(0, size)
        await until_taken(offer)
        refused = await offer(0, size, version="2")
        while not refused.refused:
            refused = await offer(0, size, version="2")
        assert refused.refused == "too_many_versions"
        assert list(catalogue.models["fraud"].versions) == ["1"]

    play(story)


def test_room_for_what_is_on_its_way_is_bounded(
    play: Callable[[Story], None], file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = file.stat().st_size
    monkeypatch.setattr(uploads_module, "ROOM", size)

    async def story(uploads: Uploads, offer: Offer) -> None:
        assert (await offer(0, size - 1)).wanted == size - 1
        with pytest.raises(Busy):
            await offer(0, 100, version="2")
        monkeypatch.setattr(uploads_module, "IDLE", -1.0)
        assert (await offer(0, 100, version="2")).wanted == 100
        assert (await offer()).wanted == 0, "it was left alone, and made room"
        assert sum(len(part.content) for part in uploads._parts.values()) == 100

    play(story)


def test_what_could_not_be_stored_is_told_as_such_and_offered_again(
    play: Callable[[Story], None], file: Path, database: Database, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = file.stat().st_size

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("on purpose")

    async def story(uploads: Uploads, offer: Offer) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(references, "save", fail)
            await asyncio.gather(offer(0, size), return_exceptions=True)
            while uploads._taking:  # noqa: ASYNC110  # it may still be looked at
                await asyncio.sleep(0.01)
        assert not catalogue.models, "what was named in that transaction is not known"
        assert (await offer()).wanted == 0
        await offer(0, size)
        await until_taken(offer)

    play(story)
    assert database.read(lambda cursor: references.uploaded(cursor, 1, 1)).result() == hashed(file)


def test_losses_learnt_meanwhile_keep_it_uploaded(database: Database, file: Path) -> None:
    def work(cursor: Cursor) -> tuple[Reference | None, str]:
        references.save(cursor, 1, 1, Reference.load(file), 5, uploaded="5a")
        references.amend(cursor, 1, 1, replace(Reference.load(file), source="learnt").dumps())
        return references.newest(cursor, 1, 1), references.uploaded(cursor, 1, 1)

    found, uploaded = database.write(work).result()
    assert found is not None
    assert (found.source, uploaded) == ("learnt", "5a")


def test_many_parts_go_between_reports(running: Running, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenure.offers.PART_BYTES", 100)
    monkeypatch.setattr("tenure.offers.LEAST_PART", 100)
    with running() as agent, monitoring(file) as monitor:
        record(monitor, 20)
        settled(monitor)
        assert stored(agent) == [("a file", hashed(file))]
