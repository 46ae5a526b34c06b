"""The disk fills up, in the log, in a checkpoint or down to the floor: nothing acked is lost, and room heals it."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

# Runs in user and mount namespaces of its own, so that it may mount a small tmpfs.
PROGRAM = """
import json, os, signal, subprocess, sys, tempfile, time
from pathlib import Path
import duckdb
import tenure
from tenure_agent.asking import NoAnswer, ask

floor, ballast = sys.argv[1], int(sys.argv[2]) << 20
folder = Path(tempfile.mkdtemp())
subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={(40 << 20) + ballast}", "none", folder], check=True)
address, database = f"unix:{folder}/a.sock", folder / "t.duckdb"
(folder / "ballast").write_bytes(bytes(ballast))
store = {"path": str(database), "floor": floor}
(folder / "tenure.yaml").write_text(json.dumps({"listen": address, "http": "127.0.0.1:0", "store": store}))
command = [sys.executable, "-m", "tenure_agent", "run", "--config", f"{folder}/tenure.yaml", "--log-level", "error"]


def start():
    agent = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while True:
        try:
            ask(address, "progress", timeout=1)
            return agent
        except NoAnswer:
            assert agent.poll() is None and time.monotonic() < until


def state():
    return ask(address, "status")["store"]["state"]


agent = start()
try:
    settings = tenure.Settings(agent=address, flush_interval=0.01, queue_bytes=64 << 20, queue_rows=1_000_000)
    monitor = tenure.Monitor("full", settings=settings)
    sent, until = 0, time.monotonic() + 120
    while True:  # a checkpoint may make room for a moment
        assert time.monotonic() < until, "the disk never filled up"
        for _ in range(1000):
            monitor.record({"text": os.urandom(600).hex()}, 0.5, id=f"row-{sent}")
            sent += 1
        if not monitor.flush(1) and state() == "full":
            break
    for _ in range(500):
        monitor.record({"text": "more"}, 0.5, id=f"row-{sent}")
        sent += 1
    assert not monitor.flush(1), "stored where there was no room"
    stats = monitor.stats()
    assert stats.queued and stats.emitted == stats.acked + stats.queued + sum(stats.dropped.values()), stats
    assert agent.poll() is None
    assert ask(address, "status")["stored"] >= stats.acked  # it still answers

    os.remove(folder / "ballast")
    began = time.monotonic()
    while state() != "ok" or monitor.stats().acked == stats.acked:
        assert time.monotonic() < began + 60, "room did not heal it"
        monitor.flush(0.05)
    healed = time.monotonic() - began
    assert monitor.flush(60)
    assert monitor.stats().acked == sent, monitor.stats()
    agent.kill()
    agent.wait(60)
    agent = start()
    assert ask(address, "status")["stored"] == sent
    assert ask(address, "status")["store"]["set_aside"] == []
    monitor.close()
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(60) == 0
    with duckdb.connect(str(database), read_only=True) as connection:
        found = connection.execute("SELECT count(*), count(DISTINCT id) FROM rows_1").fetchone()
    assert found == (sent, sent), (found, sent)
    print(f"sent {sent} healed {healed:.2f}")
finally:
    agent.kill()
    agent.wait(60)
"""


@pytest.mark.parametrize(
    ("floor", "ballast"),
    [
        pytest.param("1KiB", 40, id="no floor: the log, then the checkpoint find no room"),
        pytest.param("24MiB", 60, id="refused at the floor"),
    ],
)
def test_a_full_disk(floor: str, ballast: int) -> None:
    allowed = subprocess.run(["unshare", "-Urm", "true"], check=False, capture_output=True, text=True)
    if allowed.returncode:
        pytest.skip(f"this kernel forbids user and mount namespaces: {allowed.stderr.strip()}")
    done = subprocess.run(
        ["unshare", "-Urm", sys.executable, "-c", PROGRAM, floor, str(ballast)],
        check=False,
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr
    told = re.search(r"sent (\d+) healed ([\d.]+)", done.stdout)
    assert told is not None
    print(f"{told[0]} s")
    assert float(told[2]) < 5
