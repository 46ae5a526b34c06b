"""An agent that is killed, stopped and started again on the same files."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tenure_agent.asking import NoAnswer, ask

DEADLINE = 60.0
HERE = Path(__file__).parent


class Nursery:
    """The process that agents are forked from, see nursery.py."""

    def __init__(self, shim: Path | None = None) -> None:
        self.shimmed = shim is not None
        extra = {} if shim is None else {"LD_PRELOAD": str(shim)}
        self._process = subprocess.Popen(
            [sys.executable, HERE / "nursery.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | extra,
        )

    def order(self, **order: Any) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate(timeout=DEADLINE)


class RunningAgent:
    """A child of the nursery's; `log` holds what it writes where that is no terminal."""

    def __init__(self, nursery: Nursery, folder: Path, document: Mapping[str, Any]) -> None:
        self.address = f"unix:{folder}/a.sock"
        self.database = folder / "t.duckdb"
        self._nursery = nursery
        self._order: dict[str, Any] = {"config": str(folder / "tenure.yaml")}
        ports = {"listen": self.address, "http": "127.0.0.1:0"}
        store = {"path": str(self.database)} | document.get("store", {})
        (folder / "tenure.yaml").write_text(json.dumps(ports | {**document, "store": store}))
        self.pid = 0

    def start(self, **order: Any) -> None:
        """Start it, with what nursery.py may be told, and wait until it answers."""
        self.pid = self._nursery.order(**self._order, **order)
        deadline = time.monotonic() + DEADLINE
        while True:
            try:
                ask(self.address, "progress", timeout=1.0)
            except NoAnswer:
                assert time.monotonic() < deadline, "the agent did not answer in time"
                time.sleep(0.01)
            else:
                return

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def ended(self) -> int:
        """Wait for its end: the exit code, or minus the signal."""
        pid, self.pid = self.pid, 0
        return self._nursery.order(wait=pid)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        assert self.ended() == -signal.SIGKILL

    def stop(self) -> int:
        self.signal(signal.SIGTERM)
        return self.ended()


Start = Callable[..., RunningAgent]


@contextmanager
def starting(nursery: Nursery, factory: pytest.TempPathFactory) -> Iterator[Start]:
    with ExitStack() as stack:
        stack.callback(nursery.close)

        def start(document: Mapping[str, Any] | None = None, **order: Any) -> RunningAgent:
            made = RunningAgent(nursery, factory.mktemp("k"), document or {})
            stack.callback(lambda: made.kill() if made.pid else None)
            made.start(**order)
            return made

        yield start


@pytest.fixture(scope="session")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Start an agent in a fresh folder on a configuration; what else it is told goes to nursery.py."""
    with starting(Nursery(), tmp_path_factory) as start:
        yield start


@pytest.fixture(scope="session")
def shimmed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """The same, with calls on files that can be made to fail."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("no C compiler on Linux, so that no call of DuckDB's can be made to fail")
    shim = tmp_path_factory.mktemp("shim") / "shim.so"
    command = [compiler, "-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o", shim, HERE / "shim.c", "-ldl", "-lpthread"]
    subprocess.run(command, check=True)
    with starting(Nursery(shim), tmp_path_factory) as start:
        yield start


@pytest.fixture
def agent(started: Start) -> RunningAgent:
    return started()
