"""A store damaged at random places: the agent comes up, keeps what can be read, sets aside what cannot, and takes reports."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest

import tenure
from tenure_agent.asking import NoAnswer, ask
from tenure_agent.config import parse_config
from tenure_agent.daemon import Agent
from tenure_agent.store import StoreLost
from tenure_agent.store.damage import files_set_aside

FLIPS = int(os.environ.get("FLIPS", "20"))
ROWS = 20_000
SCAN = 'SELECT count(*), count(DISTINCT id), sum(length(id)), count("time") FROM rows_1 WHERE n1 IS NOT NULL'


@pytest.fixture(scope="module")
def base(started: Callable[..., Any]) -> Path:
    """A store of which one half was checkpointed and the other is in its log, as SIGKILL left it."""
    agent = started()
    for killed in (False, True):
        monitor = tenure.Monitor("damaged", settings=tenure.Settings(agent=agent.address))
        for number in range(ROWS // 2):
            monitor.record({"x": float(number), "country": f"c{number % 9}"}, 0.5, id=f"{killed}-{number}")
        assert monitor.flush(60)
        monitor.close()
        if killed:
            agent.kill()
        else:
            agent.stop()
            agent.start()
    folder: Path = agent.database.parent
    assert (folder / "t.duckdb").stat().st_size > 100_000
    assert (folder / "t.duckdb.wal").stat().st_size > 100_000
    return folder


@contextmanager
def started_on(folder: Path) -> Iterator[Agent]:
    """An agent in this process: hundreds of them must not cost hundreds of imports."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    document = {"listen": f"unix:{folder}/a.sock", "http": "127.0.0.1:0", "store": {"path": f"{folder}/t.duckdb"}}
    agent = Agent(parse_config(document, "a test"))
    try:
        asyncio.run_coroutine_threadsafe(agent.start(), loop).result(60)
        yield agent
        asyncio.run_coroutine_threadsafe(agent.stop(), loop).result(60)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def damage(path: Path, rng: random.Random) -> str:
    content = bytearray(path.read_bytes())
    at = rng.randrange(len(content) if rng.random() < 0.6 else min(len(content), 16_000))  # heads are worth more tries
    flip = rng.random() < 0.5
    if flip:
        content[at] ^= 1 << rng.randrange(8)
    else:
        del content[at:]
    path.write_bytes(content)
    return f"{path.name} {'flipped' if flip else 'cut'} at {at}"


def test_damaged_anywhere_it_comes_up_and_goes_on(base: Path, tmp_path: Path) -> None:
    slowest = 0.0
    for seed in range(FLIPS):
        rng = random.Random(seed)
        folder = tmp_path / str(seed)
        folder.mkdir()
        for name in ("t.duckdb", "t.duckdb.wal"):
            shutil.copy(base / name, folder / name)
        done = f"seed {seed}: " + damage(folder / rng.choice(["t.duckdb", "t.duckdb.wal"]), rng)
        began = time.monotonic()
        with started_on(folder) as agent:
            slowest = max(slowest, time.monotonic() - began)
            kept = survivors(agent)
            monitor = tenure.Monitor("damaged", agent=agent.addresses["grpc"])
            monitor.record({"x": 1.0}, 0.5, id="after")
            assert monitor.flush(60), done
            monitor.close()
            assert survivors(agent) == kept + 1, done
            aside = files_set_aside(folder / "t.duckdb")
            told = ask(agent.addresses["grpc"], "status")["store"]["set_aside"]
            assert told == [str(file) for file in aside], done
            assert aside or kept in {ROWS, *range(ROWS // 2, ROWS)}, done
            assert agent.metrics.registry.get_sample_value("tenure_store_set_aside") == len(aside)
        shutil.rmtree(folder)
    print(f"{FLIPS} damaged stores, the slowest start {slowest:.2f} s")
    assert slowest < 20  # 2 s on a quiet machine


def test_a_log_that_ends_early_without_a_word_is_counted(started: Callable[..., Any], traffic: Any) -> None:
    """DuckDB takes zeros where an entry of its log should begin for the log's end: the producers know better."""
    agent = started()
    flow = traffic(agent)
    flow.until_acked(5000)
    agent.kill()
    log = agent.database.with_name("t.duckdb.wal")
    content = bytearray(log.read_bytes())
    at = entries(content)[-20]
    content[at : at + 4096] = bytes(len(content[at : at + 4096]))
    log.write_bytes(content)
    acked = flow.acked()
    agent.start()
    assert ask(agent.address, "status")["store"]["set_aside"] == []
    flow.until_acked()
    assert agent.metric("tenure_lost_after_ack_reports_total") > 0
    assert agent.metric("tenure_missed_reports_total") == 0
    total = flow.end()
    assert total > acked
    assert 0 < ask(agent.address, "status")["stored"] < total


def entries(log: bytearray) -> list[int]:
    """Where each entry of a log of DuckDB's begins: a length and a checksum of 8 bytes each, then so many bytes."""
    for first in range(100):
        found, at = [], first
        while at + 16 <= len(log) and (size := int.from_bytes(log[at : at + 8], "little")):
            found.append(at)
            at += 16 + size
        if at == len(log):
            return found
    raise AssertionError("no log of DuckDB's")


def survivors(agent: Agent) -> int:
    """Rows that can be read, each once; a store found unreadable in use has been replaced when this returns."""
    deadline = time.monotonic() + 60
    while True:
        assert time.monotonic() < deadline
        try:
            [found] = agent._database.read(lambda cursor: cursor.execute(SCAN).fetchall()).result(60)
            rows, distinct, _, times = found
            ask(agent.addresses["grpc"], "progress")
        except (StoreLost, NoAnswer):
            time.sleep(0.01)  # the agent is on its way to a new store, and has no way to call back
        except duckdb.CatalogException:
            return 0
        else:
            assert rows == distinct == times
            return int(rows)
