"""When jobs run: the event clock, and APScheduler by the wall."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable, Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from tenure_agent.metrics import Metrics
from tenure_agent.records import micros, moment
from tenure_agent.scheduler import EventScheduler, Job, every, schedule_due

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
START = micros(dt.datetime(2013, 3, 1, tzinfo=dt.UTC))


def minutes(n: float) -> dt.timedelta:
    return dt.timedelta(minutes=n)


class Diary:
    """Jobs that write down when they were due."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, int]] = []
        self.written = asyncio.Event()

    def job(self, name: str, interval: dt.timedelta) -> Job:
        async def work(now: int) -> None:
            await asyncio.sleep(0)
            self.entries.append((name, now))
            self.written.set()

        return Job(name, every(interval), work)


async def settled(scheduler: EventScheduler, newest: int) -> None:
    while not scheduler.settled(newest):  # noqa: ASYNC110  # as the demo asks, over and over
        await asyncio.sleep(0)


def replay(
    steps: Sequence[tuple[int, int]],
    jobs: Mapping[str, dt.timedelta],
    last_runs: Mapping[str, int] | None = None,
    metrics: Metrics | None = None,
) -> list[tuple[str, int]]:
    """What runs when data arrives in the given (oldest, newest) steps."""

    async def run() -> list[tuple[str, int]]:
        scheduler = EventScheduler(metrics or Metrics(CollectorRegistry()), last_runs or {})
        diary = Diary()
        for name, interval in jobs.items():
            scheduler.add(diary.job(name, interval))
        scheduler.start()
        for oldest, newest in steps:
            scheduler.advance(oldest, newest)
            await settled(scheduler, newest)
        await scheduler.stop()
        return diary.entries

    return asyncio.run(run())


def test_due_times_are_whole_multiples_of_the_interval() -> None:
    entries = replay([(START + MINUTE, START + 16 * MINUTE)], {"a": minutes(5)})
    assert entries == [("a", START + 5 * MINUTE), ("a", START + 10 * MINUTE), ("a", START + 15 * MINUTE)]


def test_jobs_run_in_the_order_of_their_due_times() -> None:
    entries = replay([(START + 1, START + HOUR)], {"hourly": minutes(60), "five": minutes(5), "seven": minutes(7)})

    times = [due for _, due in entries]
    assert times == sorted(times)
    assert sum(name == "five" for name, _ in entries) == 12
    assert entries.count(("hourly", START + HOUR)) == 1


def test_nothing_is_due_before_the_first_event() -> None:
    assert replay([], {"a": minutes(5)}) == []
    assert replay([(START, START)], {"a": minutes(5)}) == []
    assert replay([(START + 5 * MINUTE - 1, START + 5 * MINUTE)], {"a": minutes(5)}) == [("a", START + 5 * MINUTE)]


@settings(deadline=None, derandomize=True, max_examples=40)
@given(st.lists(st.integers(1, 40 * MINUTE), min_size=1, max_size=12), st.data())
def test_batching_does_not_matter(gaps: list[int], data: st.DataObject) -> None:
    times = [START + sum(gaps[: i + 1]) for i in range(len(gaps))]
    jobs = {"five": minutes(5), "quarter": minutes(15), "hour": minutes(60)}
    one_by_one = replay([(time, time) for time in times], jobs)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(times)), max_size=4)) | {len(times)})
    groups = [times[start:end] for start, end in zip([0, *cuts], cuts, strict=False) if start < end]

    assert replay([(group[0], group[-1]) for group in groups], jobs) == one_by_one
    assert replay([(times[0], times[-1])], jobs) == one_by_one


def test_late_data_runs_nothing_again() -> None:
    steps = [(START, START + 11 * MINUTE), (START - HOUR, START - HOUR), (START, START + 11 * MINUTE)]
    assert len(replay(steps, {"a": minutes(5)})) == 2


def test_a_far_jump_runs_once_and_is_counted(metrics: Metrics, value: Callable[..., float]) -> None:
    year = 365 * 24 * HOUR
    entries = replay([(START, START), (START + year, START + year + 1)], {"a": minutes(5)}, metrics=metrics)

    assert entries == [("a", START + year)]
    assert value("job_errors_total", job="a", kind="skipped") == 1


def test_a_jump_of_days_is_caught_up_run_by_run() -> None:
    entries = replay([(START, START), (START, START + 72 * HOUR)], {"a": minutes(60)})
    assert [due for _, due in entries] == [START + hour * HOUR for hour in range(1, 73)]


def test_schedules_survive_a_restart() -> None:
    steps = [(START, START + 4 * HOUR)]
    whole = replay(steps, {"a": minutes(60), "b": minutes(90)})
    ran = {"a": START + 2 * HOUR, "b": START + 90 * MINUTE}

    assert replay(steps, {"a": minutes(60), "b": minutes(90)}, ran) == [
        (name, due) for name, due in whole if due > ran[name]
    ]


def test_a_job_added_later_starts_with_the_first_event() -> None:
    async def run() -> list[tuple[str, int]]:
        scheduler = EventScheduler(Metrics(CollectorRegistry()), {})
        diary = Diary()
        scheduler.start()
        scheduler.advance(START, START + 11 * MINUTE)
        scheduler.add(diary.job("late", minutes(5)))
        await settled(scheduler, START + 11 * MINUTE)
        await scheduler.stop()
        return diary.entries

    assert asyncio.run(run()) == [("late", START + 5 * MINUTE), ("late", START + 10 * MINUTE)]


def test_a_job_that_fails_is_counted_and_others_go_on(metrics: Metrics, value: Callable[..., float]) -> None:
    async def run() -> list[tuple[str, int]]:
        scheduler = EventScheduler(metrics, {})
        diary = Diary()

        async def fail(_: int) -> None:
            raise RuntimeError("on purpose")

        scheduler.add(Job("bad", every(minutes(5)), fail))
        scheduler.add(diary.job("good", minutes(5)))
        scheduler.start()
        scheduler.advance(START, START + 15 * MINUTE)
        await settled(scheduler, START + 15 * MINUTE)
        await scheduler.stop()
        return diary.entries

    assert len(asyncio.run(run())) == 3
    assert value("job_errors_total", job="bad", kind="error") == 3
    assert value("job_errors_total", job="good", kind="error") == 0


def test_not_settled_while_a_job_runs() -> None:
    async def run() -> tuple[bool, bool, bool]:
        scheduler = EventScheduler(Metrics(CollectorRegistry()), {})
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def work(_: int) -> None:
            begun.set()
            await go_on.wait()

        scheduler.add(Job("slow", every(minutes(5)), work))
        scheduler.start()
        before = scheduler.settled(START)
        scheduler.advance(START, START + 5 * MINUTE)
        await begun.wait()
        during = scheduler.settled(START + 5 * MINUTE)
        go_on.set()
        await settled(scheduler, START + 5 * MINUTE)
        after = scheduler.settled(START + 5 * MINUTE + 1)
        await scheduler.stop()
        return before, during, after

    assert asyncio.run(run()) == (False, False, False)


INTERVALS = st.sampled_from([1, 7, 60, 300, 3600, 86_400, 7 * 86_400, 30 * 86_400])


@settings(deadline=None, derandomize=True, max_examples=300)
@given(INTERVALS, st.integers(0, 2_000_000_000))
def test_the_next_due_time_is_always_later(interval: int, seconds: int) -> None:
    # The trigger computes in floats: a due time must not give itself again, or a job would run for ever.
    trigger = every(dt.timedelta(seconds=interval))
    due = seconds // interval * interval * SECOND
    following = trigger.get_next_fire_time(None, moment(due + 1))
    assert following is not None
    assert micros(following) == due + interval * SECOND


@pytest.mark.parametrize(
    ("schedule", "since", "now", "due"),
    [
        (None, "2024-01-01T00:00", "2024-12-31T00:00", False),
        ("0 3 * * mon", "2024-01-01T02:59", "2024-01-01T03:00", True),  # a Monday
        ("0 3 * * mon", "2024-01-01T03:00", "2024-01-08T02:59", False),
        ("0 3 * * mon", "2024-01-01T03:00", "2024-01-08T03:00", True),
        ("0 3 * * mon", "2023-12-01T00:00", "2024-01-03T00:00", True),
        ("0 3 1 * *", "2024-01-01T03:00", "2024-02-01T02:00", False),
        ("30 6 * * mon-fri", "2024-01-05T07:00", "2024-01-08T06:29", False),
        ("30 6 * * mon-fri", "2024-01-05T07:00", "2024-01-08T06:30", True),
    ],
)
def test_schedules(schedule: str | None, since: str, now: str, due: bool) -> None:
    times = (micros(dt.datetime.fromisoformat(f"{text}+00:00")) for text in (since, now))
    assert schedule_due(schedule, *times) is due


def test_of_runs_missed_together_only_the_last_is_due() -> None:
    trigger, start = every(dt.timedelta(minutes=1)), dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    ahead = start + dt.timedelta(days=3650, seconds=30)
    last = trigger.get_next_fire_time(start, ahead)
    assert last == start + dt.timedelta(days=3650)
    assert trigger.get_next_fire_time(last, ahead) == last + dt.timedelta(minutes=1)
    assert trigger.get_next_fire_time(start, start + dt.timedelta(seconds=30)) == start + dt.timedelta(minutes=1)
