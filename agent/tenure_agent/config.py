"""tenure.yaml: every key, its default and its meaning. All faults of a file are reported at once.

Each check belongs to one field, so that a fault elsewhere hides none; a field is checked against those declared above it.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from apscheduler.triggers.cron import CronTrigger
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from tenure_agent.faults import ConfigError, Fault, faults_of
from tenure_agent.units import Duration, Size

METRICS = {
    "binary": ("accuracy", "precision", "recall", "f1", "auc_roc", "brier"),
    "multiclass": ("accuracy",),
    "regression": ("mae", "rmse"),
}
LOSSES = ("brier", "mae", "rmse")


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StoreConfig(Section):
    path: Path = Path("./tenure.duckdb")
    retain: Duration = timedelta(days=14)
    max_size: Size = 2 << 30
    floor: Size = 100 << 20  # of the disk, left free: below that, reports are refused
    memory: Size = 96 << 20
    threads: int = Field(default=1, ge=1)


class AccessConfig(Section):
    """Who may use the gRPC port. Loopback and a unix socket need none of it."""

    socket_mode: Literal["0600", "0660", "0666"] = "0600"
    token_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = Field(default=None, validate_default=True)
    client_ca_file: Path | None = None

    @field_validator("key_file")
    @classmethod
    def _paired(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if "cert_file" in info.data and (value is None) != (info.data["cert_file"] is None):
            raise ValueError("cert_file and key_file, both or neither")
        return value

    @field_validator("client_ca_file")
    @classmethod
    def _served(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if value is not None and info.data.get("cert_file", value) is None:
            raise ValueError("cert_file and key_file beside it: without TLS nobody shows a certificate")
        return value

    @property
    def guarded(self) -> bool:
        """Whether what is said is encrypted, and whoever says it is known."""
        return self.cert_file is not None and (self.token_file is not None or self.client_ca_file is not None)


class ControlConfig(Section):
    url: str | None = None
    secret_file: Path | None = Field(default=None, validate_default=True)

    @field_validator("url")
    @classmethod
    def _plain(cls, value: str | None) -> str | None:
        if value is not None:
            parts = urlsplit(value)
            if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.password:
                raise ValueError("http://host/path or https://host/path, without a password: decisions are signed")
        return value

    @field_validator("secret_file")
    @classmethod
    def _signed(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if value is None and info.data.get("url") is not None:
            raise ValueError("tenure-agent control secret --out FILE; decisions are always signed")
        return value


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

    @field_validator("performance")
    @classmethod
    def _known_metric(cls, value: PerformanceConfig, info: ValidationInfo) -> PerformanceConfig:
        tasks = [info.data["task"]] if info.data.get("task") else list(METRICS)
        known = [name for task in tasks for name in METRICS[task]]
        if value.metric is not None and value.metric not in known:
            raise ValueError(f"metric one of {', '.join(known)}, not {value.metric!r}")
        return value


class Config(Section):
    access: AccessConfig = AccessConfig()
    listen: str = Field(default="unix:./tenure.sock", validate_default=True)
    http: str = "127.0.0.1:9464"
    log: Literal["console", "json"] = "console"
    clock: Literal["wall", "event"] = "wall"
    store: StoreConfig = StoreConfig()
    control: ControlConfig = ControlConfig()
    models: Mapping[str, ModelConfig] = Field(default_factory=dict)

    @field_validator("listen")
    @classmethod
    def _guarded(cls, value: str, info: ValidationInfo) -> str:
        access = info.data.get("access")  # not there when it has faults of its own
        if value.startswith("unix:"):
            if value == "unix:":
                raise ValueError("unix:./tenure.sock")
            if access is not None and access.cert_file is not None:
                raise ValueError("host:port, or no access.cert_file: a unix socket has no TLS")
            return value
        host, _ = _host_port(value)
        if not _is_loopback(host) and access is not None and not access.guarded:
            raise ValueError(
                "unix:/path, a loopback address such as 127.0.0.1:50051, or access.cert_file and access.key_file with "
                "access.token_file or access.client_ca_file"
            )
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


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


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
        remedy = "tenure-agent run without --config"
        raise ConfigError(str(path), [Fault("", f"cannot be read ({why})", remedy)]) from error
    except YAMLError as error:
        told = f"is not YAML: {' '.join(str(error).split())}"
        raise ConfigError(str(path), [Fault("", told, "listen: unix:./tenure.sock")]) from error
    return parse_config(document, str(path))


def parse_config(document: Any, source: str) -> Config:
    """Check a parsed document; see `load_config`."""
    if document is None:
        document = {}
    if not isinstance(document, dict):
        raise ConfigError(source, [Fault("", f"{document!r} is not a mapping", "listen: unix:./tenure.sock")])
    try:
        return Config.model_validate(document)
    except ValidationError as error:
        raise ConfigError(source, faults_of(error, Config)) from None
