"""Durations, sizes, rates and times: what is shown is read back as the same."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure_agent.units import (
    Often,
    read_duration,
    read_moment,
    read_rate,
    read_size,
    show_duration,
    show_moment,
    show_rate,
    show_size,
)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0s"),
        (0.0005, "0.5ms"),
        (0.25, "250ms"),
        (30, "30s"),
        (90, "90s"),
        (5400, "90m"),
        (86400, "1d"),
        (604800, "7d"),
    ],
)
def test_durations_are_shown_in_the_largest_unit_that_divides_them(seconds: float, shown: str) -> None:
    assert show_duration(timedelta(seconds=seconds)) == shown


@pytest.mark.parametrize(("size", "shown"), [(1000, 1000), (1024, "1KiB"), (256 << 20, "256MiB"), (3 << 29, "1536MiB")])
def test_sizes_are_shown_in_the_largest_unit_that_divides_them(size: int, shown: str | int) -> None:
    assert show_size(size) == shown


@pytest.mark.parametrize(
    ("text", "times", "span", "shown"),
    [
        ("1 per 90d", 1, timedelta(days=90), "1 per 90d"),
        (" 12  per  24h ", 12, timedelta(days=1), "12 per 1d"),
        ("3 per 1.5 h", 3, timedelta(minutes=90), "3 per 90m"),
    ],
)
def test_rates(text: str, times: int, span: timedelta, shown: str) -> None:
    assert read_rate(text) == Often(times, span) == read_rate(Often(times, span))
    assert show_rate(read_rate(text)) == shown


@pytest.mark.parametrize(
    "value",
    ["", "1", "90d", "0 per 90d", "-1 per 90d", "1.5 per 90d", "1 per 0d", "1 per", "1 per month", "1per90d", 1, None],
)
def test_no_rate(value: object) -> None:
    with pytest.raises(ValueError, match="a rate such as 1 per 90d"):
        read_rate(value)


def test_windows_side_by_side_between_two() -> None:
    assert Often(1, timedelta(days=90)).windows(timedelta(hours=1)) == 2160
    assert Often(3, timedelta(days=90)).windows(timedelta(days=1)) == 30


@given(st.integers(1, 10**6), st.integers(1, 36500 * 86_400_000).map(lambda millis: timedelta(milliseconds=millis)))
def test_a_shown_rate_is_read_back(times: int, span: timedelta) -> None:
    assert read_rate(show_rate(Often(times, span))) == Often(times, span)


@given(st.integers(0, 36500 * 86_400_000).map(lambda millis: timedelta(milliseconds=millis)))
def test_a_shown_duration_is_read_back(value: timedelta) -> None:
    assert read_duration(show_duration(value)) == value


@given(st.integers(1, 1 << 60))
def test_a_shown_size_is_read_back(value: int) -> None:
    assert read_size(show_size(value)) == value


@pytest.mark.parametrize(
    ("told", "hour", "shown"),
    [
        ("2024-03-01", 0, "2024-03-01"),
        (date(2024, 3, 1), 0, "2024-03-01"),
        (datetime(2024, 3, 1, 6), 6, "2024-03-01T06:00:00Z"),  # noqa: DTZ001  # as YAML gives it
        ("2024-03-01T06:00:00Z", 6, "2024-03-01T06:00:00Z"),
        ("2024-03-01T06:00:00+02:00", 4, "2024-03-01T04:00:00Z"),
    ],
)
def test_times_are_utc(told: object, hour: int, shown: str) -> None:
    found = read_moment(told)
    assert found == datetime(2024, 3, 1, hour, tzinfo=UTC)
    assert show_moment(found) == shown
    assert read_moment(shown) == found


@pytest.mark.parametrize("told", ["soon", "", 20240301, None, 1.5])
def test_what_is_no_time_is_refused(told: object) -> None:
    with pytest.raises(ValueError, match="a time such as"):
        read_moment(told)
