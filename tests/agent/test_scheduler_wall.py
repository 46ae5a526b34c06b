"""When jobs run by the wall clock, on APScheduler."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable

import pytest
from apscheduler.triggers.date import DateTrigger

from tenure_agent import scheduler as scheduler_module
from tenure_agent.daemon import wall_clock
from tenure_agent.metrics import Metrics
from tenure_agent.records import micros
from tenure_agent.scheduler import Job, WallScheduler, every

HOUR = 3_600_000_000


def soon() -> DateTrigger:
    return DateTrigger(dt.datetime.now(dt.UTC))


def by_the_wall(job: Callable[[asyncio.Event], Awaitable[None]], metrics: Metrics) -> None:
    """Run one job that is due now, until it says that it was reached; then let its events be noted."""

    async def run() -> None:
        reached = asyncio.Event()
        scheduler = WallScheduler(metrics, {}, wall_clock)
        scheduler.start()
        scheduler.add(Job("once", soon(), lambda _: job(reached)))
        async with asyncio.timeout(30):
            await reached.wait()
            while not metrics.registry.get_sample_value("tenure_job_errors_total", {"job": "once", "kind": "error"}):
                if not scheduler._scheduler.get_jobs():
                    break
                await asyncio.sleep(0)
            for _ in range(20):
                await asyncio.sleep(0)
        await scheduler.stop()

    asyncio.run(run())


def test_wall_counts_errors(metrics: Metrics, value: Callable[..., float]) -> None:
    async def fail(reached: asyncio.Event) -> None:
        reached.set()
        raise RuntimeError("on purpose")

    by_the_wall(fail, metrics)
    assert value("job_errors_total", job="once", kind="error") == 1


def test_wall_runs_quietly(metrics: Metrics, value: Callable[..., float]) -> None:
    async def succeed(reached: asyncio.Event) -> None:
        reached.set()

    by_the_wall(succeed, metrics)
    assert value("job_errors_total", job="once", kind="error") == 0


@pytest.mark.parametrize(("ago", "at_once"), [(2, True), (0, False)])
def test_wall_runs_at_once_what_came_due_while_away(metrics: Metrics, ago: int, at_once: bool) -> None:
    async def run() -> bool:
        now = dt.datetime.now(dt.UTC)
        scheduler = WallScheduler(metrics, {"daily": micros(now) - ago * 24 * HOUR}, wall_clock)
        done = asyncio.Event()

        async def work(_: int) -> None:
            done.set()

        scheduler.start()
        scheduler.add(Job("daily", every(dt.timedelta(days=1)), work))
        [job] = scheduler._scheduler.get_jobs()
        due_by_now = bool(job.next_run_time <= dt.datetime.now(dt.UTC))
        if due_by_now:
            async with asyncio.timeout(30):
                await done.wait()
        await scheduler.stop()
        return due_by_now

    assert asyncio.run(run()) is at_once


def test_wall_skips_a_job_that_still_runs(metrics: Metrics, value: Callable[..., float]) -> None:
    async def run() -> None:
        scheduler = WallScheduler(metrics, {}, wall_clock)
        begun, go_on = asyncio.Event(), asyncio.Event()
        skipped = asyncio.Event()
        scheduler._scheduler.add_listener(lambda _: skipped.set(), 1 << 16)  # EVENT_JOB_MAX_INSTANCES

        async def work(_: int) -> None:
            begun.set()
            await go_on.wait()

        scheduler.start()
        scheduler.add(Job("slow", every(dt.timedelta(seconds=1)), work))
        async with asyncio.timeout(30):
            await begun.wait()
            await skipped.wait()
        go_on.set()
        await scheduler.stop()

    asyncio.run(run())
    assert value("job_errors_total", job="slow", kind="skipped") >= 1


def test_new_data_does_not_move_the_wall(metrics: Metrics) -> None:
    scheduler = WallScheduler(metrics, {}, wall_clock)
    scheduler.advance(HOUR, 2 * HOUR)
    assert scheduler.settled(2 * HOUR)


def test_a_job_that_runs_when_the_agent_stops_is_no_failed_job(
    metrics: Metrics, value: Callable[..., float], caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        reached, ended = asyncio.Event(), asyncio.Event()

        async def work(_: int) -> None:
            reached.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        scheduler = WallScheduler(metrics, {}, wall_clock)
        scheduler.start()
        scheduler.add(Job("once", soon(), work))
        async with asyncio.timeout(30):
            await reached.wait()
            await scheduler.stop()
            await ended.wait()
            for _ in range(20):
                await asyncio.sleep(0)

    asyncio.run(run())
    assert value("job_errors_total", job="once", kind="error") == 0
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


@pytest.mark.parametrize("jump", [-HOUR, HOUR])
def test_a_jump_of_the_clock_is_counted_and_the_job_goes_on(
    jump: int, metrics: Metrics, value: Callable[..., float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a time far ahead, or back, at which the job was to run next."""
    monkeypatch.setattr(scheduler_module, "LOOK", 0.01)
    off = 0
    ran: list[int] = []

    async def run() -> None:
        nonlocal off
        again = asyncio.Event()

        async def work(now: int) -> None:
            ran.append(now)
            again.set()

        scheduler = WallScheduler(metrics, {}, lambda: wall_clock() + off)
        scheduler.start()
        scheduler.add(Job("often", every(dt.timedelta(seconds=1)), work))
        async with asyncio.timeout(30):
            await again.wait()
            off = jump
            if jump < 0:  # APScheduler reads the real clock: what it planned by the former is as far away
                scheduler._scheduler.modify_job("often", next_run_time=dt.datetime.now(dt.UTC) + dt.timedelta(hours=1))
            again.clear()
            await again.wait()
            while not value("clock_jumps_total"):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await scheduler.stop()

    asyncio.run(run())
    assert len(ran) >= 2
    assert value("clock_jumps_total") == 1


def test_a_job_put_off_by_a_clock_that_came_back_between_two_looks_runs(
    metrics: Metrics, value: Callable[..., float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten years ahead and back within the seconds between two looks: no jump is seen, and the job is ten years off."""
    monkeypatch.setattr(scheduler_module, "LOOK", 0.01)

    async def run() -> None:
        again = asyncio.Event()

        async def work(_: int) -> None:
            again.set()

        scheduler = WallScheduler(metrics, {}, wall_clock)
        scheduler.start()
        scheduler.add(Job("often", every(dt.timedelta(seconds=1)), work))
        async with asyncio.timeout(30):
            await again.wait()
            far = dt.datetime.now(dt.UTC) + dt.timedelta(days=3650)
            scheduler._scheduler.modify_job("often", next_run_time=far)
            again.clear()
            await again.wait()
        await scheduler.stop()

    asyncio.run(run())
    assert value("clock_jumps_total") == 0


def test_a_last_run_in_the_future_holds_nothing_up(metrics: Metrics) -> None:
    async def run() -> None:
        ran = asyncio.Event()

        async def work(_: int) -> None:
            ran.set()

        scheduler = WallScheduler(metrics, {"often": wall_clock() + 24 * HOUR}, wall_clock)
        scheduler.start()
        scheduler.add(Job("often", every(dt.timedelta(seconds=1)), work))
        async with asyncio.timeout(30):
            await ran.wait()
        await scheduler.stop()

    asyncio.run(run())
