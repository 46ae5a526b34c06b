"""Durations and sizes: what is shown is read back as the same."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure_agent.units import read_duration, read_size, show_duration, show_size


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


@given(st.integers(0, 36500 * 86_400_000).map(lambda millis: timedelta(milliseconds=millis)))
def test_a_shown_duration_is_read_back(value: timedelta) -> None:
    assert read_duration(show_duration(value)) == value


@given(st.integers(1, 1 << 60))
def test_a_shown_size_is_read_back(value: int) -> None:
    assert read_size(show_size(value)) == value
