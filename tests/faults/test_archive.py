"""The agent dies by SIGKILL anywhere on a range's way into the archive: each row arrives there, and once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

import tenure
from tenure_agent.asking import NoAnswer, ask

DEADLINE = 60.0

# Agents that kill themselves at a point of a range's way, forked from one process that has imported everything. Each
# line asks for one and is answered with its process id; an empty line waits for its end and is answered with its exit code.
DRIVER = """
import asyncio, os, signal, sys
from pathlib import Path
from tenure_agent import daemon, log
from tenure_agent.archive import place
from tenure_agent.archive.archiving import Archiving
from tenure_agent.config import load_config
from tenure_agent.store import archive


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def around(owner, name, before=None, after=None, turn=1):
    original, calls = getattr(owner, name), iter(range(1, 1000))

    def called(*arguments, **keywords):
        now = next(calls) == turn
        if now and before:
            before()
        found = original(*arguments, **keywords)
        if now and after:
            after()
        return found

    setattr(owner, name, called)


def arm(point):
    if point == "intent committed":
        around(Archiving, "_file", before=die)
    elif point == "staged":
        around(place.Directory, "put", before=die)
    elif point == "temporary file written":
        around(place.os, "replace", before=die, turn=2)
    elif point == "renamed":
        around(place.os, "replace", after=die, turn=3)
    elif point == "all in place":
        around(archive, "finish", before=die)
    elif point == "watermark not committed":
        around(archive, "finish", after=die)
    elif point == "watermark committed":
        original = Archiving._next_range

        async def next_range(self, *arguments):
            await original(self, *arguments)
            die()

        Archiving._next_range = next_range


child = 0
for line in sys.stdin:
    if line.strip():
        child = os.fork()
        if not child:
            os.close(0)
            log.configure("console", "error")
            arm(line.strip())
            asyncio.run(daemon.Agent(load_config(Path(sys.argv[1]))).run())
            os._exit(0)
        print(child, flush=True)
    else:
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        child = 0
if child:
    os.kill(child, signal.SIGKILL)
"""
POINTS = (
    "intent committed",
    "staged",
    "temporary file written",
    "renamed",
    "all in place",
    "watermark not committed",
    "watermark committed",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    store = {"path": str(tmp_path / "t.duckdb"), "retain": "14d"}
    document = {
        "listen": f"unix:{tmp_path}/a.sock",
        "http": "127.0.0.1:0",
        "store": store,
        "archive": {"url": str(tmp_path / "archive")},
    }
    (tmp_path / "tenure.yaml").write_text(json.dumps(document))
    return tmp_path


@pytest.fixture
def order(folder: Path) -> Iterator[Callable[[str], int]]:
    """Tell the driver something; its answer."""
    command = [sys.executable, "-c", DRIVER, str(folder / "tenure.yaml")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def tell(line: str) -> int:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(f"{line}\n")
            process.stdin.flush()
            return int(process.stdout.readline())

        yield tell
        process.communicate(timeout=DEADLINE)


def test_killed_anywhere_each_row_is_archived_once(folder: Path, order: Callable[[str], int]) -> None:
    address = f"unix:{folder}/a.sock"

    def start(point: str) -> int:
        process = order(point)
        deadline = time.monotonic() + DEADLINE
        while True:
            try:
                ask(address, "progress", timeout=1.0)
            except NoAnswer:
                assert time.monotonic() < deadline, "the agent did not answer in time"
            else:
                return process

    sent = 0
    for point in POINTS:
        start(point)
        sent += send(address, sent)
        with pytest.raises(NoAnswer):
            archive(address)
        assert order("") == -signal.SIGKILL, point
        archived, stored = found(folder)
        assert len(archived) == len(set(archived)), f"doubled in the archive: {point}"
        assert {name for _, name in archived} | stored == {f"row-{i}" for i in range(sent)}, point

    process = start("none")
    archive(address)
    os.kill(process, signal.SIGTERM)
    assert order("") == 0
    archived, stored = found(folder)
    assert sorted(archived) == sorted((part, f"row-{i}") for i in range(sent) for part in ("outcomes", "predictions"))
    assert stored == set()
    assert not [path for path in (folder / "archive").rglob("*") if path.name.startswith(".")]
    assert list((folder / "t.duckdb.exports").iterdir()) == []


def archive(address: str) -> None:
    while not ask(address, "archive")["done"]:
        pass


def send(address: str, first: int) -> int:
    """Rows and labels of three days; all are acked."""
    monitor = tenure.Monitor("killed", settings=tenure.Settings(agent=address, flush_interval=0.01))
    for number in range(first, first + 30):
        at = 1_700_000_000 + 86_400 * (number % 3)
        monitor.record({"x": float(number)}, 0.5, id=f"row-{number}", time=at)
        monitor.outcome(f"row-{number}", label=1, time=at)
    assert monitor.flush(DEADLINE)
    assert monitor.stats().acked == monitor.stats().emitted
    assert monitor.close()
    return 30


def found(folder: Path) -> tuple[list[tuple[Any, ...]], set[str]]:
    """What the archive holds, by part and id, and the ids that only the store has by its watermark."""
    with duckdb.connect() as connection:
        archived = []
        for part in ("predictions", "outcomes"):
            if list(folder.glob(f"archive/{part}/*/*/*.parquet")):
                query = f"SELECT '{part}', id FROM read_parquet('{folder}/archive/{part}/*/*/*.parquet')"
                archived += connection.execute(query).fetchall()
    copy = folder / f"copy-{os.urandom(4).hex()}.duckdb"  # the log of a killed agent is not ours to replay
    for suffix in ("", ".wal"):
        if (source := folder / f"t.duckdb{suffix}").exists():
            (folder / f"{copy.name}{suffix}").write_bytes(source.read_bytes())
    with duckdb.connect(str(copy)) as connection:
        after = "(SELECT coalesce(max(batch), 0) FROM archived)"
        stored = connection.execute(f"SELECT id FROM rows_1 WHERE batch > {after}").fetchall()
    return archived, {name for (name,) in stored}
