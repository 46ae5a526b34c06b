"""Rows a model serves, hour by hour: seasons, and noise that is no Poisson's."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tenure_agent.hours import Hours
from tenure_agent.records import Level, Verdict

Array = npt.NDArray[Any]
DAY, WEEK = 24, 168
BETWEEN = 90 * DAY


def weekly(days: int) -> Array:
    """Shares of the mean: five times as much at noon as by night, half as much at weekends."""
    hour = np.arange(days * DAY)
    shape = np.exp(0.8 * np.sin(2 * np.pi * (hour % DAY - 6) / DAY)) * np.where(hour // DAY % 7 >= 5, 0.5, 1.0)
    found: Array = shape / shape.mean()
    return found


def daily(days: int) -> Array:
    hour = np.arange(days * DAY)
    return np.exp(0.8 * np.sin(2 * np.pi * (hour - 6) / DAY))


def office(days: int) -> Array:
    hour = np.arange(days * DAY)
    return 3.0 * ((hour % DAY >= 8) & (hour % DAY < 18) & (hour // DAY % 7 < 5))


def batch(days: int, *, late: int = 0, weekdays: int = 7) -> Array:
    """All of a day's rows at three, on every third day `late` hours later."""
    shape = np.zeros(days * DAY)
    served = np.arange(days)[np.arange(days) % 7 < weekdays]
    shape[served * DAY + 3 + np.where(served % 3 == 0, late, 0)] = DAY
    return shape


def served(shape: Array, seed: int, *, mean: float = 2000, hourly: float = 0.1, by_day: float = 0.05) -> Array:
    """int64 (hours): counts around a shape; an hour is like the one before, and a busy day is busy all day."""
    rng = np.random.default_rng(seed)
    drawn, noise = rng.normal(0, hourly * np.sqrt(1 - 0.9**2), len(shape)), np.zeros(len(shape))
    for i in range(1, len(shape)):
        noise[i] = 0.9 * noise[i - 1] + drawn[i]
    noise += np.repeat(rng.normal(0, by_day, len(shape) // DAY), DAY)
    found: Array = rng.poisson(mean * shape * np.exp(noise))
    return found


def said(counts: Array, between: float = BETWEEN) -> list[tuple[Verdict, Level]]:
    """What is said of each hour: the verdict, and its own level."""
    hours = Hours(between)
    hours.add(dict(enumerate(counts.tolist())))
    return [(verdict, alone) for _, verdict, alone in hours.judge(len(counts), None)]


def alarmed(counts: Array, between: float = BETWEEN) -> list[int]:
    """The hours at which an episode began."""
    levels = [verdict.level for verdict, _ in said(counts, between)]
    on = [level is Level.WARNING for level in levels]
    return [i for i in range(1, len(on)) if on[i] and not on[i - 1]]
