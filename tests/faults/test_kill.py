"""The agent dies by SIGKILL while rows flow, and comes back: what was acked is there, once, and so is what was queued."""

from __future__ import annotations

import itertools
import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import duckdb

import tenure
from tenure_agent.asking import ask

DEADLINE = 60.0
KILLS = int(os.environ.get("TENURE_FAULTS", "20"))


def test_killed_in_the_middle_nothing_acked_is_lost_and_nothing_is_doubled(agent: Any) -> None:
    settings = tenure.Settings(agent=agent.address, flush_interval=0.01, queue_rows=1_000_000)
    monitor = tenure.Monitor("killed", settings=settings)
    enough, called = threading.Event(), itertools.count()
    total = 0

    def traffic() -> None:
        nonlocal total
        while not enough.is_set():
            number = next(called)
            monitor.record({"x": float(number), "text": "t" * (number % 7)}, number % 2, id=f"row-{number}")
            total = number + 1
            if number % 100 == 0:
                enough.wait(0.01)  # some 8,000 rows a second: what piles up while the agent is away fits the queue

    host = threading.Thread(target=traffic)
    host.start()
    rng = random.Random(os.getpid())
    for _ in range(KILLS):
        _until_more_is_acked(monitor)
        enough.wait(rng.expovariate(20))  # anywhere: between commits, in one, in a checkpoint
        agent.kill()
        seen = monitor.stats()
        assert seen.emitted == seen.acked + seen.queued + sum(seen.dropped.values())
        agent.start()
    _until_more_is_acked(monitor)
    enough.set()
    host.join(DEADLINE)

    assert monitor.flush(DEADLINE)
    stats = monitor.stats()
    assert (stats.emitted, stats.queued, stats.dropped) == (total, 0, {})
    assert stats.acked == total
    assert ask(agent.address, "status")["stored"] == total
    assert monitor.close()
    assert agent.stop() == 0
    with duckdb.connect(str(agent.database), read_only=True) as connection:
        rows = connection.execute("SELECT count(*), count(DISTINCT id), min(id) FROM rows_1").fetchone()
        gaps = connection.execute("SELECT sum(missed) FROM producers").fetchone()
    assert rows is not None
    assert rows[:2] == (total, total)
    assert gaps == (0,)


def test_a_stopped_agent_drains_and_leaves_within_five_seconds(agent: Any) -> None:
    monitor = tenure.Monitor("drained", settings=tenure.Settings(agent=agent.address, flush_interval=0.01))
    for number in range(5_000):
        monitor.record({"x": float(number)}, 0.5)
    assert monitor.flush(DEADLINE)
    started = time.monotonic()
    assert agent.stop() == 0
    assert time.monotonic() - started < 5.0
    assert not Path(agent.address.removeprefix("unix:")).exists()
    with duckdb.connect(str(agent.database), read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM rows_1").fetchone() == (5_000,)
    assert not Path(f"{agent.database}.wal").exists(), "the log was not checkpointed"
    assert monitor.close()


def test_a_second_agent_on_the_same_database_refuses_and_harms_nothing(agent: Any, tmp_path: Path) -> None:
    config = tmp_path / "second.yaml"
    config.write_text(f"listen: {agent.address}\nhttp: 127.0.0.1:0\nstore: {{path: {agent.database}}}\n")
    command = [sys.executable, "-m", "tenure_agent", "run", "--config", str(config)]
    started = time.monotonic()
    second = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)
    print(f"refused after {time.monotonic() - started:.2f} s")
    assert second.returncode == 1
    assert f"held by another agent (process {agent.pid})" in second.stderr
    assert "Try:" in second.stderr
    assert ask(agent.address, "progress")["settled"] is True
    assert os.path.exists(agent.address.removeprefix("unix:"))  # noqa: PTH110


def _until_more_is_acked(monitor: tenure.Monitor) -> None:
    before, deadline = monitor.stats().acked, time.monotonic() + DEADLINE
    while monitor.stats().acked <= before:
        assert time.monotonic() < deadline, "nothing was acked in time"
        threading.Event().wait(0.005)
