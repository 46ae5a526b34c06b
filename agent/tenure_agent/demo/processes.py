"""The demo's processes: agent, control endpoint, server. Each is a real one, and all end with the driver."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from tenure.errors import TenureError
from tenure_agent.asking import Asking, NoAnswer, ask
from tenure_agent.control.webhook import new_secret
from tenure_agent.demo.registry import MODEL, Registry

START_TIMEOUT = 30.0
CONFIG = """\
listen: {listen}
http: 127.0.0.1:0
clock: event                     # due times follow the flights, not the wall
store: {{path: {folder}/tenure.duckdb, retain: 400d}}
control: {{url: "http://127.0.0.1:{port}/decisions", secret_file: {folder}/control.secret}}
models:
  {model}:
    task: binary
    mode: act
    reference: {{file: "{folder}/flights-{{version}}.reference"}}
    drift: {{every: 6h, window: 7d}}
    performance: {{metric: auc_roc, window: 4d}}   # four days of labels at least: less is one storm
    retrain: {{cooldown: 24h}}
"""


class NotStarted(TenureError):
    """A process of the demo did not come up; the message holds the end of its log."""


@dataclass(frozen=True, slots=True)
class Processes:
    """Where the running processes are."""

    agent: Asking
    control: int
    server: HTTPConnection

    def ask(self, verb: str, arguments: dict[str, Any] | None = None) -> Any:
        return self.agent.ask(verb, arguments)

    def post(self, path: str, document: object) -> Any:
        """Post JSON to the server."""
        self.server.request("POST", path, json.dumps(document), {"Content-Type": "application/json"})
        response = self.server.getresponse()
        body = response.read()
        if response.status != 200:
            raise NotStarted(
                f"the server answered {path} with {response.status}: {body[-500:].decode(errors='replace')}"
            )
        return json.loads(body) if body else None

    def control_states(self) -> dict[str, str]:
        """State of every decision at the control endpoint."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.control}/decisions", timeout=10) as reply:
            return {one["id"]: one["state"] for one in json.load(reply)["decisions"]}


@contextlib.contextmanager
def running(registry: Registry) -> Iterator[Processes]:
    """Start everything in a folder; stop everything on the way out."""
    folder = registry.folder
    (folder / "control.secret").write_text(new_secret() + "\n")
    (folder / "control.secret").chmod(0o600)
    with contextlib.ExitStack() as stack:
        sockets = stack.enter_context(tempfile.TemporaryDirectory(prefix="tenure-"))  # a short path, as sockets need
        address, port = f"unix:{sockets}/agent.sock", _free_port()
        config = folder / "tenure.yaml"
        config.write_text(CONFIG.format(listen=address, folder=folder, port=port, model=MODEL))
        verb = [sys.executable, "-m", "tenure_agent"]
        hook = f"retrain={sys.executable} -m tenure_agent.demo.retrain {folder} {address}"
        serve = ["control", "serve", "--listen", f"127.0.0.1:{port}", "--on", hook]
        serve += ["--secret-file", str(folder / "control.secret"), "--journal", str(folder / "decisions.jsonl")]
        control = _start(stack, folder, "control", [*verb, *serve])
        agent = _start(stack, folder, "agent", [*verb, "run", "--config", str(config)])
        _until(lambda: _answers_http(port), control, folder / "control.log")
        _until(lambda: _answers(address), agent, folder / "agent.log")
        environment = {"TENURE_AGENT": address, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        server = _start(
            stack, folder, "server", [sys.executable, "-m", "tenure_agent.demo.server", str(folder)], environment
        )
        assert server.stdout is not None  # noqa: S101
        line = server.stdout.readline()
        if not line:
            raise NotStarted(f"the server did not start: {_tail(folder / 'server.log')}")
        asking = Asking(address)
        stack.callback(asking.close)
        yield Processes(asking, port, HTTPConnection("127.0.0.1", int(line), timeout=60))


def _start(
    stack: contextlib.ExitStack, folder: Path, name: str, command: list[str], extra: dict[str, str] | None = None
) -> subprocess.Popen[bytes]:
    import os  # noqa: PLC0415

    log = stack.enter_context((folder / f"{name}.log").open("wb"))
    process = subprocess.Popen(  # noqa: S603  # our own modules
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env={**os.environ, **(extra or {})}
    )
    stack.callback(_end, process)
    return process


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.communicate(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()


def _until(there: Any, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while not there():
        if process.poll() is not None or time.monotonic() > deadline:
            raise NotStarted(f"{log.stem} did not start: {_tail(log)}")
        time.sleep(0.05)


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-1000:]


def _answers(address: str) -> bool:
    try:
        ask(address, "progress", timeout=1.0)
    except NoAnswer:
        return False
    return True


def _answers_http(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=1):
            return True
    except (urllib.error.URLError, OSError):
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
