"""An agent that is killed, stopped and started again on the same files."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tenure_agent.asking import NoAnswer, ask

DEADLINE = 60.0


class RunningAgent:
    """`tenure-agent run` as a child."""

    def __init__(self, folder: Path, store: Mapping[str, Any], upstream: str | None = None) -> None:
        self.address = f"unix:{folder}/a.sock"
        self.database = folder / "t.duckdb"
        self.config = folder / "tenure.yaml"
        document = {
            "listen": self.address,
            "upstream": upstream,
            "http": "127.0.0.1:0",
            "store": {"path": str(self.database), **store},
        }
        self.config.write_text(json.dumps(document))
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tenure_agent", "run", "--config", str(self.config), "--log-level", "error"]
        process = subprocess.Popen(command)
        deadline = time.monotonic() + DEADLINE
        while True:
            try:
                ask(self.address, "progress", timeout=1.0)
            except NoAnswer:
                assert process.poll() is None, "the agent did not start"
                assert time.monotonic() < deadline, "the agent did not answer in time"
            else:
                return process

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(DEADLINE)

    def restart(self) -> None:
        self.process = self._start()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE)


@pytest.fixture(scope="session")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., RunningAgent]]:
    """Start an agent in a fresh folder, a relay where it has an upstream; other keywords go to its store section."""
    running: list[RunningAgent] = []

    def start(*, upstream: str | None = None, **store: Any) -> RunningAgent:
        running.append(RunningAgent(tmp_path_factory.mktemp("k"), store, upstream))
        return running[-1]

    yield start
    for agent in running:
        if agent.process.poll() is None:
            agent.kill()


@pytest.fixture
def agent(started: Callable[..., RunningAgent]) -> RunningAgent:
    return started()
