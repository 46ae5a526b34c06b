"""The agent put together: the only place where parts are wired to each other."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry

from tenure_agent import __version__
from tenure_agent.answers import Answers
from tenure_agent.config import Config
from tenure_agent.control.outbox import Outbox
from tenure_agent.control.webhook import read_secret
from tenure_agent.http import HttpPort
from tenure_agent.ingest import Ingest
from tenure_agent.metrics import Metrics
from tenure_agent.records import MICROS
from tenure_agent.review import Reviewer
from tenure_agent.scheduler import EventScheduler, Job, WallScheduler, every
from tenure_agent.service import GrpcPort
from tenure_agent.store import Database, decisions, jobs
from tenure_agent.store.catalogue import Catalogue

logger = logging.getLogger(__name__)

GRACE = 2.0  # seconds for calls in hand when stopping


def wall_clock() -> int:
    """Microseconds since 1970 UTC."""
    return time.time_ns() // 1000


class Agent:
    """One agent.

    Parameters
    ----------
    config
        See `tenure_agent.config`.
    clock
        Wall time in microseconds since 1970 UTC.
    """

    def __init__(self, config: Config, clock: Callable[[], int] = wall_clock) -> None:
        self._config = config
        self._clock = clock
        self._ready = False
        self._scheduled: set[str] = set()
        self.addresses: dict[str, str] = {}

    async def start(self) -> None:
        """Open the store, then the ports. The store's lock comes first: a second agent harms nothing."""
        config = self._config
        secret = read_secret(config.control.secret_file) if config.control.secret_file else None
        self.metrics = Metrics(CollectorRegistry())
        self.metrics.build.labels(__version__).set(1)
        self._database = Database(config.store.path, memory=config.store.memory, threads=config.store.threads)
        self._catalogue = await self._database.async_read(Catalogue)
        last_runs = await self._database.async_read(jobs.last_runs)
        kind = EventScheduler if config.clock == "event" else WallScheduler
        self._scheduler = kind(self.metrics, last_runs)
        self._ingest = Ingest(self._database, self._catalogue, self.metrics, self._clock, self._committed)
        await self._ingest.start()
        self._reviewer = Reviewer(self._database, self._catalogue, config, self.metrics, self._clock)
        self._outbox = None
        if config.control.url is not None and secret is not None:
            self._outbox = Outbox(self._database, config.control.url, secret, self.metrics, self._clock)
            self._outbox.start()
        answers = Answers(
            self._database, self._catalogue, self._ingest, self._reviewer, self._scheduler, self.addresses
        )
        self._grpc = GrpcPort(self._ingest, answers.verbs())
        self._http = HttpPort(self.metrics.registry, lambda: self._ready)
        await self._http.start(*config.http_address)
        self._scheduler.start()
        self._schedule_models()
        if self._ingest.newest:
            self._scheduler.advance(self._ingest.newest, self._ingest.newest)
        await self._show_outbox()
        await self._grpc.start(config.listen)
        self.addresses |= {"grpc": self._grpc.address, "http": f"{config.http_address[0]}:{self._http.port}"}
        self._ready = True

    async def run(self) -> None:
        """Start, serve until SIGTERM or SIGINT, stop."""
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        await self.start()
        logger.info("listening on %s; metrics on http://%s/metrics", self._grpc.address, self.addresses["http"])
        await stopping.wait()
        await self.stop()

    async def stop(self) -> None:
        """Answer what is in hand, commit what is queued, checkpoint, let go."""
        self._ready = False
        await self._grpc.stop(GRACE)
        await self._scheduler.stop()
        if self._outbox is not None:
            await self._outbox.stop()
        await self._ingest.stop()
        await self._http.stop()
        await asyncio.to_thread(self._database.close)

    async def _committed(self, oldest: int, newest: int) -> None:
        self._schedule_models()
        self.metrics.event_time.set(newest / MICROS)
        if oldest:
            self._scheduler.advance(oldest, newest)

    def _schedule_models(self) -> None:
        """Models are checked from their first prediction on."""
        for name in self._catalogue.models:
            if name not in self._scheduled:
                self._scheduled.add(name)
                interval = self._config.model(name).drift.every
                self._scheduler.add(Job(f"review {name}", every(interval), self._review_of(name)))

    def _review_of(self, name: str) -> Callable[[int], asyncio.Future[None]]:
        async def review(now: int) -> None:
            await self._reviewer.review(name, now)
            await self._database.async_write(lambda cursor: jobs.ran(cursor, f"review {name}", now))
            await self._show_outbox()
            if self._outbox is not None:
                self._outbox.wake()

        return lambda now: asyncio.ensure_future(review(now))

    async def _show_outbox(self) -> None:
        for state, count in (await self._database.async_read(decisions.counts)).items():
            self.metrics.outbox.labels(state).set(count)
