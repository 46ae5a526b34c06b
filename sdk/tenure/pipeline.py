"""Reports on their way over one connection: each leaves when the agent has those before it, and is acked in its turn."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import TYPE_CHECKING, NamedTuple

from tenure.errors import TransportError

if TYPE_CHECKING:
    from tenure.producer import Producer
    from tenure.transport import Sent, Transport
    from tenure_proto.v1.monitoring_pb2 import ReportReply


class Flight(NamedTuple):
    """A report on its way, and the losses it tells of."""

    seq: int
    losses: int
    sent: Sent


class Pipeline:
    """Only the sender uses it, but for `close`; whoever has seen the sender end may `reset` it.

    Parameters
    ----------
    connect
        Makes a transport, for the first report and for the next one after every `reset`.
    lock
        The batcher's; guards every count.
    deadline
        Seconds a call may take.
    """

    def __init__(self, connect: Callable[[], Transport], lock: AbstractContextManager[object], deadline: float) -> None:
        self._connect = connect
        self._lock = lock
        self._deadline = deadline
        self._transport: Transport | None = None
        self._flights: deque[Flight] = deque()

    def connected(self) -> bool:
        """Whether there is a transport; it may have failed meanwhile."""
        return self._transport is not None

    def transport(self) -> Transport:
        """The one that reports go by."""
        if self._transport is None:
            self._transport = self._connect()
        return self._transport

    def fill(self, producer: Producer) -> None:
        """Send what may be on its way at a time. No report overtakes another, or leaves while it may still grow.

        Raises
        ------
        TransportError
            One was not sent.
        """
        while self._send_next(producer):
            pass

    def _send_next(self, producer: Producer) -> bool:
        from tenure import report  # noqa: PLC0415  # protobuf is imported by the sender, never by the host

        ahead, backlog, account = len(self._flights), producer.backlog, producer.account
        with self._lock:
            whole = backlog.whole(ahead)
        if ahead and not (whole and ahead < producer.most_sent and self._flights[-1].sent.queued()):
            return False
        with self._lock:
            if ahead > backlog.sent or ahead >= len(backlog):
                return False  # all is on its way, or was given up meanwhile
            seq, parcel = backlog.numbered(ahead)
            acked, dropped, losses = backlog.acked_seq, dict(account.dropped), account.losses
        transport = self.transport()
        payload = report.envelope(producer.name, seq, acked, dropped) + parcel.body
        timeout = self._deadline * (ahead + 1)  # those ahead may take theirs
        if whole and producer.most_sent > 1:
            sent = transport.send(payload, timeout)
        else:  # none may follow before its ack
            sent = Answered(transport.report(payload, timeout))
        self._flights.append(Flight(seq, losses, sent))
        return True

    def reply(self) -> tuple[Flight, ReportReply]:
        """Wait for the ack of the oldest on its way.

        Raises
        ------
        TransportError
            It was not taken, or nobody knows; those behind it are on their way still.
        """
        if not self._flights:
            raise TransportError("closed meanwhile")
        flight = self._flights.popleft()
        reply = flight.sent.reply()
        if reply.acked_seq < flight.seq:
            raise TransportError(f"report {reply.acked_seq} was acked for it")
        return flight, reply

    def close(self) -> None:
        """End the calls on their way. From any thread, and again: the sender may be about to call."""
        transport = self._transport
        if transport is not None:
            transport.close()

    def reset(self) -> None:
        """Forget the connection and what is on its way: it is all to be sent again."""
        transport, self._transport = self._transport, None
        flights, self._flights = self._flights, deque()
        if transport is not None:
            transport.close()
        for flight in flights:  # ended by the close: gRPC frees a call whose end was seen, and no child inherits it
            with suppress(Exception):
                flight.sent.reply()


class Answered:
    """A report whose fate was known as it was sent."""

    def __init__(self, fate: ReportReply | TransportError) -> None:
        self._fate = fate

    def queued(self) -> bool:
        return not isinstance(self._fate, TransportError)

    def reply(self) -> ReportReply:
        if isinstance(self._fate, TransportError):
            raise self._fate
        return self._fate
