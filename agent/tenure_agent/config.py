"""tenure.yaml: every key, its default and its meaning. All faults of a file are reported at once.

Each check belongs to one field, so that a fault elsewhere hides none; a field is checked against those declared above it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, ValidationInfo, field_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from tenure_agent.addresses import host_port, is_loopback
from tenure_agent.faults import ConfigError, Fault, Misfits, faults_of
from tenure_agent.model_config import ModelConfig, Section
from tenure_agent.units import Duration, Size, show_duration

LEAST_SIZE = 8 << 20  # an empty store takes 1 MiB, and room is given back by the block


class StoreConfig(Section):
    path: Path = Path("./tenure.duckdb")
    retain: Duration = timedelta(days=14)
    max_size: Size = 2 << 30
    floor: Size = 100 << 20  # of the disk, left free: below that, reports are refused
    memory: Size = 96 << 20
    threads: int = Field(default=1, ge=1)

    @field_validator("max_size")
    @classmethod
    def _holds_something(cls, value: int) -> int:
        if value < LEAST_SIZE:
            raise ValueError(f"{LEAST_SIZE >> 20}MiB or more: in less, rows are gone before their labels come")
        return value


def paired(value: Path | None, info: ValidationInfo) -> Path | None:
    """A certificate's key goes with the certificate."""
    if "cert_file" in info.data and (value is None) != (info.data["cert_file"] is None):
        raise ValueError("cert_file and key_file, both or neither")
    return value


class AccessConfig(Section):
    """Who may use the gRPC port. Loopback and a unix socket need none of it."""

    socket_mode: Literal["0600", "0660", "0666"] = "0600"
    token_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = Field(default=None, validate_default=True)
    client_ca_file: Path | None = None

    _paired = field_validator("key_file")(paired)

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


class ArchiveConfig(Section):
    """Where rows go as Parquet before they expire. Credentials come from the usual AWS environment or profile."""

    url: str | None = None  # a directory, or s3://bucket/prefix
    endpoint_url: str | None = None
    after: Duration = timedelta(days=1)

    @field_validator("url")
    @classmethod
    def _place(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"s3://[a-z0-9.-]{3,63}(/[^?#]*)?|(?!.*://).+", value):
            raise ValueError("a directory such as ./archive, or s3://bucket/prefix without credentials")
        return value

    @field_validator("endpoint_url")
    @classmethod
    def _endpoint(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None:
            if not _is_plain_url(value):
                raise ValueError("http://host:port or https://host:port, without a password")
            if not str(info.data.get("url") or "s3:").startswith("s3:"):
                raise ValueError("url: s3://bucket/prefix beside it: a directory has no endpoint")
        return value

    @property
    def bucket(self) -> str | None:
        """Bucket and prefix, of an S3 archive."""
        is_s3 = self.url is not None and self.url.startswith("s3://")
        return str(self.url).removeprefix("s3://").strip("/") if is_s3 else None


class UpstreamConfig(Section):
    """The hub that a relay sends its reports on to. Loopback and a unix socket need no files."""

    token_file: Path | None = None
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = Field(default=None, validate_default=True)
    address: str | None = None

    _paired = field_validator("key_file")(paired)

    @field_validator("address")
    @classmethod
    def _guarded(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None or (value.startswith("unix:") and value != "unix:"):
            return value
        host, port = host_port(value.removeprefix("tls://"))
        given = {name for name, path in info.data.items() if path is not None}
        tls = value.startswith("tls://") or given & {"ca_file", "cert_file"}
        if port == 0 or not (is_loopback(host) or (tls and given & {"token_file", "cert_file"})):
            raise ValueError(
                "unix:/path, a loopback address such as 127.0.0.1:50051, or tls://host:port with upstream.token_file, "
                "or upstream.cert_file and upstream.key_file"
            )
        return value

    def files(self) -> dict[str, str]:
        """The files that `tenure.transport.credentials` reads."""
        names = ("ca_file", "cert_file", "key_file", "token_file")
        return {name: str(getattr(self, name)) for name in names if getattr(self, name) is not None}


class ControlConfig(Section):
    url: str | None = None
    secret_file: Path | None = Field(default=None, validate_default=True)

    @field_validator("url")
    @classmethod
    def _plain(cls, value: str | None) -> str | None:
        if value is not None and not _is_plain_url(value):
            raise ValueError("http://host/path or https://host/path, without a password: decisions are signed")
        return value

    @field_validator("secret_file")
    @classmethod
    def _signed(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if value is None and info.data.get("url") is not None:
            raise ValueError("tenure-agent control secret --out FILE; decisions are always signed")
        return value


class Config(Section):
    access: AccessConfig = AccessConfig()
    listen: str = Field(default="unix:./tenure.sock", validate_default=True)
    upstream: UpstreamConfig = UpstreamConfig()  # with an address: a relay
    http: str = "127.0.0.1:9464"
    log: Literal["console", "json"] = "console"
    clock: Literal["wall", "event"] = "wall"
    store: StoreConfig = StoreConfig()
    archive: ArchiveConfig = ArchiveConfig()
    control: ControlConfig = ControlConfig()
    models: Mapping[str, ModelConfig] = Field(default_factory=dict, validate_default=True)

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
        host, _ = host_port(value)
        if not is_loopback(host) and access is not None and not access.guarded:
            raise ValueError(
                "unix:/path, a loopback address such as 127.0.0.1:50051, or access.cert_file and access.key_file with "
                "access.token_file or access.client_ca_file"
            )
        return value

    @field_validator("upstream", mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"address": value} if value is None or isinstance(value, str) else value

    @field_validator("upstream")
    @classmethod
    def _elsewhere(cls, value: UpstreamConfig, info: ValidationInfo) -> UpstreamConfig:
        if value.address is not None and value.address.removeprefix("tls://") == info.data.get("listen"):
            raise ValueError("the hub's address; this is where the relay itself listens")
        return value

    @field_validator("http")
    @classmethod
    def _http(cls, value: str) -> str:
        host_port(value)
        return value

    @field_validator("models")
    @classmethod
    def _seen_before_gone(cls, value: Mapping[str, ModelConfig], info: ValidationInfo) -> Mapping[str, ModelConfig]:
        """A label still finds its prediction after the row is gone; a drift check does not find the row."""
        store = info.data.get("store")  # not there when it has faults of its own
        found = []
        for name, model in (value or {"*": ModelConfig()}).items():
            for key, every in (("every", model.drift.every), ("multivariate", model.drift.multivariate)):
                if store is not None and every is not None and every > store.retain:
                    told = f"{show_duration(every)} is longer than store.retain, {show_duration(store.retain)}"
                    remedy = (
                        f"store.retain: {show_duration(2 * every)}, as rows would be gone before a check reads them"
                    )
                    found.append(Fault(f"models.{name}.drift.{key}", told, remedy))
            span = model.reference.span
            if store is not None and span is not None and span[1] > store.retain:
                told = f"{show_duration(span[1])} of rows is longer than store.retain, {show_duration(store.retain)}"
                remedy = f"store.retain: {show_duration(span[1])}, as rows would be gone before all of them are there"
                found.append(Fault(f"models.{name}.reference.{span[0]}", told, remedy))
        if found:
            raise Misfits(found)
        return value

    @property
    def http_address(self) -> tuple[str, int]:
        return host_port(self.http)

    @property
    def archive_after(self) -> timedelta:
        """When rows are archived at the latest: well before they expire."""
        return min(self.archive.after, self.store.retain / 2)

    def model(self, name: str) -> ModelConfig:
        """The section of a model; a model the file does not name gets the defaults."""
        return self.models.get(name) or ModelConfig()


def _is_plain_url(value: str) -> bool:
    parts = urlsplit(value)
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and not (parts.username or parts.password)


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
