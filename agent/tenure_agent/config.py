"""tenure.yaml: every key, its default and its meaning. All faults of a file are reported at once."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from apscheduler.triggers.cron import CronTrigger
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from tenure.errors import TenureError

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
SIZES = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
METRICS = {
    "binary": ("accuracy", "precision", "recall", "f1", "auc_roc", "brier"),
    "multiclass": ("accuracy",),
    "regression": ("mae", "rmse"),
}
LOSSES = ("brier", "mae", "rmse")


class ConfigError(TenureError):
    """A configuration that cannot be used; one line per fault."""

    def __init__(self, source: str, faults: list[str]) -> None:
        super().__init__("\n".join(f"{source}: {fault}" for fault in faults))
        self.faults = faults


def _duration(value: object) -> object:
    if isinstance(value, str):
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)\s*", value)
        if not match:
            raise ValueError("a duration such as 30s, 15m, 6h or 14d")
        return timedelta(seconds=float(match[1]) * UNITS[match[2]])
    if isinstance(value, timedelta):
        return value
    raise ValueError("a duration such as 30s, 15m, 6h or 14d")


def _size(value: object) -> object:
    if isinstance(value, str):
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(KiB|MiB|GiB|TiB)\s*", value)
        if match:
            return int(float(match[1]) * SIZES[match[2]])
    elif isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    raise ValueError("a size such as 256MiB or 2GiB")


Duration = Annotated[timedelta, BeforeValidator(_duration)]
Size = Annotated[int, BeforeValidator(_size)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StoreConfig(Section):
    path: Path = Path("./tenure.duckdb")
    memory: Size = 256 << 20
    threads: int = Field(default=2, ge=1)


class ControlConfig(Section):
    url: str | None = None
    secret_file: Path | None = None

    @model_validator(mode="after")
    def _signed(self) -> Self:
        if self.url is not None and self.secret_file is None:
            raise ValueError("a secret_file beside url: decisions are always signed")
        return self


class ReferenceConfig(Section):
    """Where a version's reference comes from: a file, or its own first live rows."""

    file: str | None = None  # {version} in it is replaced by the version's name
    first_rows: int = Field(default=5000, ge=100)


class DriftConfig(Section):
    every: Duration = timedelta(minutes=5)
    window: Duration = timedelta(hours=1)
    min_rows: int = Field(default=300, ge=30)
    open_after: int = Field(default=3, ge=1)  # of the last open_after + 1 checks
    close_after: int | None = Field(default=None, ge=1)  # quiet checks in a row; default: as many as one window spans

    @property
    def quiet_checks(self) -> int:
        return self.close_after or max(3, math.ceil(self.window / self.every))


class PerformanceConfig(Section):
    metric: str | None = None
    minimum: float | None = None
    emergency: float | None = None
    tolerance: float = Field(default=0.02, gt=0)
    label_delay: Duration = timedelta(0)
    window: Duration = timedelta(days=7)
    min_labels: int = Field(default=500, ge=50)

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
    columns: Mapping[str, Literal["numeric", "categorical", "ignore"]] = Field(default_factory=dict)
    drift: DriftConfig = DriftConfig()
    performance: PerformanceConfig = PerformanceConfig()
    retrain: RetrainConfig = RetrainConfig()

    @model_validator(mode="after")
    def _known_metric(self) -> Self:
        known = [name for task, names in METRICS.items() if self.task in {None, task} for name in names]
        if self.performance.metric is not None and self.performance.metric not in known:
            raise ValueError(f"performance.metric one of {', '.join(known)}, not {self.performance.metric!r}")
        return self


class Config(Section):
    listen: str = "unix:./tenure.sock"
    http: str = "127.0.0.1:9464"
    clock: Literal["wall", "event"] = "wall"
    store: StoreConfig = StoreConfig()
    control: ControlConfig = ControlConfig()
    models: Mapping[str, ModelConfig] = Field(default_factory=dict)

    @field_validator("listen")
    @classmethod
    def _local(cls, value: str) -> str:
        if not value.startswith("unix:") and _host_port(value)[0] not in {"127.0.0.1", "localhost", "[::1]"}:
            raise ValueError("unix:/path or a loopback address such as 127.0.0.1:50051")
        return value

    @field_validator("http")
    @classmethod
    def _http(cls, value: str) -> str:
        _host_port(value)
        return value

    @property
    def http_address(self) -> tuple[str, int]:
        return _host_port(self.http)

    def model(self, name: str) -> ModelConfig:
        """The section of a model; a model the file does not name gets the defaults."""
        return self.models.get(name) or ModelConfig()


def _host_port(value: str) -> tuple[str, int]:
    host, _, port = value.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise ValueError("host:port, such as 127.0.0.1:9464")
    return host, int(port)


def load_config(path: Path | None) -> Config:
    """Read and check a file; no file means all defaults.

    Raises
    ------
    ConfigError
        With every fault of the file: field, value and what to try.
    """
    if path is None:
        return Config()
    try:
        document = YAML(typ="safe", pure=True).load(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigError(str(path), [f"cannot be read ({why}). Try: tenure-agent run without --config"]) from error
    except YAMLError as error:
        raise ConfigError(str(path), [f"is not YAML: {' '.join(str(error).split())}"]) from error
    return parse_config(document, str(path))


def parse_config(document: Any, source: str) -> Config:
    """Check a parsed document; see `load_config`."""
    if document is None:
        document = {}
    if not isinstance(document, dict):
        raise ConfigError(source, [f"{document!r} is not a mapping. Try: listen: unix:./tenure.sock"])
    try:
        return Config.model_validate(document)
    except ValidationError as error:
        raise ConfigError(source, [_fault(fault) for fault in error.errors()]) from None


def _fault(fault: Any) -> str:
    path = ".".join(str(part) for part in fault["loc"] if part != "function-after") or "file"
    value = fault["input"]
    if fault["type"] == "extra_forbidden":
        name = str(fault["loc"][-1])
        near = difflib.get_close_matches(name, _keys_at(fault["loc"][:-1]), n=1)
        return f"{path}: unknown key. Try: {near[0] if near else 'one of ' + ', '.join(_keys_at(fault['loc'][:-1]))}"
    if fault["type"] == "value_error":
        remedy = str(fault["ctx"]["error"])
    else:
        remedy = str(fault["msg"]).removeprefix("Input should be ")
    shown = "" if isinstance(value, Mapping | BaseModel) else f" {value!r} cannot be used."
    return f"{path}:{shown} Try: {remedy}"


def _keys_at(location: tuple[Any, ...]) -> list[str]:
    section: type[BaseModel] = Config
    if location[:1] == ("models",):
        section, location = ModelConfig, location[2:]  # the model's name may be that of a section
    for part in location:
        if str(part) in section.model_fields:
            annotation = section.model_fields[str(part)].annotation
            if isinstance(annotation, type) and issubclass(annotation, BaseModel):
                section = annotation
    return list(section.model_fields)
