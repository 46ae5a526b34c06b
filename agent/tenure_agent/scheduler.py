"""When jobs run. A job is one function of the time it is due; it does not know which clock drives it.

By the wall, APScheduler runs jobs. By event time, the same triggers are evaluated against the newest event time
stored: replays and the demo decide alike on any machine.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_MAX_INSTANCES, EVENT_JOB_MISSED
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from tenure_agent.metrics import Metrics
from tenure_agent.records import EPOCH, MICROS, micros, moment

logger = logging.getLogger(__name__)

Work = Callable[[int], Awaitable[None]]
CATCH_UP = 10_000  # event-time runs at one stretch; a jump further than that runs once
LOOK = 5.0  # seconds between looks for a jump of the wall clock
JUMP = 2.0  # seconds; less is the clock being kept right


@dataclass(slots=True)
class Job:
    """Work to do at `trigger`'s times; `last_run` is the due time it last ran for, in microseconds, or None."""

    name: str
    trigger: Any
    work: Work
    last_run: int | None = None


class Multiples(IntervalTrigger):  # type: ignore[misc]  # APScheduler has no types
    """An interval's; of those missed together only the last is due, however far the clock has jumped ahead."""

    def get_next_fire_time(self, previous_fire_time: dt.datetime | None, now: dt.datetime) -> dt.datetime | None:
        if previous_fire_time is not None:
            missed = (now - previous_fire_time) // self.interval - 1
            previous_fire_time += max(0, missed) * self.interval
        due: dt.datetime | None = super().get_next_fire_time(previous_fire_time, now)
        return due


def every(interval: dt.timedelta) -> Multiples:
    """Due at whole multiples of an interval since 1970, so that every agent checks at the same times."""
    return Multiples(seconds=interval.total_seconds(), start_date=EPOCH, timezone=dt.UTC)


def schedule_due(schedule: str | None, since: int, now: int) -> bool:
    """Whether a cron schedule (weekdays by name) came due in (since, now]."""
    if schedule is None:
        return False
    trigger = CronTrigger.from_crontab(schedule, timezone=dt.UTC)
    due = trigger.get_next_fire_time(None, moment(since + 1))
    return due is not None and micros(due) <= now


class WallScheduler:
    """Jobs by the wall clock, on APScheduler.

    Parameters
    ----------
    metrics
        Errors, misfires and skips are counted there: a check that could not run is never silent.
    last_runs
        When each job last ran: one that came due while the agent was down runs at once.
    clock
        Wall time in microseconds since 1970 UTC.
        After a jump of it, what is due runs at once, and once; and what it set back is due anew.
    """

    def __init__(self, metrics: Metrics, last_runs: Mapping[str, int], clock: Callable[[], int]) -> None:
        self._metrics = metrics
        self._last_runs = last_runs
        self._clock = clock
        self._jobs: list[Job] = []
        self._watch: asyncio.Task[None] | None = None
        self._stopping = False
        self._scheduler = AsyncIOScheduler(
            timezone=dt.UTC, job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
        )
        self._scheduler.add_listener(self._note, EVENT_JOB_ERROR | EVENT_JOB_MISSED | EVENT_JOB_MAX_INSTANCES)

    def start(self) -> None:
        self._scheduler.start()
        self._watch = asyncio.create_task(self._watch_clock(), name="clock-watch")

    def add(self, job: Job) -> None:
        self._jobs.append(job)
        last = self._last_runs.get(job.name)
        known = last is not None and last <= self._clock()  # else the clock was wrong then
        first = job.trigger.get_next_fire_time(None, moment(last + 1)) if last is not None and known else None
        extra = {} if first is None else {"next_run_time": first}

        async def run() -> None:
            try:
                await job.work(self._clock())
            except asyncio.CancelledError:
                if not self._stopping:
                    raise

        self._scheduler.add_job(run, job.trigger, id=job.name, name=job.name, **extra)

    def advance(self, oldest: int, newest: int) -> None:
        """New data does not move the wall clock."""

    def settled(self, newest: int) -> bool:
        """The wall clock has no backlog at any event time."""
        return newest >= 0

    async def stop(self) -> None:
        self._stopping = True
        self._scheduler.shutdown(wait=False)  # cancels what runs: no job's error, and none is logged
        if self._watch is not None:
            self._watch.cancel()

    async def _watch_clock(self) -> None:
        loop = asyncio.get_running_loop()
        ahead = self._clock() / MICROS - loop.time()
        while True:
            await asyncio.sleep(LOOK)
            jumped = self._clock() / MICROS - loop.time() - ahead
            ahead += jumped
            if abs(jumped) >= JUMP:
                logger.warning("the wall clock jumped by %(seconds)d s", {"seconds": round(jumped)})
                self._metrics.clock_jumps.inc()
                self._scheduler.wakeup()
            self._bring_back()

    def _bring_back(self) -> None:
        """Plan anew what a clock that was ahead put off, be it that it jumped there and back between two looks."""
        now = moment(self._clock())
        for job in self._jobs:
            planned = self._scheduler.get_job(job.name)
            if planned is not None and planned.next_run_time > job.trigger.get_next_fire_time(None, now):
                self._scheduler.reschedule_job(job.name, trigger=job.trigger)

    def _note(self, event: Any) -> None:
        kind = {EVENT_JOB_ERROR: "error", EVENT_JOB_MISSED: "missed"}.get(event.code, "skipped")
        self._metrics.job_errors.labels(event.job_id, kind).inc()


class EventScheduler:
    """Jobs by event time: due times follow the newest event time stored."""

    def __init__(self, metrics: Metrics, last_runs: Mapping[str, int]) -> None:
        self._metrics = metrics
        self._last_runs = last_runs
        self._jobs: list[Job] = []
        self._oldest = self._newest = 0
        self._moved = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="event-clock")

    def add(self, job: Job) -> None:
        job.last_run = self._last_runs.get(job.name)
        self._jobs.append(job)
        self._moved.set()

    def advance(self, oldest: int, newest: int) -> None:
        """Data with event times from `oldest` to `newest` was stored."""
        self._oldest = self._oldest or oldest
        self._newest = max(self._newest, newest)
        self._moved.set()

    def settled(self, newest: int) -> bool:
        """Whether all that was due at an event time has run."""
        return self._newest >= newest and not self._moved.is_set() and self._next() is None

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _next(self) -> tuple[int, Job] | None:
        """The job due first, if it is due by now."""
        found: tuple[int, Job] | None = None
        for job in self._jobs:
            if job.last_run is None:  # a job's time begins with the first event
                if not self._oldest:
                    continue
                job.last_run = self._oldest
            due = micros(job.trigger.get_next_fire_time(None, moment(job.last_run + 1)))
            if due <= self._newest and (found is None or due < found[0]):
                found = due, job
        return found

    async def _run(self) -> None:
        while True:
            await self._moved.wait()
            while (found := self._next()) is not None:
                due, job = found
                ahead = micros(job.trigger.get_next_fire_time(None, moment(due + 1))) - due
                if self._newest - due > CATCH_UP * ahead:
                    due = self._newest - (self._newest - due) % ahead
                    self._metrics.job_errors.labels(job.name, "skipped").inc()
                try:
                    await job.work(due)
                except Exception:
                    logger.exception("job %(job)s failed", {"job": job.name})
                    self._metrics.job_errors.labels(job.name, "error").inc()
                job.last_run = due
            self._moved.clear()
