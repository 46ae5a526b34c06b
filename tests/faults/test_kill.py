"""The agent dies by SIGKILL while rows flow, and comes back: what was acked is there, once, and so is what was queued."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import duckdb
import pytest

import tenure
from tenure_agent.asking import ask

DEADLINE = 60.0
KILLS = int(os.environ.get("TENURE_FAULTS", "20"))


@pytest.mark.parametrize("settings", [{}, {"batch_bytes": 4096}], ids=["one report on its way", "several"])
def test_killed_in_the_middle_nothing_acked_is_lost_and_nothing_is_doubled(
    agent: Any, traffic: Any, settings: dict[str, Any]
) -> None:
    flow = traffic(agent, **settings)
    rng = random.Random(os.getpid())
    for number in range(KILLS):
        flow.until_acked()
        if number % 3 == 2:
            agent.signal(signal.SIGUSR1)  # a checkpoint: it takes some 10 ms
        time.sleep(
            rng.expovariate(100 if number % 3 == 2 else 20)
        )  # anywhere: between commits, in one, in a checkpoint
        agent.kill()
        acked = flow.acked()
        agent.start()
        assert ask(agent.address, "status")["stored"] >= acked
    flow.until_acked()
    flow.stored_once()


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


def test_a_second_agent_on_the_same_database_refuses_and_harms_nothing(
    agent: Any, traffic: Any, tmp_path: Path
) -> None:
    config = tmp_path / "second.yaml"
    config.write_text(f"listen: {agent.address}\nhttp: 127.0.0.1:0\nstore: {{path: {agent.database}}}\n")
    flow = traffic(agent)
    flow.until_acked()
    command = [sys.executable, "-m", "tenure_agent", "run", "--config", str(config)]
    started = time.monotonic()
    second = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)
    print(f"refused after {time.monotonic() - started:.2f} s")
    assert second.returncode == 1
    assert f"held by another agent (process {agent.pid})" in second.stderr
    assert "Try:" in second.stderr
    flow.until_acked()
    flow.stored_once()
