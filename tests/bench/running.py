"""A real agent in a process of its own, for the length of a benchmark."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
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
    config = folder / "tenure.yaml"
    config.write_text(
        f"listen: {address}\nupstream: {upstream or 'null'}\nhttp: 127.0.0.1:0\nstore: {{path: {folder}/t.duckdb}}\n"
    )
    command = [sys.executable, "-m", "tenure_agent", "run", "--config", str(config), "--log-level", "error"]
    process = subprocess.Popen(command)
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
