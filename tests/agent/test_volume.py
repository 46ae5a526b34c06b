"""What is usual of a model's rows: learnt seasons, quiet where nothing happens, and what is seen when something does."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from tests.agent.served import BETWEEN, DAY, WEEK, alarmed, batch, daily, office, said, served, weekly

from tenure_agent.records import Level
from tenure_agent.volume import LEAST, MOST, learn, season, since_silence, surprise

Array = npt.NDArray[Any]
Shape = Callable[[int], Array]
DAYS = 14 + 90  # a fortnight to learn from, and the time in which one false episode is stated
AT = 60 * DAY + 10  # an hour of a working day's morning


@pytest.mark.parametrize(
    ("shape", "days", "hours"),
    [
        *(
            (shape, days, hours)
            for shape, hours in ((weekly, WEEK), (daily, DAY), (office, WEEK))
            for days in (14, 28, 70)
        ),
        (lambda days: np.ones(days * DAY), 70, DAY),
    ],
)
def test_the_season_is_learnt(shape: Shape, days: int, hours: int) -> None:
    assert season(served(shape(days), 1)) == hours


def test_a_season_that_is_no_calendars() -> None:
    hour = np.arange(60 * DAY)
    assert season(np.round(1000 * (2 + np.sin(2 * np.pi * hour / 31))).astype(int)) == 31
    assert season(np.round(1000 * (2 + np.sin(2 * np.pi * hour / 8))).astype(int)) == DAY  # three of them
    assert season(np.full(LEAST, 7)) == DAY


def test_two_weeks_at_least() -> None:
    counts = served(weekly(15), 1)
    assert learn(counts[: LEAST - DAY], BETWEEN) is None
    found = learn(counts[:LEAST], BETWEEN)
    assert found is not None
    assert not found.blind
    assert found.hour.between(12)[0] < counts[LEAST + 12] < found.hour.between(12)[1]
    assert found.day.between(23)[0] < counts[-DAY:].sum() < found.day.between(23)[1]


def test_what_was_before_a_long_silence_is_forgotten() -> None:
    counts = np.ones(MOST, np.int64)
    assert len(since_silence(counts)) == MOST
    counts[100 : 100 + LEAST - 1] = 0
    assert len(since_silence(counts)) == MOST
    counts[99] = 0
    assert len(since_silence(counts)) == MOST - -(-(100 + LEAST - 1) // DAY) * DAY
    counts[-LEAST:] = 0
    assert len(since_silence(counts)) == 0


def test_surprise_is_that_of_a_negative_binomial() -> None:
    def one(rows: float, least: float, most: float, spread: float) -> float:
        return float(surprise(np.array([rows]), np.array([least]), np.array([most]), spread)[0])

    assert one(50, 40, 60, 0.01) == 0
    # Poisson: P(X <= 0 | 10) = 4.5e-5, z = 3.92; P(X <= 70 | 100) = 0.00097, z = 3.10
    assert one(0, 10, 10, 1e-9) == pytest.approx(3.92, abs=0.1)
    assert one(70, 100, 100, 1e-9) == pytest.approx(3.10, abs=0.05)
    # The more counts stray by themselves, the less one of them says.
    surprises = [one(0, 100, 100, spread) for spread in (1e-4, 0.01, 0.1, 1.0)]
    assert all(first > second for first, second in pairwise(surprises))
    assert one(1e6, 0, 0, 0.1) > 5
    assert np.isfinite(one(1e9, 1, 1, 1e-4))
    assert one(5, np.nan, np.nan, 0.1) == 0


@pytest.mark.parametrize(
    ("shape", "noise"),
    [(weekly, {}), (weekly, {"hourly": 0.3, "by_day": 0.2}), (weekly, {"mean": 20}), (office, {})],
)
def test_quiet_streams_have_no_more_false_episodes_than_stated(shape: Shape, noise: dict[str, float]) -> None:
    streams = [served(shape(DAYS), seed, **noise) for seed in range(8)]
    assert sum(len(alarmed(counts)) for counts in streams) <= len(streams)


@pytest.mark.parametrize("a_week", [1.01, 1.05, 0.98])
def test_slow_growth_is_usual(a_week: float) -> None:
    growth = a_week ** (np.arange(DAYS * DAY) / WEEK)
    assert sum(len(alarmed(served(weekly(DAYS) * growth, seed))) for seed in range(2)) <= 2


@pytest.mark.parametrize(
    "shape",
    [batch(DAYS), batch(DAYS, late=1), batch(DAYS, weekdays=5), batch(DAYS, late=5)],
    ids=["on time", "an hour late now and then", "on weekdays", "five hours late now and then"],
)
def test_a_batch_a_day_is_usual(shape: Array) -> None:
    assert sum(len(alarmed(served(shape, seed))) for seed in range(2)) <= 2


def test_a_batch_that_does_not_come_is_seen() -> None:
    counts = served(batch(70), 1)
    counts[60 * DAY + 3] = 0
    [first] = alarmed(counts)
    assert first - (60 * DAY + 3) <= 2


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("factor", "within"), [(0.0, 2), (10.0, 2), (0.5, DAY)], ids=["none", "tenfold", "half"])
def test_what_happens_is_seen(factor: float, within: int, seed: int) -> None:
    counts = served(weekly(63), seed)
    counts[AT:] = (counts[AT:] * factor).astype(int)
    first = next(hour for hour in alarmed(counts) if hour >= AT)
    assert first - AT < within


def test_by_night_and_at_weekends_an_office_may_be_silent() -> None:
    counts = served(office(70), 3)
    friday = 60 * DAY // WEEK * WEEK + 4 * DAY + 18
    counts[friday:] = 0  # an outage that begins when everybody goes home
    first = next(hour for hour in alarmed(counts) if hour >= friday)
    monday = friday - 18 + 3 * DAY + 8
    assert monday <= first <= monday + 4


def test_a_holiday_is_told_and_the_weeks_after_it_are_usual() -> None:
    counts = served(weekly(DAYS), 5)
    before = alarmed(counts)
    holiday = 63 * DAY  # a Monday
    counts[holiday : holiday + DAY] //= 5
    found = [hour for hour in alarmed(counts) if hour not in before]
    assert len(found) == 1
    assert holiday <= found[0] < holiday + DAY


def test_a_new_level_is_known_after_half_a_week() -> None:
    counts = served(weekly(DAYS), 4)
    counts[AT:] //= 3
    [first] = alarmed(counts)
    hours_on = np.flatnonzero([verdict.level is Level.WARNING for verdict, _ in said(counts)])
    assert AT <= first < AT + DAY
    assert 3 * DAY < hours_on[-1] - AT < 6 * DAY


def test_outages_stay_outages_and_what_comes_again_and_again_is_known() -> None:
    rare, frequent = served(weekly(DAYS), 6), served(weekly(DAYS), 6)
    for hour in (40 * DAY + 12, 75 * DAY + 12):
        rare[hour : hour + 6] = 0
    for hour in range(20 * DAY + 12, len(frequent), 5 * DAY):
        frequent[hour : hour + 6] = 0
    assert len(alarmed(rare)) == 2
    late = [hour for hour in alarmed(frequent) if hour > 50 * DAY]
    assert len(late) <= 2


def test_the_stated_rate_sets_the_threshold() -> None:
    counts = served(weekly(42), 1)
    thresholds = [learn(counts, days * DAY) for days in (7, 90, 3650)]
    for scale in ("hour", "day"):
        first, second, third = (getattr(found, scale).threshold for found in thresholds)
        assert first < second < third


def test_rows_too_few_or_too_irregular_are_not_judged() -> None:
    few = learn(served(daily(60), 1, mean=0.1), BETWEEN)
    rng = np.random.default_rng(1)
    irregular = np.where(rng.uniform(size=60 * DAY) < 0.02, rng.integers(1, 5000, 60 * DAY), 0)
    found = learn(irregular, BETWEEN)
    assert few is not None
    assert found is not None
    assert few.blind
    assert found.blind
