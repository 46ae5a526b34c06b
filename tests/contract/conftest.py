"""What the contract tests stand on: slow machines are no finding, and real agents, in a process of their own or in this."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Coroutine, Iterator, Mapping
from typing import Any

import grpc
import pytest
from hypothesis import HealthCheck, settings

from tenure_agent.config import parse_config
from tenure_agent.daemon import Agent
from tenure_agent.records import FEATURE, OUTPUT
from tenure_agent.store import Database
from tenure_agent.store.catalogue import Catalogue, Model
from tenure_agent.store.database import Cursor

settings.register_profile("noisy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("noisy")

DEADLINE = 60.0


@pytest.fixture(scope="session")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    """A running agent: its address and its process id."""
    home = tmp_path_factory.mktemp("agent")
    address = f"unix:{home}/a.sock"
    config = home / "tenure.yaml"
    config.write_text(json.dumps({"listen": address, "http": "127.0.0.1:0", "store": {"path": f"{home}/a.duckdb"}}))
    with (home / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tenure_agent", "run", "--config", config],
            stderr=log,
            cwd=home,
        )
    try:
        with grpc.insecure_channel(address) as channel:
            grpc.channel_ready_future(channel).result(timeout=DEADLINE)
        yield address, process.pid
    finally:
        process.terminate()
        try:
            process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(DEADLINE)
    said = (home / "log").read_text()
    assert process.returncode == 0, said
    assert "Traceback" not in said


class Store:
    """A running agent in this process, and what is new in its store."""

    def __init__(self, agent: Agent, database: Database) -> None:
        self.address = agent.addresses["grpc"]
        self._database = database
        self._batch = 0

    def new(self, model: str) -> tuple[list[tuple[str, Any]], list[tuple[str, Any]]]:
        """What came since the last look, each with its id: predictions as part → name → value, and outcomes."""

        def read(cursor: Cursor) -> tuple[Any, Any]:
            known = Catalogue(cursor).models[model]
            rows = cursor.execute(f"SELECT * FROM {known.table} WHERE batch > ?", [self._batch]).fetchall()
            fields = [field[0] for field in cursor.description or ()]
            labels = cursor.execute(
                "SELECT batch, id, label_number, label_text, value FROM outcomes WHERE batch > ?", [self._batch]
            ).fetchall()
            self._batch = max([self._batch, *(row[0] for row in rows + labels)])
            found = [dict(zip(fields, row, strict=True)) for row in rows]
            return [(row["id"], _parts(row, known)) for row in found], [(label[1], label[2:]) for label in labels]

        return self._database.read(read).result(DEADLINE)

    def kinds(self, model: str, name: str) -> set[str]:
        columns = self._database.read(lambda cursor: Catalogue(cursor).models[model].columns).result(DEADLINE)
        return columns[FEATURE, name].kinds


def _parts(row: Mapping[str, Any], model: Model) -> dict[str, dict[str, Any]]:
    parts: dict[str, dict[str, Any]] = {FEATURE: {}, OUTPUT: {}}
    for column in model.columns.values():
        for value in (row.get(f"n{column.number}"), row.get(f"t{column.number}")):
            if value is not None:
                parts[column.part][column.name] = value
    return parts


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    home = tmp_path_factory.mktemp("anything")
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def call(work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, loop).result(DEADLINE)

    document = {"listen": f"unix:{home}/a.sock", "http": "127.0.0.1:0", "store": {"path": f"{home}/a.duckdb"}}
    agent = Agent(parse_config(document, "a test"))
    try:
        call(agent.start())
        try:
            yield Store(agent, agent._database)
        finally:
            call(agent.stop())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(DEADLINE)
        loop.close()
