"""Relays and their hub die in turn, stop, and run out of disk: what producers sent is at the hub, once, in the end."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import duckdb
import pytest

from tenure_agent.asking import ask

DEADLINE = 120.0
FAULTS = int(os.environ.get("TENURE_FAULTS", "0"))
KILLS, STOPPED = (max(8, FAULTS // 10), 5.0) if FAULTS else (2, 2.0)
RELAYS = 3

# A serving process: sends until a line comes in, then tells how it ended. Each label goes to the next relay.
PRODUCER = """
import sys, threading, time
import tenure

name, relay, other = sys.argv[1:]
settings = tenure.Settings(flush_interval=0.01, queue_rows=1_000_000)
monitor = tenure.Monitor("relayed", settings=settings, agent=relay)
labels = tenure.Monitor("relayed", settings=settings, agent=other)
enough = threading.Event()
threading.Thread(target=lambda: (sys.stdin.readline(), enough.set()), daemon=True).start()
number = 0
while not enough.is_set():
    for _ in range(10):
        monitor.record({"x": float(number)}, number % 2, id=f"{name}-{number}")
        labels.outcome(f"{name}-{number}", label=number % 2)
        number += 1
    stats = monitor.stats()
    assert stats.emitted == stats.acked + stats.queued + sum(stats.dropped.values()), stats
    enough.wait(0.02)
for sender in (monitor, labels):
    assert sender.flush(60), sender.stats()
    assert (sender.stats().emitted, sender.stats().acked, sender.stats().dropped) == (number, number, {}), sender.stats()
    sender.close()
print(number)
"""


@pytest.fixture
def hub_and_relays(started: Callable[..., Any]) -> tuple[Any, list[Any]]:
    hub = started()
    return hub, [started({"upstream": hub.address}) for _ in range(RELAYS)]


@pytest.fixture
def producers(hub_and_relays: tuple[Any, list[Any]]) -> Iterator[list[subprocess.Popen[str]]]:
    relays = hub_and_relays[1]
    command = [sys.executable, "-c", PRODUCER]
    running = [
        subprocess.Popen(
            [*command, f"p{i}", relay.address, relays[(i + 1) % RELAYS].address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for i, relay in enumerate(relays)
    ]
    yield running
    for process in running:
        process.kill()
        process.communicate()


def test_stopped_and_killed_in_turn_all_is_at_the_hub_once(
    hub_and_relays: tuple[Any, list[Any]], producers: list[subprocess.Popen[str]]
) -> None:
    hub, relays = hub_and_relays
    _until_more_is_stored(hub)
    _stop_and_go_on(hub, relays)
    rng = random.Random(os.getpid())
    for kill in range(KILLS):
        _until_more_is_stored(hub)
        time.sleep(rng.expovariate(20))  # anywhere: between commits, in one, with acks on their way
        victim = [hub, *relays][kill % (1 + RELAYS)]
        victim.kill()
        victim.start()
    total = _finish(producers)
    _until_quiet(relays)
    assert ask(hub.address, "status")["stored"] == 2 * total
    _check(hub, relays, total)


def _stop_and_go_on(hub: Any, relays: Sequence[Any]) -> None:
    """While the hub hangs, its relays take what comes."""
    hub.signal(signal.SIGSTOP)
    before = [ask(relay.address, "status")["stored"] for relay in relays]
    time.sleep(STOPPED)
    for relay, stored in zip(relays, before, strict=True):
        now = ask(relay.address, "status")
        assert now["stored"] > stored, "it acks without its hub"
        assert now["upstream"]["reports"] > 0
    hub.signal(signal.SIGCONT)


# Runs in user and mount namespaces of its own, so that it may mount a small tmpfs.
FULL = """
import json, os, signal, subprocess, sys, tempfile, time
from pathlib import Path
import duckdb
import tenure
from tenure_agent.asking import NoAnswer, ask

folder, small = Path(tempfile.mkdtemp()), Path(tempfile.mkdtemp())
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=72m", "none", small], check=True)
(small / "ballast").write_bytes(bytes(44 << 20))
hub, relay = f"unix:{folder}/hub.sock", f"unix:{folder}/relay.sock"


def start(name, listen, store, **more):
    config = folder / f"{name}.yaml"
    config.write_text(json.dumps({"listen": listen, "http": "127.0.0.1:0", "store": store, **more}))
    command = [sys.executable, "-m", "tenure_agent", "run", "--config", str(config), "--log-level", "error"]
    agent = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while True:
        try:
            ask(listen, "progress", timeout=1)
            return agent
        except NoAnswer:
            assert agent.poll() is None and time.monotonic() < until


agents = [start("hub", hub, {"path": f"{small}/t.duckdb", "floor": "24MiB"})]
try:
    agents.append(start("relay", relay, {"path": f"{folder}/t.duckdb", "floor": "1KiB"}, upstream=hub))
    monitor = tenure.Monitor("full", settings=tenure.Settings(agent=relay, flush_interval=0.01))
    sent, until = 0, time.monotonic() + 120
    while ask(hub, "status")["store"]["state"] != "full":
        assert time.monotonic() < until, "the hub's disk never filled up"
        for _ in range(1000):
            monitor.record({"text": os.urandom(600).hex()}, 0.5, id=f"row-{sent}")
            sent += 1
        assert monitor.flush(60), "the relay has room"
    for _ in range(500):
        monitor.record({"text": "more"}, 0.5, id=f"row-{sent}")
        sent += 1
    assert monitor.flush(60), "the relay has room"
    assert ask(relay, "status")["upstream"]["reports"] > 0
    assert monitor.stats().acked == sent and not monitor.stats().dropped, monitor.stats()
    os.remove(small / "ballast")
    until = time.monotonic() + 60
    while ask(relay, "status")["upstream"]["reports"]:
        assert time.monotonic() < until, "room did not heal it"
        time.sleep(0.05)
    monitor.close()
    for agent in reversed(agents):
        agent.send_signal(signal.SIGTERM)
        assert agent.wait(60) == 0
    with duckdb.connect(f"{small}/t.duckdb", read_only=True) as connection:
        found = connection.execute("SELECT count(*), count(DISTINCT id) FROM rows_1").fetchone()
    assert found == (sent, sent), (found, sent)
    print(f"sent {sent}")
finally:
    for agent in agents:
        agent.kill()
        agent.wait(60)
"""


def test_a_hub_without_room_leaves_the_rest_with_its_relay() -> None:
    allowed = subprocess.run(["unshare", "-Urm", "true"], check=False, capture_output=True, text=True)
    if allowed.returncode:
        pytest.skip(f"this kernel forbids user and mount namespaces: {allowed.stderr.strip()}")
    command = ["unshare", "-Urm", sys.executable, "-c", FULL]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    assert re.search(r"sent \d+", done.stdout)


def _until_more_is_stored(hub: Any) -> None:
    before, deadline = None, time.monotonic() + DEADLINE
    while before is None or ask(hub.address, "status")["stored"] <= before:
        assert time.monotonic() < deadline, "nothing reached the hub in time"
        before = ask(hub.address, "status")["stored"] if before is None else before
        time.sleep(0.01)


def _finish(producers: Sequence[subprocess.Popen[str]]) -> int:
    """End the producers, each of which has checked that all it sent is acked; how many rows that is."""
    total = 0
    for process in producers:
        told, _ = process.communicate("enough\n", timeout=DEADLINE)
        assert process.returncode == 0
        total += int(told)
    return total


def _until_quiet(relays: Sequence[Any]) -> None:
    deadline = time.monotonic() + DEADLINE
    for relay in relays:
        while ask(relay.address, "status")["upstream"]["reports"]:
            assert time.monotonic() < deadline, "not everything was sent on in time"
            time.sleep(0.01)


def _check(hub: Any, relays: Sequence[Any], total: int) -> None:
    """Every row and every label is at the hub once, joined, and nothing was missed or lost on the way."""
    for agent in (*relays, hub):
        assert agent.stop() == 0
    print(f"{total} rows")
    with duckdb.connect(str(hub.database), read_only=True) as connection:

        def one(query: str) -> Any:
            return connection.execute(query).fetchone()

        assert one("SELECT count(*), count(DISTINCT id) FROM rows_1") == (total, total)
        assert one("SELECT count(*), count(DISTINCT id) FROM outcomes") == (total, total)
        assert one("SELECT count(*) FROM rows_1 JOIN outcomes USING (id)") == (total,)
        assert one("SELECT sum(missed) FROM producers") == (0,)
        assert one("SELECT count(*) FROM losses") == (0,)
