"""What several test files share: a store in a fresh folder, a registry, and reports as a producer sends them."""

from __future__ import annotations

import asyncio
import datetime as dt
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from tests.agent.archived import Ailing
from tests.agent.shipped import built

from tenure.columns import encode_columns, packed
from tenure.testing import ManualClock
from tenure_agent.archive.archiving import Archiving
from tenure_agent.config import parse_config
from tenure_agent.daemon import Agent
from tenure_agent.ingest import Ingest
from tenure_agent.metrics import Metrics
from tenure_agent.store import Database, outcomes, predictions
from tenure_agent.store.catalogue import Catalogue
from tenure_agent.store.database import Cursor
from tenure_agent.wire import decode_batch, decode_outcomes
from tenure_proto.v1 import monitoring_pb2 as pb

SECOND = 1_000_000


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / "tenure.duckdb", threads=1)
    yield opened
    opened.close()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(CollectorRegistry())


@pytest.fixture
def value(metrics: Metrics) -> Callable[..., float]:
    """The value of one sample on the registry; 0 where it was never touched."""

    def read(name: str, **labels: str) -> float:
        return metrics.registry.get_sample_value(f"tenure_{name}", labels) or 0.0

    return read


@pytest.fixture
def batch() -> Callable[..., pb.Batch]:
    """A batch as the SDK encodes it: columns by name, one value per row."""

    def make(
        features: Mapping[str, Sequence[Any]],
        *,
        model: str = "fraud",
        version: str = "1",
        role: pb.Role = pb.CHAMPION,
        ids: Sequence[str] | None = None,
        start: int = SECOND,
        step: int = SECOND,
        outputs: Mapping[str, Sequence[Any]] | None = None,
    ) -> pb.Batch:
        columns = {**features, **(outputs or {})}
        rows = len(next(iter(columns.values())))
        made = pb.Batch(model=model, version=version, role=role, rows=rows)
        made.times = packed("q", range(start, start + rows * step, step))
        if ids is None:
            made.ids.prefix, made.ids.counters = "p", packed("Q", range(rows))
        else:
            made.ids.texts.extend(ids)
        for name, values in features.items():
            made.features.extend(encode_columns(name, values))
        for name, values in (outputs or {}).items():
            made.outputs.extend(encode_columns(name, values))
        return made

    return make


@pytest.fixture
def truths() -> Callable[..., pb.Outcomes]:
    """Outcomes by id, all known at one time unless times are given."""

    def make(labels: Mapping[str, Any], *, model: str = "fraud", known: int | Sequence[int] = SECOND) -> pb.Outcomes:
        times = [known] * len(labels) if isinstance(known, int) else known
        made = pb.Outcomes(model=model, ids=list(labels), times=packed("q", times))
        made.labels.CopyFrom(encode_columns("label", list(labels.values()))[0])
        return made

    return make


@pytest.fixture
def catalogue(database: Database) -> Catalogue:
    return database.read(Catalogue).result()


@pytest.fixture
def put(database: Database, catalogue: Catalogue) -> Callable[..., None]:
    """Store batches of one model, and outcomes, in one transaction; every batch has the next ingest number."""
    newest = 0

    def store(*batches: pb.Batch, truths: Sequence[pb.Outcomes] = ()) -> None:
        def work(cursor: Cursor) -> None:
            nonlocal newest
            rows = [(newest + i, decode_batch(batch)) for i, batch in enumerate(batches, 1)]
            told = [(newest + len(rows) + i, decode_outcomes(outcome)) for i, outcome in enumerate(truths, 1)]
            newest += len(rows) + len(told)
            if rows:
                predictions.append(cursor, catalogue, rows, SECOND)
            if told:
                outcomes.append(cursor, catalogue, told, SECOND)

        database.write(work).result()

    return store


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., AbstractContextManager[Agent]]:
    """An agent in this process, by default as one without a configuration, in a folder of its own; it has its own loop."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TENURE_AGENT", raising=False)

    @contextmanager
    def run(document: Mapping[str, Any] | None = None) -> Iterator[Agent]:
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever)
        thread.start()

        def call(coroutine: Coroutine[Any, Any, None]) -> None:
            asyncio.run_coroutine_threadsafe(coroutine, loop).result(60)

        agent = Agent(parse_config({"http": "127.0.0.1:0"} | dict(document or {}), "a test"))
        try:
            call(agent.start())
            try:
                yield agent
            finally:
                call(agent.stop())
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.run_until_complete(_ended(asyncio.all_tasks(loop)))
            loop.close()

    return run


@pytest.fixture
def committed() -> list[tuple[int, int]]:
    """(oldest, newest) event time of every commit, as `ingesting` was told."""
    return []


@pytest.fixture
def ingesting(database: Database, metrics: Metrics, committed: list[tuple[int, int]]) -> Callable[..., None]:
    """Run stories one after the other, each with an ingest that was just started on the same store."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Ingest]:
        async def note(oldest: int, newest: int) -> None:
            committed.append((oldest, newest))

        catalogue = await database.async_read(Catalogue)
        ingest = Ingest(database, catalogue, metrics, ManualClock(10**15), note)
        await ingest.start()
        yield ingest
        await ingest.stop()

    async def run(stories: tuple[Callable[[Ingest], Awaitable[None]], ...]) -> None:
        for story in stories:
            async with asyncio.timeout(60), opened() as ingest:
                await story(ingest)

    return lambda *stories: asyncio.run(run(stories))


async def _ended(tasks: set[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
def place(tmp_path: Path) -> Ailing:
    return Ailing(tmp_path / "archive")


@pytest.fixture
def archiving(database: Database, place: Ailing, metrics: Metrics) -> Archiving:
    return Archiving(database, place, dt.timedelta(days=1), metrics)


@pytest.fixture
def write(database: Database) -> Callable[[Callable[[Cursor], Any]], Any]:
    return lambda work: database.write(work).result()


@pytest.fixture
def read(database: Database) -> Callable[[Callable[[Cursor], Any]], Any]:
    return lambda work: database.read(work).result()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A reference that ships with the model `fraud`."""
    path = tmp_path / "fraud.reference"
    built().save(path)
    return path
