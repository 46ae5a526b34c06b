"""How reports reach the agent: short calls, each with a deadline, from the sender thread only.

Streams are not used here: in gRPC Python an open stream hangs or crashes forked children of the host. Calls may overtake
each other; so one that follows another waits until the agent says that it has that one in its queue.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from tenure.errors import TransportError

if TYPE_CHECKING:
    from tenure_proto.v1.monitoring_pb2 import ReferenceReply, ReportReply

REPORT = "/tenure_proto.v1.Monitoring/Report"
STREAM = "/tenure_proto.v1.Monitoring/StreamReports"
MORE, QUEUED = "tenure-more", "tenure-queued"  # metadata: a call that asks to hear it, and one that has its turn
OFFER = "/tenure_proto.v1.Monitoring/OfferReference"
ASK = "/tenure_proto.v1.Operator/Ask"
OLDER = "it is too old to take one. Try: a newer agent, or models.*.reference.file in its configuration"
Metadata = tuple[tuple[str, str], ...] | None
LOCAL = ("unix:", "127.0.0.1:", "localhost:", "[::1]:")
CHANNEL_OPTIONS = (
    ("grpc.enable_retries", 0),  # we resend, with the same number
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.enable_http_proxy", 0),
    ("SingleThreadedUnaryStream", 1),  # no thread of gRPC's own in the host
)


class Sent(Protocol):
    """A report on its way."""

    def queued(self) -> bool:
        """Wait until the agent has it; True where what is sent from now on is stored after it."""

    def reply(self) -> ReportReply:
        """Wait for its ack. Raises as `Transport.report` does."""


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

    def send(self, payload: bytes, timeout: float) -> Sent:
        """The same without waiting for the ack: others may follow."""

    def offer(self, payload: bytes, timeout: float) -> ReferenceReply:
        """Offer a reference, or send a part of it; see `report`.

        Parameters
        ----------
        payload
            An encoded ``ReferenceOffer``.
        """

    def close(self) -> None:
        """End the connection, and any call on its way. May be called from another thread, and twice."""


class GrpcTransport:
    """One channel to one agent, made by the first report, and again by the next one after `close`.

    Parameters
    ----------
    address
        ``unix:/path``, ``host:port`` or ``tls://host:port``.
    ca_file, cert_file, key_file, token_file
        As in `Settings`; read whenever the channel is made, so that they may be renewed.
    """

    def __init__(
        self, address: str, *, ca_file: str = "", cert_file: str = "", key_file: str = "", token_file: str = ""
    ) -> None:
        import grpc  # noqa: PLC0415  # tens of milliseconds that the host's import must not pay

        from tenure_proto.v1.monitoring_pb2 import ReportReply  # noqa: PLC0415

        self._decode = ReportReply.FromString
        self._target = address
        self.address = address.removeprefix("tls://")
        self._files = {"ca_file": ca_file, "cert_file": cert_file, "key_file": key_file, "token_file": token_file}
        self._errors = (grpc.RpcError, ValueError)  # ValueError: the channel was closed meanwhile
        self._open: tuple[Any, Any, Any, Any] | None = None  # channel, call, call that others follow, metadata

    def report(self, payload: bytes, timeout: float) -> ReportReply:
        _, call, _, metadata = self._opened()
        try:
            reply: ReportReply = call(payload, timeout=timeout, metadata=metadata)
        except self._errors as error:
            raise self._failure(error) from None
        return reply

    def send(self, payload: bytes, timeout: float) -> Sent:
        _, _, call, metadata = self._opened()
        try:
            sent = call(payload, timeout=timeout, metadata=((MORE, "1"), *(metadata or ())))
        except self._errors as error:
            raise self._failure(error) from None
        return _GrpcSent(sent, self._failure)

    def offer(self, payload: bytes, timeout: float) -> ReferenceReply:
        from tenure_proto.v1.monitoring_pb2 import ReferenceReply  # noqa: PLC0415  # see above

        channel, _, _, metadata = self._opened()
        try:
            call = channel.unary_unary(OFFER, request_serializer=None, response_deserializer=ReferenceReply.FromString)
            reply: ReferenceReply = call(payload, timeout=timeout, metadata=metadata)
        except self._errors as error:
            if hasattr(error, "code") and error.code().name == "UNIMPLEMENTED":
                return ReferenceReply(refused="unknown", why=OLDER)
            raise self._failure(error) from None
        return reply

    def _failure(self, error: Exception) -> TransportError:
        return TransportError(f"{self.address}: {error.code().name if hasattr(error, 'code') else 'CLOSED'}")

    def _opened(self) -> tuple[Any, Any, Any, Any]:
        opened = self._open  # another thread may close it at any moment
        if opened is None:
            opened = self._open = self._connect()
        return opened

    def _connect(self) -> tuple[Any, Any, Any, Any]:
        channel, metadata = open_channel(self._target, **self._files)
        kinds = (channel.unary_unary, channel.unary_stream)  # on the wire they are one
        call, followed = (kind(REPORT, response_deserializer=self._decode) for kind in kinds)
        return channel, call, followed, metadata

    def close(self) -> None:
        opened, self._open = self._open, None
        if opened is not None:
            opened[0].close()


class _GrpcSent:
    """A call with one answer, read as one with several: the only kind gRPC leaves to the thread that made it."""

    def __init__(self, call: Any, failure: Callable[[Exception], TransportError]) -> None:
        import grpc  # noqa: PLC0415  # see GrpcTransport

        self._call = call
        self._failure = failure
        self._errors = (grpc.RpcError, StopIteration)  # StopIteration: it ended without an answer

    def queued(self) -> bool:
        try:
            told = self._call.initial_metadata()
        except self._errors:
            return False
        return any(key == QUEUED for key, _ in told or ())

    def reply(self) -> ReportReply:
        try:
            reply: ReportReply = next(self._call)
            next(self._call, None)  # its end: gRPC holds a call until that was read
        except self._errors as error:
            raise self._failure(error) from None
        return reply


def open_channel(
    address: str, *, ca_file: str = "", cert_file: str = "", key_file: str = "", token_file: str = ""
) -> tuple[Any, Metadata]:
    """A channel to an agent, and what to show it with every call; see `GrpcTransport`.

    Raises
    ------
    TransportError
        A file cannot be used, or the token would travel in clear.
    """
    import grpc  # noqa: PLC0415  # see GrpcTransport

    target, secured, metadata = credentials(
        address, ca_file=ca_file, cert_file=cert_file, key_file=key_file, token_file=token_file
    )
    if secured is not None:
        return grpc.secure_channel(target, secured, options=CHANNEL_OPTIONS), metadata
    return grpc.insecure_channel(target, options=CHANNEL_OPTIONS), metadata


def credentials(
    address: str, *, ca_file: str = "", cert_file: str = "", key_file: str = "", token_file: str = ""
) -> tuple[str, Any, Metadata]:
    """What a channel needs: target, credentials (None: in clear), and what to show with every call; see `open_channel`."""
    import grpc  # noqa: PLC0415  # see GrpcTransport

    target = address.removeprefix("tls://")
    tls = not address.startswith("unix:") and (address.startswith("tls://") or bool(ca_file or cert_file))
    ca, cert, key, token = (_read(path) for path in (ca_file, cert_file, key_file, token_file))
    metadata = None
    if token is not None:
        text = token.decode("latin-1").strip()
        if not text.isascii() or not text.isprintable():
            raise TransportError(f"{token_file}: not a token")
        if not tls and not address.startswith(LOCAL):
            raise TransportError(f"{target}: a token is never sent in clear. Try: tls:// or ca_file")
        metadata = (("authorization", f"Bearer {text}"),)
    return target, grpc.ssl_channel_credentials(ca, key, cert) if tls else None, metadata


def _read(path: str) -> bytes | None:
    from pathlib import Path  # noqa: PLC0415  # it costs the host's import 3 ms

    try:
        return Path(path).read_bytes() if path else None
    except OSError as error:
        raise TransportError(f"{path}: {error.strerror}") from None
