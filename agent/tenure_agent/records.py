"""Frozen values that travel through the agent. All times are microseconds since 1970 UTC."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

MICROS = 1_000_000
MINUTE, HOUR, DAY = 60 * MICROS, 3600 * MICROS, 86_400 * MICROS
ROLES = ("champion", "challenger", "shadow")  # of a row, by number
SHADOW = ROLES.index("shadow")
SURPRISE, SCORE = "surprise", "score"  # the drift check's own reading, and its measure
ERROR, REFERENCE_ERROR = "reconstruction_error", "reference_error"  # the multivariate check's measures
FEATURE, OUTPUT = "feature", "output"  # the two parts of a row that have columns
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def moment(micros: int) -> dt.datetime:
    """Microseconds since 1970 as an aware datetime."""
    return EPOCH + dt.timedelta(microseconds=micros)


def micros(moment_: dt.datetime) -> int:
    """An aware datetime as microseconds since 1970."""
    return (moment_ - EPOCH) // dt.timedelta(microseconds=1)


def iso(micros_: int) -> str:
    """A time as people and JSON read it: 2013-04-01T06:00:00Z."""
    return moment(micros_).isoformat().replace("+00:00", "Z")


class Level(StrEnum):
    OK = "OK"
    WARNING = "WARNING"
    CRITICAL = "CRITICAL"
    INSUFFICIENT_DATA = "INSUFFICIENT_DATA"
    ERROR = "ERROR"


class Action(StrEnum):
    RETRAIN = "retrain"
    ROLLBACK = "rollback"
    RETIRE = "retire"
    INVESTIGATE = "investigate"


class Trigger(StrEnum):
    SCHEDULED = "scheduled"
    PERFORMANCE_DEGRADED = "performance_degraded"
    DATA_DRIFT = "data_drift"
    MANUAL = "manual"
    NEW_DATA_VOLUME = "new_data_volume"


class Urgency(StrEnum):
    NONE = "none"
    ROUTINE = "routine"
    URGENT = "urgent"
    EMERGENCY = "emergency"


@dataclass(frozen=True, slots=True)
class Window:
    """Event times from `start` up to but not including `end`."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Reading:
    """One detector on one column: the statistic, its p-value, the threshold it was held against, and n."""

    column: str
    detector: str
    statistic: float
    p_value: float | None
    threshold: float
    n: int
    level: Level


@dataclass(frozen=True, slots=True)
class Verdict:
    """One check of one model version over one window, in one sentence and with its readings.

    Parameters
    ----------
    evidence
        Of columns that surprised: what its bins hold (`bins`), and the shares of rows in them, in the `reference` and in
        the `window`.
    segment
        The part of the rows it is of, such as country=DE; empty: all of them.
    """

    model: str
    version: str
    check: str
    level: Level
    reason: str
    window: Window
    rows: int
    readings: Sequence[Reading] = ()
    measures: Mapping[str, float] = field(default_factory=dict)
    evidence: Mapping[str, Mapping[str, Sequence[Any]]] = field(default_factory=dict)
    segment: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """What should be done about a model. The same cause at the same event time has the same id everywhere."""

    model: str
    version: str
    action: Action
    trigger: Trigger
    urgency: Urgency
    reason: str
    event_time: int
    mode: str = "advise"
    evidence: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        key = f"{self.model}\0{self.version}\0{self.action}\0{self.trigger}\0{self.event_time}"
        return "dec_" + hashlib.sha256(key.encode()).hexdigest()[:24]
