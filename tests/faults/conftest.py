"""An agent that is killed, stopped and started again on the same files."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import duckdb
import pytest

import tenure
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
        """Start it, with what nursery.py may be told, and wait until it answers, or dies of the fault."""
        self.pid = self._nursery.order(**self._order, **order)
        deadline = time.monotonic() + DEADLINE
        while True:
            try:
                ask(self.address, "progress", timeout=1.0)
            except NoAnswer:
                assert time.monotonic() < deadline, "the agent did not answer in time"
                if self._dead():
                    assert "fault" in order, "the agent did not start"
                    return
                time.sleep(0.01)
            else:
                return

    def _dead(self) -> bool:
        return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def ended(self) -> int:
        """Wait for its end: the exit code, or minus the signal."""
        deadline = time.monotonic() + DEADLINE
        while not self._dead():
            assert time.monotonic() < deadline, "it does not end"
            time.sleep(0.002)
        pid, self.pid = self.pid, 0
        return self._nursery.order(wait=pid)

    def dies(self) -> bool:
        """Whether it dies, rather than end a checkpoint that SIGUSR1 has begun."""
        told = self.database.with_name("checkpointed")
        deadline = time.monotonic() + DEADLINE
        while not self._dead():
            assert time.monotonic() < deadline, "it neither dies nor goes on"
            if told.exists():
                told.unlink()
                return False
            time.sleep(0.002)
        return True

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        assert self.ended() == -signal.SIGKILL

    def metrics(self) -> dict[str, float]:
        """What Prometheus would scrape: value by name with labels."""
        address = ask(self.address, "status")["addresses"]["http"]
        with urlopen(f"http://{address}/metrics", timeout=DEADLINE) as page:
            lines = page.read().decode().splitlines()
        pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
        return {name: float(value) for name, _, value in pairs}

    def metric(self, name: str) -> float:
        return self.metrics()[name]

    def stop(self) -> int:
        self.signal(signal.SIGTERM)
        return self.ended()


Start = Callable[..., RunningAgent]


class Traffic:
    """A monitor that records some 8,000 rows a second from a thread of its own: `row-0`, `row-1`, …"""

    def __init__(self, agent: RunningAgent, model: str = "steady", **settings: Any) -> None:
        chosen = {"flush_interval": 0.01, "queue_rows": 1_000_000} | settings
        self.monitor = tenure.Monitor(model, settings=tenure.Settings(agent=agent.address, **chosen))
        self.slowest = 0.0  # call, in seconds
        self._agent = agent
        self._model = model
        self._total = 0
        self._enough = threading.Event()
        self._host = threading.Thread(target=self._run, daemon=True)
        self._host.start()

    def _run(self) -> None:
        number = 0
        while not self._enough.is_set():
            began = time.monotonic()
            self.monitor.record({"x": float(number), "text": "t" * (number % 7)}, number % 2, id=f"row-{number}")
            self.slowest = max(self.slowest, time.monotonic() - began)
            number += 1
            self._total = number
            if number % 100 == 0:
                self._enough.wait(0.01)  # what piles up while the agent is away fits the queue

    def until_acked(self, rows: int = 1) -> None:
        """Wait until so many more rows are acked."""
        enough, deadline = self.acked() + rows, time.monotonic() + DEADLINE
        while self.acked() < enough:
            assert time.monotonic() < deadline, "nothing was acked in time"
            time.sleep(0.002)

    def acked(self) -> int:
        """Rows acked; the account is right at every instant."""
        seen = self.monitor.stats()
        assert seen.emitted == seen.acked + seen.queued + sum(seen.dropped.values()), seen
        return seen.acked

    def end(self) -> int:
        """No more rows; all but what was dropped are acked: how many."""
        self._enough.set()
        self._host.join(DEADLINE)
        assert self.monitor.flush(DEADLINE)
        stats = self.monitor.stats()
        assert (stats.emitted, stats.queued) == (self._total, 0)
        assert self.monitor.close()
        return stats.acked

    def stored_once(self) -> None:
        """End it, and the agent: every row is in the file, once, and the agent knows of no gap."""
        acked = self.end()
        assert acked == self._total, self.monitor.stats()
        assert ask(self._agent.address, "status")["store"]["set_aside"] == []
        assert self._agent.stop() == 0
        with duckdb.connect(str(self._agent.database), read_only=True) as connection:
            query = "SELECT model FROM models WHERE name = ?"
            (number,) = connection.execute(query, [self._model]).fetchall()[0]
            rows = connection.execute(f"SELECT count(*), count(DISTINCT id) FROM rows_{number}").fetchone()
            gaps = connection.execute("SELECT sum(missed) FROM producers").fetchone()
        assert (rows, gaps) == ((acked, acked), (0,))


@pytest.fixture(scope="session")
def traffic() -> Callable[..., Traffic]:
    """Traffic for an agent; keywords are settings of the monitor."""
    return Traffic


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
    command = [
        compiler,
        "-O1",
        "-Wall",
        "-Werror",
        "-shared",
        "-fPIC",
        "-o",
        shim,
        HERE / "shim.c",
        "-ldl",
        "-lpthread",
    ]
    subprocess.run([str(part) for part in command], check=True)
    with starting(Nursery(shim), tmp_path_factory) as start:
        yield start


@pytest.fixture
def agent(started: Start) -> RunningAgent:
    return started()
