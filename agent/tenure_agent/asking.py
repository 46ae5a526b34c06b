"""How others reach a running agent. They never open its database: DuckDB admits one process."""

from __future__ import annotations

import json
from typing import Any

import grpc

from tenure.errors import TenureError
from tenure.transport import ASK, CHANNEL_OPTIONS
from tenure_proto.v1 import monitoring_pb2 as pb

UNREACHED = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED})


class NoAnswer(TenureError):
    """No agent is there, or it refuses the question."""


class Asking:
    """A connection to one running agent.

    Parameters
    ----------
    address
        ``unix:/path`` or ``host:port``.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._channel = grpc.insecure_channel(address, options=CHANNEL_OPTIONS)
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
            return json.loads(self._call(request, timeout=timeout).answer)
        except grpc.RpcError as error:
            if error.code() in UNREACHED:
                raise NoAnswer(
                    f"no agent answers at {self.address}. Try: tenure-agent run, or --agent ADDRESS"
                ) from None
            raise NoAnswer(error.details() or error.code().name) from None

    def close(self) -> None:
        self._channel.close()


def ask(address: str, verb: str, arguments: dict[str, Any] | None = None, timeout: float = 60.0) -> Any:
    """One question to one agent; see `Asking`."""
    asking = Asking(address)
    try:
        return asking.ask(verb, arguments, timeout)
    finally:
        asking.close()
