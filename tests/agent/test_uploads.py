"""References that monitors upload to a real agent: what is taken, what wins, what is refused, and what it survives."""

from __future__ import annotations

import asyncio
import gzip
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from tests.agent.live import columns
from tests.agent.shipped import built, hashed

import tenure
from tenure_agent.daemon import Agent
from tenure_agent.records import Level, Verdict
from tenure_agent.store import StoreLost
from tenure_agent.store.database import Cursor

Running = Callable[..., AbstractContextManager[Agent]]
START = 1_718_625_600  # seconds since 1970
DEADLINE = 60.0
OURS = {"models": {"fraud": {"drift": {"window": "10m", "min_rows": 30}}}}
LIVE = {"models": {"fraud": {"drift": {"window": "10m", "min_rows": 30}, "reference": {"first_rows": 100}}}}


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


def test_many_parts_go_between_reports(running: Running, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenure.offers.PART_BYTES", 100)
    monkeypatch.setattr("tenure.offers.LEAST_PART", 100)
    with running() as agent, monitoring(file) as monitor:
        record(monitor, 20)
        settled(monitor)
        assert stored(agent) == [("a file", hashed(file))]
