"""The agent put together: the only place where parts are wired to each other."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from uuid import uuid4

from prometheus_client import CollectorRegistry

from tenure_agent import __version__
from tenure_agent.access import open_access
from tenure_agent.answers import Answers
from tenure_agent.archive.archiving import JOB as ARCHIVE
from tenure_agent.archive.archiving import Archiving
from tenure_agent.archive.place import open_place
from tenure_agent.backlog import Backlog
from tenure_agent.config import Config
from tenure_agent.control.outbox import Outbox
from tenure_agent.control.webhook import read_secret
from tenure_agent.exports import Exports
from tenure_agent.http import HttpPort
from tenure_agent.ingest import Ingest
from tenure_agent.metrics import Metrics
from tenure_agent.records import MICROS
from tenure_agent.relay import Relay
from tenure_agent.relay_answers import RelayAnswers
from tenure_agent.relay_offers import RelayOffers
from tenure_agent.retention import JOB, Retention
from tenure_agent.review import Reviewer
from tenure_agent.scheduler import EventScheduler, Job, WallScheduler, every
from tenure_agent.service import Answer, GrpcPort, Offered
from tenure_agent.store import Database, StoreLost, decisions, jobs, salvage
from tenure_agent.store.catalogue import Catalogue
from tenure_agent.store.damage import files_set_aside
from tenure_agent.store.producers import Producer
from tenure_agent.units import in_micros
from tenure_agent.uploads import Uploads

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
        self._listen = config.listen
        self._scheduled: set[str] = set()
        self._remembered: dict[str, Producer] = {}
        self._parts = AsyncExitStack()  # what is begun anew on a new store
        self._ports = AsyncExitStack()
        self.addresses: dict[str, str] = {}

    async def start(self) -> None:
        """Open the store, then the ports. The store's lock comes first: a second agent harms nothing."""
        config = self._config
        self.metrics = Metrics(CollectorRegistry())
        self.metrics.build.labels(__version__).set(1)
        self._access = open_access(config.access, self.metrics.unauthenticated.inc)
        control = config.control
        self._secret = read_secret(control.secret_file) if control.url and control.secret_file else None
        self._place = open_place(config.archive)
        store = config.store
        self._database = Database(store.path, memory=store.memory, threads=store.threads, floor=store.floor)
        async with AsyncExitStack() as started:
            started.push_async_callback(asyncio.to_thread, self._database.close)
            self.metrics.store_full.set_function(lambda: self._database.room.full)
            self.metrics.store_set_aside.set_function(lambda: len(files_set_aside(self._database.path)))
            self._http = HttpPort(self.metrics.registry, lambda: self._ready)
            await self._http.start(*config.http_address)
            started.push_async_callback(self._http.stop)
            lost, loop = asyncio.Event(), asyncio.get_running_loop()
            self._database.on_lost = lambda: loop.call_soon_threadsafe(lost.set)
            await self._begin()
            started.push_async_callback(self._end)
            self._watch = asyncio.create_task(self._renew(lost), name="store-watch")
            started.callback(self._watch.cancel)
            self._ports = started.pop_all()

    async def _begin(self) -> None:
        """Start every part on the store; where it cannot be read after all, on a new one."""
        while True:
            try:
                async with self._parts:
                    relays = self._config.upstream.address is not None
                    await self._carry_over(relays)
                    self._catalogue = await self._database.async_read(Catalogue)
                    verbs, offered = await (self._start_relay() if relays else self._start_review())
                    await self._open(verbs, offered)
                    self._parts = self._parts.pop_all()
                    self._ready = True
                    return
            except StoreLost:
                await asyncio.to_thread(self._database.replace)

    async def _carry_over(self, relays: bool) -> None:
        """What can be of a store that was set aside; what a relay had sent on is not lost with it."""
        age = -1 if relays else in_micros(self._config.store.retain)
        remembered, self._remembered = self._remembered, {}
        lost = await asyncio.to_thread(salvage.carry_over, self._database, remembered, age)
        self.metrics.lost_after_ack.inc(lost)

    async def _end(self) -> None:
        self._ready = False
        await self._parts.aclose()

    async def _renew(self, lost: asyncio.Event) -> None:
        while await lost.wait():
            lost.clear()
            if self._database.lost:  # a start may have seen to it
                await self._end()
                self._remembered = self._ingest.remembered()
                await asyncio.to_thread(self._database.replace)
                await self._begin()

    async def _start_relay(self) -> tuple[Mapping[str, Answer], Offered]:
        """What comes in goes on to the hub, which checks and decides."""
        config, database, parts, metrics = self._config, self._database, self._parts, self.metrics
        backlog = Backlog(database, config.store.max_size)
        await backlog.load()
        metrics.relay_reports.set_function(lambda: backlog.unsent.reports)
        metrics.relay_bytes.set_function(lambda: backlog.unsent.size)
        metrics.relay_oldest.set_function(lambda: backlog.oldest(self._clock()))
        relay, session = Relay(config.upstream, backlog, metrics), uuid4().hex

        async def committed(_: int, newest: int) -> None:
            backlog.committed()
            relay.wake()
            metrics.event_time.set(newest / MICROS)

        self._ingest = Ingest(
            database,
            self._catalogue,
            metrics,
            self._clock,
            committed,
            keep=backlog.keep,
            check_room=backlog.check_room,
            directives=lambda: relay.directives,
            session=lambda: session + relay.session,
        )
        await self._ingest.start()
        parts.push_async_callback(self._ingest.stop)
        relay.start()
        parts.push_async_callback(relay.stop)
        verbs = RelayAnswers(database, self._ingest, backlog, relay, self._clock, self.addresses).verbs()
        return verbs, RelayOffers(config.upstream).offer

    async def _start_review(self) -> tuple[Mapping[str, Answer], Offered]:
        """What comes in is kept, checked and decided on here."""
        config, database, parts = self._config, self._database, self._parts
        self._scheduled.clear()
        last_runs = await database.async_read(jobs.last_runs)
        self._scheduler = (
            EventScheduler(self.metrics, last_runs)
            if config.clock == "event"
            else WallScheduler(self.metrics, last_runs, self._clock)
        )
        session = uuid4().hex
        self._ingest = Ingest(
            database, self._catalogue, self.metrics, self._clock, self._committed, session=lambda: session
        )
        await self._ingest.start()
        parts.push_async_callback(self._ingest.stop)
        self._reviewer = Reviewer(database, self._catalogue, config, self.metrics, self._clock)
        uploads = Uploads(database, self._catalogue, self._ingest, self._reviewer, config, self.metrics, self._clock)
        parts.push_async_callback(uploads.stop)
        self._outbox = None
        if config.control.url is not None and self._secret is not None:
            self._outbox = Outbox(database, config.control.url, self._secret, self.metrics, self._clock)
            self._outbox.start()
            parts.push_async_callback(self._outbox.stop)
        archiving = None
        if self._place is not None:
            archiving = Archiving(database, self._place, config.archive_after, self.metrics)
        answers = Answers(
            database,
            self._catalogue,
            self._ingest,
            self._reviewer,
            self._scheduler,
            Exports(database, self._place),
            archiving,
            self.addresses,
        )
        self._scheduler.start()
        parts.push_async_callback(self._scheduler.stop)
        retention = Retention(database, self._catalogue, config, self.metrics, archiving)
        if archiving is not None:  # in a replay the two are due at the same times: this one first
            self._scheduler.add(Job(ARCHIVE, every(retention.interval), archiving.run))
        self._scheduler.add(Job(JOB, every(retention.interval), retention.run))
        self._schedule_models()
        if self._ingest.newest:
            self._scheduler.advance(self._ingest.newest, self._ingest.newest)
        await self._show_outbox()
        return answers.verbs(), uploads.offer

    async def _open(self, verbs: Mapping[str, Answer], offered: Offered) -> None:
        """Let reports and questions in."""
        grpc = GrpcPort(self._ingest, verbs, offered, self._access)
        self._parts.push_async_callback(grpc.stop, GRACE)
        await grpc.start(self._listen)
        if self._listen.endswith(":0"):  # a new store is no reason to move
            self._listen = grpc.address.removeprefix("tls://")
        self.addresses |= {"grpc": grpc.address, "http": f"{self._config.http_address[0]}:{self._http.port}"}

    async def run(self) -> None:
        """Start, serve until SIGTERM or SIGINT, stop."""
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        await self.start()
        logger.info("listening on %(grpc)s; metrics on http://%(http)s/metrics", self.addresses)
        stopped = asyncio.create_task(stopping.wait())
        await asyncio.wait({stopped, self._watch}, return_when=asyncio.FIRST_COMPLETED)
        await self.stop()
        if not stopping.is_set():
            await self._watch  # no new store could be begun: its error is the agent's

    async def stop(self) -> None:
        """Answer what is in hand, commit what is queued, checkpoint, let go."""
        await self._ports.aclose()

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
                for rare in (self.metrics.type_changes, self.metrics.unmatched):
                    rare.labels(self.metrics.known(name)[0])  # at 0 first: increase() cannot see a counter's birth

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
