"""Durations, sizes, rates and times as people write them: 30s 15m 6h 14d, 256MiB 2GiB, 1 per 90d, 2024-03-01."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer

UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
SIZES = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}


def in_micros(value: timedelta) -> int:
    """Whole microseconds."""
    return value // timedelta(microseconds=1)


def read_duration(value: object) -> timedelta:
    """
    Raises
    ------
    ValueError
        With what a duration looks like.
    """
    if isinstance(value, timedelta):
        return value
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)\s*", value) if isinstance(value, str) else None
    if not match:
        raise ValueError("a duration such as 30s, 15m, 6h or 14d")
    return timedelta(milliseconds=float(match[1]) * UNITS[match[2]])


def show_duration(value: timedelta) -> str:
    """In the largest unit that divides it."""
    millis = value / timedelta(milliseconds=1)
    unit = max((unit for unit in UNITS if millis % UNITS[unit] == 0), key=UNITS.__getitem__, default="ms")
    return f"{millis / UNITS[unit]:.15g}{unit}" if millis else "0s"


def read_size(value: object) -> int:
    """
    Raises
    ------
    ValueError
        With what a size looks like.
    """
    if isinstance(value, str):
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(KiB|MiB|GiB|TiB)\s*", value)
        if match:
            return int(float(match[1]) * SIZES[match[2]])
    elif isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    raise ValueError("a size such as 256MiB or 2GiB")


def show_size(value: int) -> str | int:
    """In the largest unit that divides it; plain bytes where none does."""
    unit = max((unit for unit in SIZES if value % SIZES[unit] == 0), key=SIZES.__getitem__, default=None)
    return f"{value // SIZES[unit]}{unit}" if unit else value


@dataclass(frozen=True, slots=True)
class Often:
    """So many in so long."""

    times: int
    span: timedelta

    def windows(self, window: timedelta) -> float:
        """How many windows side by side go by between two."""
        return self.span / window / self.times


def read_rate(value: object) -> Often:
    """
    Raises
    ------
    ValueError
        With what a rate looks like.
    """
    if isinstance(value, Often):
        return value
    match = re.fullmatch(r"\s*([1-9]\d*)\s+per\s+(.+)", value) if isinstance(value, str) else None
    try:
        if match and (span := read_duration(match[2])):
            return Often(int(match[1]), span)
    except ValueError:
        pass
    raise ValueError("a rate such as 1 per 90d")


def show_rate(value: Often) -> str:
    return f"{value.times} per {show_duration(value.span)}"


def read_moment(value: object) -> datetime:
    """A time in UTC, unless it says otherwise; a date is its first moment.

    Raises
    ------
    ValueError
        With what a time looks like.
    """
    if isinstance(value, str):
        with suppress(ValueError):
            value = datetime.fromisoformat(value)
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    if isinstance(value, date):
        return datetime.combine(value, time(), UTC)
    raise ValueError("a time such as 2024-03-01 or 2024-03-01T06:00:00Z")


def show_moment(value: datetime) -> str:
    """A day's first moment as the day."""
    return value.date().isoformat() if value.time() == time() else value.isoformat().replace("+00:00", "Z")


Duration = Annotated[timedelta, BeforeValidator(read_duration), PlainSerializer(show_duration)]
Size = Annotated[int, BeforeValidator(read_size), PlainSerializer(show_size)]
Rate = Annotated[Often, BeforeValidator(read_rate), PlainSerializer(show_rate)]
Moment = Annotated[datetime, BeforeValidator(read_moment), PlainSerializer(show_moment)]
