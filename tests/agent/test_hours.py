"""Hours as they go: counted, judged in order, told in one sentence, and taken up again where they were left."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from tests.agent.served import BETWEEN, DAY, Array, alarmed, batch, daily, office, said, served, weekly

from tenure_agent.checks.volume import CHECK, check_volume
from tenure_agent.hours import Hours
from tenure_agent.records import HOUR, Level
from tenure_agent.volume import MOST, learn

OK, WARNING, UNKNOWN = Level.OK, Level.WARNING, Level.INSUFFICIENT_DATA
COUNTS = served(weekly(30), 1)
Shape = Callable[[int], Array]


def hours(upto: int = len(COUNTS)) -> Hours:
    found = Hours(BETWEEN)
    found.add(dict(enumerate(COUNTS[:upto].tolist())))
    return found


def test_unknown_for_two_weeks_then_ok() -> None:
    found = said(COUNTS[: 15 * DAY])
    assert [alone for _, alone in found] == [UNKNOWN] * 14 * DAY + [OK] * DAY
    first, last = found[5 * DAY][0], found[-1][0]
    assert first.reason == "5 days of rows so far, of the 14 that tell what is usual"
    assert (last.check, last.level, last.rows) == (CHECK, OK, COUNTS[15 * DAY - 1])
    assert (last.window.start, last.window.end) == ((15 * DAY - 1) * HOUR, 15 * DAY * HOUR)
    assert last.reason.startswith(f"{last.rows:,} rows in the last hour; at this hour of the week it is usually ")


def test_an_outage_opens_an_episode_and_its_end_closes_it() -> None:
    counts = COUNTS.copy()
    counts[20 * DAY + 9 : 20 * DAY + 13] = 0
    found = said(counts[: 21 * DAY])[20 * DAY + 8 :]
    assert [alone for _, alone in found[:6]] == [OK, WARNING, WARNING, WARNING, WARNING, OK]
    assert [verdict.level for verdict, _ in found[:9]] == [OK, OK, *[WARNING] * 5, OK, OK]
    assert found[1][0].reason.startswith("not confirmed yet by 2 of 3 hours: 0 rows in the last hour; at this hour of")
    assert found[2][0].reason.startswith("0 rows in the last hour; at this hour of the week it is usually ")
    assert found[6][0].reason.endswith("; closes after 3 usual hours")


def test_a_day_without_its_batch_is_told_by_the_day() -> None:
    counts = served(batch(30), 1)
    counts[25 * DAY + 3] = 0
    reasons = [verdict.reason for verdict, _ in said(counts[: 25 * DAY + 6]) if verdict.level is WARNING]
    assert reasons[0].startswith("0 rows in the last 24 hours; by now it is usually ")


def test_hours_judged_while_the_clock_was_ahead_are_judged_again() -> None:
    found, upto = hours(), len(COUNTS)
    assert len(list(found.judge(upto, None))) == upto
    assert found.go_back(upto) == found.go_back(upto - 1) == []
    assert len(list(found.judge(upto + 30 * DAY, None))) == 30 * DAY
    assert sorted(found.go_back(upto + 2)) == list(range(upto + 2, upto + 30 * DAY))
    assert found.add({upto + 5: 40}) == [upto + 5]
    assert [hour for hour, *_ in found.judge(upto + 6, None)] == [upto + 2, upto + 3, upto + 4, upto + 5]


def test_each_hour_is_judged_once_and_keeps_what_was_seen_then() -> None:
    found = hours()
    upto = len(COUNTS)
    assert [hour for hour, *_ in found.judge(upto - 2, None)] == list(range(upto - 2))
    assert found.add({upto - 3: 5000, upto - 2: 7}) == [upto - 2]
    [(hour, verdict, _)] = found.judge(upto - 1, None)
    assert (hour, verdict.rows) == (upto - 2, COUNTS[upto - 2] + 7)
    assert found.counts[upto - 3] == COUNTS[upto - 3]
    assert list(found.judge(upto - 1, None)) == []


def test_hours_over_long_ago_are_passed_over_by_the_wall() -> None:
    found = hours(20 * DAY)
    assert [hour for hour, *_ in found.judge(20 * DAY, 1)] == [20 * DAY - 1]
    later = 20 * DAY + 9  # nobody looked for nine hours, and reports still wait with who sent them
    assert [hour for hour, *_ in found.judge(later, 1)] == [later - 1]
    assert found.add({later - 5: 300, later - 1: 300}) == [later - 5]


def test_taken_up_again_it_says_what_it_would_have_said() -> None:
    counts = COUNTS.copy()
    counts[20 * DAY + 9 :] = 0
    whole = said(counts)
    for cut in (20 * DAY + 10, 20 * DAY + 11, 22 * DAY + 5):
        before = Hours(BETWEEN)
        before.add(dict(enumerate(counts.tolist())))
        told = [(verdict, alone) for _, verdict, alone in before.judge(cut, None)]
        recent = [(alone, verdict.level) for verdict, alone in told if alone is not UNKNOWN][-3:]
        after = Hours(BETWEEN, before.counts, before.judged, recent)
        assert [(verdict, alone) for _, verdict, alone in after.judge(len(counts), None)] == whole[cut:]


def test_years_of_silence_cost_little_and_are_told_until_nothing_is_known() -> None:
    found = hours()
    again = len(COUNTS) + 100_000
    found.add({again + i: 100 for i in range(3)})
    levels = [verdict.level for hour, verdict, _ in found.judge(again + 3, None) if hour >= len(COUNTS) + 2]
    assert len(levels) <= MOST + 3
    assert set(levels[: 50 * DAY]) == {WARNING}
    assert set(levels[57 * DAY :]) == {UNKNOWN}


@pytest.mark.parametrize("shape", [weekly, daily, office, batch])
def test_a_silence_is_told_while_it_lasts_and_what_comes_then_is_held_against_what_was_before(shape: Shape) -> None:
    for days in (1, 2, 4, 7, 13, 16, 35):
        counts = served(shape(30 + days + 4), 1)
        back = (30 + days) * DAY + 9
        counts[30 * DAY + 9 : back] = 0
        for factor in (1.0, 0.1):
            now = counts.copy()
            now[back:] = np.round(now[back:] * factor)
            levels = [verdict.level for verdict, _ in said(now)]
            assert set(levels[30 * DAY + 9 + 20 : back]) == {WARNING}, days
            if factor == 1.0:
                assert set(levels[back + DAY + 8 :]) == {OK}, days
            else:
                assert WARNING in levels[back : back + DAY], days


def test_once_nothing_is_known_any_more_it_says_so() -> None:
    counts = np.concatenate((COUNTS, np.zeros(60 * DAY, np.int64)))
    last, alone = said(counts)[-1]
    assert (last.level, alone) == (UNKNOWN, UNKNOWN)
    assert last.reason == "no row for 60 days, and what was usual before is not known"


def test_a_model_that_served_a_few_days_only_never_alarms() -> None:
    counts = np.concatenate((COUNTS[: 5 * DAY], np.zeros(40 * DAY, np.int64)))
    assert {verdict.level for verdict, _ in said(counts)} <= {UNKNOWN, OK}


def test_silences_that_come_again_are_learnt() -> None:
    counts = served(daily(120), 1)
    day = np.arange(len(counts)) // DAY
    counts[(day >= 40) & (day % 7 >= 5)] = 0
    assert {hour // DAY for hour in alarmed(counts)} == {40, 47, 54}


@pytest.mark.parametrize("cut", [3 * DAY + 5, 20 * DAY, 24 * DAY + 1])
def test_a_silence_is_taken_up_again_where_it_was(cut: int) -> None:
    counts = served(weekly(55), 1)
    counts[30 * DAY + 9 : 53 * DAY + 9] = 0
    whole, cut = said(counts), 30 * DAY + cut
    before = Hours(BETWEEN)
    before.add(dict(enumerate(counts.tolist())))
    told = [(verdict, alone) for _, verdict, alone in before.judge(cut, None)]
    recent = [(alone, verdict.level) for verdict, alone in told if alone is not UNKNOWN][-3:]
    after = Hours(BETWEEN, before.counts, before.judged, recent)
    assert [(verdict, alone) for _, verdict, alone in after.judge(len(counts), None)] == whole[cut:]


def test_only_ten_weeks_are_kept() -> None:
    counts = served(weekly(80), 1)
    found = Hours(BETWEEN)
    found.add(dict(enumerate(counts.tolist())))
    list(found.judge(len(counts), None))
    assert min(found.counts) == min(found.judged) >= len(counts) - MOST - 8 * DAY


@pytest.mark.parametrize(
    ("counts", "word"), [(served(weekly(28), 3, mean=0.1), "seldom"), (served(weekly(28), 2), "usually")]
)
def test_what_cannot_be_judged_is_never_ok(counts: np.ndarray, word: str) -> None:
    level, reason = check_volume(
        learn(counts, BETWEEN), 28, 12, int(counts[-DAY * 7 + 12]), int(counts[-DAY * 7 :][:DAY].sum())
    )
    assert word in reason
    assert level is (UNKNOWN if word == "seldom" else OK)
