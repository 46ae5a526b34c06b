"""What tenure.yaml says of one model."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Literal

from apscheduler.triggers.cron import CronTrigger
from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from tenure_agent.units import Duration, Moment, Often, Rate, show_moment

METRICS = {
    "binary": ("accuracy", "precision", "recall", "f1", "auc_roc", "brier"),
    "multiclass": ("accuracy",),
    "regression": ("mae", "rmse"),
}
MOST_SEGMENTS = 8
FIRST_ROWS = 5000


def few_segments(value: tuple[str, ...]) -> tuple[str, ...]:
    """Features by which rows may be told apart.

    Raises
    ------
    ValueError
        With what they must be.
    """
    unclear = any(not name or "=" in name for name in value)
    if len(set(value)) != len(value) or unclear or len(value) > MOST_SEGMENTS:
        raise ValueError(f"{MOST_SEGMENTS} names of features at most, each once and without =")
    return value


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def over_zero(value: timedelta | None) -> timedelta | None:
    """
    Raises
    ------
    ValueError
        No time at all.
    """
    if value == timedelta(0):
        raise ValueError("a duration over 0")
    return value


class ReferenceConfig(Section):
    """Where a version's reference comes from: a file, else live rows, told in one of three ways."""

    file: str | None = None  # {version} in it is replaced by the version's name
    first: Duration | None = None  # of its own traffic, by event time
    until: Moment | None = None  # rows before that, by event time
    since: Moment | None = None
    version: str | None = None  # whose rows; its own where not told
    first_rows: int | None = Field(default=None, ge=100, validate_default=True)

    @property
    def span(self) -> tuple[str, timedelta] | None:
        """The key that says how long the stretch of live rows is, and how long; None where none does."""
        if self.first is not None:
            return "first", self.first
        if self.since is not None and self.until is not None:
            return "since", self.until - self.since
        return None

    @field_validator("first")
    @classmethod
    def _some_time(cls, value: timedelta | None) -> timedelta | None:
        return over_zero(value)

    @field_validator("until")
    @classmethod
    def _not_first(cls, value: datetime | None, info: ValidationInfo) -> datetime | None:
        if value is not None and info.data.get("first") is not None:
            raise ValueError("first or until, not both")
        return value

    @field_validator("since", "version")
    @classmethod
    def _ended(cls, value: datetime | str | None, info: ValidationInfo) -> datetime | str | None:
        if value is None or "until" not in info.data:  # it has a fault of its own
            return value
        until = info.data["until"]
        if until is None:
            raise ValueError("until beside it: a stretch of rows has an end")
        if isinstance(value, datetime) and value >= until:
            raise ValueError(f"a time before until, {show_moment(until)}")
        return value

    @field_validator("first_rows")
    @classmethod
    def _only_one(cls, value: int | None, info: ValidationInfo) -> int | None:
        other = next((key for key in ("first", "until") if info.data.get(key) is not None), None)
        if value is not None and other is not None:
            raise ValueError(f"first_rows or {other}, not both")
        return FIRST_ROWS if value is None and other is None else value


class DriftConfig(Section):
    every: Duration = timedelta(minutes=5)
    window: Duration | None = None  # the shortest that holds min_rows, with two thirds to spare; at least an hour
    min_rows: int = Field(default=300, ge=30)
    false_alarms: Rate = Often(1, timedelta(days=90))  # episodes of drift, and of volume, where nothing changed
    multivariate: Duration | None = None  # how often it is looked whether features still go together, over that time

    @field_validator("every", "multivariate")
    @classmethod
    def _some_time(cls, value: timedelta | None) -> timedelta | None:
        return over_zero(value)

    @field_validator("window")
    @classmethod
    def _ten_blocks(cls, value: timedelta | None) -> timedelta | None:
        if value is not None and value < timedelta(seconds=10):
            raise ValueError("10s or more: a window is judged in ten blocks")
        return value


class PerformanceConfig(Section):
    metric: str | None = None
    minimum: float | None = None
    emergency: float | None = None
    tolerance: float = Field(default=0.02, gt=0)
    label_delay: Duration = timedelta(0)
    window: Duration = timedelta(days=7)
    min_labels: int = Field(default=500, ge=50)
    open_after: int = Field(default=3, ge=1)  # of the last open_after + 1 checks
    close_after: int | None = Field(default=None, ge=1)  # quiet checks in a row; default: as many as a window spans

    @field_validator("metric")
    @classmethod
    def _measured(cls, value: str | None) -> str | None:
        known = list(dict.fromkeys(name for names in METRICS.values() for name in names))
        if value is not None and value not in known:
            raise ValueError(f"one of {', '.join(known)}")
        return value


class RetrainConfig(Section):
    schedule: str | None = None
    new_rows: int | None = Field(default=None, ge=1)
    cooldown: Duration = timedelta(hours=24)

    @field_validator("schedule")
    @classmethod
    def _cron(cls, value: str | None) -> str | None:
        if value is not None:
            fields = value.split()
            if len(fields) != 5 or re.search(r"\d", fields[4]):
                raise ValueError('five cron fields with weekdays by name, such as "0 3 * * mon"')
            try:
                CronTrigger.from_crontab(value, timezone="UTC")
            except ValueError as error:
                raise ValueError(f'five cron fields such as "0 3 * * mon" ({error})') from None
        return value


class ModelConfig(Section):
    task: Literal["binary", "multiclass", "regression"] | None = None
    mode: Literal["observe", "advise", "act"] = "advise"
    reference: ReferenceConfig = ReferenceConfig()
    columns: Mapping[str, Literal["numeric", "categorical", "boolean", "ignore"]] = Field(default_factory=dict)
    segments: tuple[
        str, ...
    ] = ()  # features whose values are judged apart, and stay with a prediction when its row is gone
    drift: DriftConfig = DriftConfig()
    performance: PerformanceConfig = PerformanceConfig()
    retrain: RetrainConfig = RetrainConfig()

    @property
    def quiet_checks(self) -> int:
        """How many in a row end a performance episode."""
        return self.performance.close_after or max(3, math.ceil(self.performance.window / self.drift.every))

    @field_validator("segments")
    @classmethod
    def _few(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return few_segments(value)

    @field_validator("performance")
    @classmethod
    def _known_metric(cls, value: PerformanceConfig, info: ValidationInfo) -> PerformanceConfig:
        tasks = [info.data["task"]] if info.data.get("task") else list(METRICS)
        known = [name for task in tasks for name in METRICS[task]]
        if value.metric is not None and value.metric not in known:
            raise ValueError(f"metric one of {', '.join(known)}, not {value.metric!r}")
        return value
