"""Durations, sizes and rates as people write them: 30s 15m 6h 14d, 256MiB 2GiB, 1 per 90d."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
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


Duration = Annotated[timedelta, BeforeValidator(read_duration), PlainSerializer(show_duration)]
Size = Annotated[int, BeforeValidator(read_size), PlainSerializer(show_size)]
Rate = Annotated[Often, BeforeValidator(read_rate), PlainSerializer(show_rate)]
