"""A real agent in a process of its own, for the length of a benchmark."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tenure_agent.asking import NoAnswer, ask


@contextlib.contextmanager
def agent(folder: Path, upstream: str = "") -> Iterator[str]:
    """Start an agent on a unix socket in `folder`, a relay where it has an upstream; its address."""
    with running(folder, upstream) as (address, _):
        yield address


@contextlib.contextmanager
def running(folder: Path, upstream: str = "") -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The same, with its process."""
    address = f"unix:{folder}/a.sock"
    process = _start(folder, 0, upstream)
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                ask(address, "progress", timeout=1.0)
                break
            except NoAnswer:
                assert process.poll() is None, "the agent did not start"
                assert time.monotonic() < deadline, "the agent did not answer"
        yield address, process
    finally:
        process.terminate()
        process.wait(30)


def started_in(folder: Path, *, kill: bool = False) -> float:
    """Seconds from an agent's process to its readiness. It is stopped again, or killed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    began = time.monotonic()
    process = _start(folder, port)
    try:
        while not _ready(port):
            assert process.poll() is None, "the agent did not start"
            assert time.monotonic() < began + 60, "the agent did not become ready"
            time.sleep(0.01)
        return time.monotonic() - began
    finally:
        process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
        process.wait(60)


def _start(folder: Path, port: int, upstream: str = "") -> subprocess.Popen[bytes]:
    config = folder / "tenure.yaml"
    config.write_text(
        f"listen: unix:{folder}/a.sock\nupstream: {upstream or 'null'}\nhttp: 127.0.0.1:{port}\n"
        f"store: {{path: {folder}/t.duckdb}}\n"
    )
    command = [sys.executable, "-m", "tenure_agent", "run", "--config", str(config), "--log-level", "error"]
    return subprocess.Popen(command)


def _ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1.0) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def memory(process: subprocess.Popen[bytes], name: str = "VmRSS") -> float:
    """MB a process has in memory, or with ``VmHWM`` has ever had."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) * 1024 / 1e6


def processor_time(process: subprocess.Popen[bytes]) -> float:
    """Seconds of processor a process has used."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
