"""How others reach a running agent. They never open its database: DuckDB admits one process."""

from __future__ import annotations

import base64
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import grpc

from tenure.errors import TenureError, TransportError
from tenure.transport import ASK, open_channel
from tenure_proto.v1 import monitoring_pb2 as pb

UNREACHED = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED})


class NoAnswer(TenureError):
    """No agent is there, or it refuses the question."""


class Asking:
    """A connection to one running agent.

    Parameters
    ----------
    address
        ``unix:/path``, ``host:port`` or ``tls://host:port``.
    credentials
        The files ``ca_file``, ``cert_file``, ``key_file`` and ``token_file``, as in `tenure.Settings`.

    Raises
    ------
    NoAnswer
        One of the files cannot be used.
    """

    def __init__(self, address: str, credentials: Mapping[str, str] = MappingProxyType({})) -> None:
        self.address = address
        try:
            self._channel, self._metadata = open_channel(address, **credentials)
        except TransportError as error:
            raise NoAnswer(str(error)) from None
        self._call: Any = self._channel.unary_unary(
            ASK, request_serializer=pb.AskRequest.SerializeToString, response_deserializer=pb.AskReply.FromString
        )

    def ask(self, verb: str, arguments: dict[str, Any] | None = None, timeout: float = 60.0) -> Any:
        """The answer to a verb: a JSON document.

        Raises
        ------
        NoAnswer
            With what to try.
        """
        request = pb.AskRequest(verb=verb, arguments=json.dumps(arguments or {}))
        try:
            return json.loads(self._call(request, timeout=timeout, metadata=self._metadata).answer)
        except grpc.RpcError as error:
            raise NoAnswer(self._told(error)) from None

    def export(
        self,
        arguments: dict[str, Any],
        out: Path,
        *,
        timeout: float = 60.0,
        progress: Callable[[int, int], object] | None = None,
    ) -> dict[str, Any]:
        """Have the rows asked for as a file of one's own, whole or not at all; none where there are no rows.

        Parameters
        ----------
        timeout
            Seconds the agent may take to write them, and then for each part.
        progress
            Called with bytes read and bytes in all.

        Raises
        ------
        NoAnswer
            With what to try.
        OSError
            The file cannot be written.
        """
        descriptor, aside = tempfile.mkstemp(prefix=f".{out.name}.", dir=out.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                found: dict[str, Any] = self.ask("export", arguments, timeout)
                last = not found["rows"]
                while not last:
                    part = self.ask("export_part", {"name": found["name"], "offset": file.tell()}, timeout)
                    file.write(base64.b64decode(part["data"]))
                    if progress is not None:
                        progress(file.tell(), found["bytes"])
                    last = part["last"]
                file.flush()
                os.fsync(file.fileno())
            if found["rows"]:
                Path(aside).replace(out)
        finally:
            Path(aside).unlink(missing_ok=True)
        return found

    def _told(self, error: Any) -> str:
        code, details = error.code(), str(error.details() or "")
        if code is grpc.StatusCode.UNAUTHENTICATED:
            return f"the agent at {self.address} wants its token. Try: TENURE_TOKEN_FILE, or --config tenure.yaml"
        if code not in UNREACHED:
            return details or str(code.name)
        if "SSL" in details or "peer certificate" in details:
            why = details.rpartition(": ")[2]
            return f"{self.address} is not trusted ({why}). Try: TENURE_CA_FILE, and an address its certificate names"
        return f"no agent answers at {self.address}. Try: tenure-agent run, or --agent ADDRESS"

    def close(self) -> None:
        self._channel.close()


def ask(
    address: str,
    verb: str,
    arguments: dict[str, Any] | None = None,
    timeout: float = 60.0,
    credentials: Mapping[str, str] = MappingProxyType({}),
) -> Any:
    """One question to one agent; see `Asking`."""
    asking = Asking(address, credentials)
    try:
        return asking.ask(verb, arguments, timeout)
    finally:
        asking.close()
