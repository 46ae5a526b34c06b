"""What a Monitor may be told, from arguments or the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from dataclasses import replace as _replace
from typing import Any

from tenure.errors import SettingError

DEFAULT_SOCKETS = ("./tenure.sock", "/run/tenure/agent.sock")
DEFAULT_TCP = "127.0.0.1:50051"


@dataclass(frozen=True, slots=True)
class Settings:
    """Limits and addresses of one sender.

    Parameters
    ----------
    agent
        Address of the agent: ``unix:/path``, ``host:port`` or ``tls://host:port``. Empty: the first of ./tenure.sock,
        /run/tenure/agent.sock and 127.0.0.1:50051 that is there, looked up again on every reconnect.
    queue_rows
        Rows that may wait un-encoded in the host's memory.
    queue_bytes
        Bytes that may wait encoded, while the agent is away.
    flush_interval
        Seconds a row waits at most before it is sent.
    batch_bytes
        Size a report is split at; the agent refuses reports over 4 MiB.
    deadline
        Seconds a call may take before it is tried again; behind others on their way, beyond theirs.
    exit_timeout
        Seconds the host's exit may be delayed to send what is queued.
    drop_policy
        What goes when there is no room: the ``oldest`` rows, or the ``newest``.
    when_full
        ``drop``, or ``block``: the host's threads wait until there is room, however long; for batch jobs.
    spool
        A directory for what waits while the agent is away, so that it survives the end of the process; processes may
        share it. Reports then go one by one, else up to four are on their way. Empty: memory only.
    spool_bytes
        Bytes that may wait there, of all processes together (each keeps a file of an eighth, 4 MiB at most, beyond it).
    ca_file
        Certificates to trust, PEM; the connection is then TLS, as with ``tls://``. A unix socket is never TLS.
    cert_file, key_file
        Our own certificate and its key, PEM, where the agent asks for one (mTLS).
    token_file
        Holds the bearer token to show; never sent in clear beyond this machine.
    max_columns
        Columns of a batch; further ones are left out and counted as skipped. The agent takes 2,000 per model.
    max_rows
        Rows of one call, and never more than ``queue_rows``, unless the host waits; of a call with more, every second,
        third, … row is taken, so that no part of it is preferred, and the rest is counted as ``too_many_rows``.
    max_text
        Characters of a text; what is longer is cut.
    redact_key
        Key of the hashes of redacted features; the same key gives the same hashes in every process. Empty:
        ``$TENURE_REDACT_KEY``, else one of the process's own.
    strict
        Raise our own errors in the host: for tests, never for production.
    disabled
        Record nothing: every function is returned as it was.

    Raises
    ------
    SettingError
        A value is out of range; the message names the field, the value and a way out.
    """

    agent: str = ""
    queue_rows: int = 16_384
    queue_bytes: int = 32 * 1024 * 1024
    flush_interval: float = 0.1
    batch_bytes: int = 1024 * 1024
    deadline: float = 1.0
    exit_timeout: float = 1.5
    drop_policy: str = "oldest"
    when_full: str = "drop"
    spool: str = ""
    spool_bytes: int = 256 * 1024 * 1024
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    token_file: str = ""
    max_columns: int = 1000
    max_rows: int = 10_000
    max_text: int = 4096
    redact_key: str = field(default="", repr=False)
    strict: bool = False
    disabled: bool = False

    def __post_init__(self) -> None:
        for name in (
            "queue_rows",
            "queue_bytes",
            "flush_interval",
            "batch_bytes",
            "deadline",
            "spool_bytes",
            "max_columns",
            "max_rows",
            "max_text",
        ):
            value = getattr(self, name)
            if not 0 < value < float("inf"):
                raise SettingError(name, value, "a number above 0")
        if self.batch_bytes > 2 * 1024 * 1024:
            raise SettingError("batch_bytes", self.batch_bytes, "at most 2097152; the agent refuses larger reports")

        for name, allowed in (("drop_policy", ("oldest", "newest")), ("when_full", ("drop", "block"))):
            if getattr(self, name) not in allowed:
                raise SettingError(name, getattr(self, name), " or ".join(allowed))
        if bool(self.cert_file) != bool(self.key_file):
            missing = "key_file" if self.cert_file else "cert_file"
            raise SettingError(missing, "", "a certificate and its key, both or neither")

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        """Read ``TENURE_AGENT``, ``TENURE_QUEUE_ROWS``, ``TENURE_STRICT`` and so on: one variable per field."""
        default = cls()
        told = {known.name: environ.get(f"TENURE_{known.name.upper()}", "") for known in fields(cls)}
        return cls(**{name: _parse(name, text, getattr(default, name)) for name, text in told.items() if text})

    def replace(self, **changes: Any) -> Settings:
        """The same settings but for `changes`."""
        return _replace(self, **changes)

    def credentials(self) -> dict[str, str]:
        """The files a secured connection needs, those that are given."""
        names = ("ca_file", "cert_file", "key_file", "token_file")
        return {name: getattr(self, name) for name in names if getattr(self, name)}

    @property
    def most_rows(self) -> int:
        """Rows of one call to capture: a host that does not wait cannot queue more than there is room for."""
        return self.max_rows if self.when_full == "block" else min(self.max_rows, self.queue_rows)

    def address(self) -> str:
        """The gRPC target to try now."""
        if self.agent:
            return self.agent
        from pathlib import Path  # noqa: PLC0415  # in the sender's time: it is a tenth of the host's import

        for path in DEFAULT_SOCKETS:
            with suppress(OSError):  # a directory of another user's: for us there is no agent in it
                if Path(path).is_socket():
                    return f"unix:{Path(path).absolute()}"
        return DEFAULT_TCP


def _parse(name: str, text: str, default: object) -> Any:
    variable = f"TENURE_{name.upper()}"
    if isinstance(default, bool):
        if text.lower() in {"1", "true", "yes", "0", "false", "no"}:
            return text.lower() in {"1", "true", "yes"}
        raise SettingError(variable, text, "1 or 0")
    if isinstance(default, str):
        return text
    try:
        return int(text) if isinstance(default, int) else float(text)
    except ValueError:
        raise SettingError(variable, text, f"a number such as {default}") from None
