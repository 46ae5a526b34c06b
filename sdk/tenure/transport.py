"""How reports reach the agent: short calls, each with a deadline, from the sender thread only.

Streams are not used here: in gRPC Python an open stream hangs or crashes forked children of the host.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from tenure.errors import TransportError

if TYPE_CHECKING:
    from tenure_proto.v1.monitoring_pb2 import ReportReply

REPORT = "/tenure_proto.v1.Monitoring/Report"
ASK = "/tenure_proto.v1.Operator/Ask"
CHANNEL_OPTIONS = (
    ("grpc.enable_retries", 0),  # we resend, with the same number
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.enable_http_proxy", 0),
)


class Transport(Protocol):
    """Takes an encoded `ReportRequest` to an agent."""

    def report(self, payload: bytes, timeout: float) -> ReportReply:
        """Deliver one report and wait for its ack.

        Parameters
        ----------
        payload
            An encoded ``ReportRequest``.
        timeout
            Seconds to wait.

        Raises
        ------
        TransportError
            Not delivered, or not known to be.
        """

    def close(self) -> None:
        """End the connection, and any call on its way. May be called from another thread, and twice."""


class GrpcTransport:
    """One channel to one agent.

    Parameters
    ----------
    address
        ``unix:/path`` or ``host:port``.
    """

    def __init__(self, address: str) -> None:
        import grpc  # noqa: PLC0415  # tens of milliseconds that the host's import must not pay

        from tenure_proto.v1.monitoring_pb2 import ReportReply  # noqa: PLC0415

        self.address = address
        self._errors = (grpc.RpcError, ValueError)  # ValueError: the channel was closed meanwhile
        self._channel = grpc.insecure_channel(address, options=CHANNEL_OPTIONS)
        self._report: Any = self._channel.unary_unary(
            REPORT, request_serializer=None, response_deserializer=ReportReply.FromString
        )

    def report(self, payload: bytes, timeout: float) -> ReportReply:
        try:
            reply: ReportReply = self._report(payload, timeout=timeout)
        except self._errors as error:
            code = error.code().name if hasattr(error, "code") else "CLOSED"
            raise TransportError(f"{self.address}: {code}") from None
        return reply

    def close(self) -> None:
        self._channel.close()
