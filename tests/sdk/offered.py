"""An agent that says to offered references what it is told to, and a row to send it."""

import threading
from collections.abc import Callable

from tenure import TransportError
from tenure.capture import Row, Stream
from tenure.testing import MemoryTransport
from tenure_proto.v1 import monitoring_pb2 as pb

DEADLINE = 60.0
CONTENT = b"what the model was judged fit on"


class Agent(MemoryTransport):
    """Says to offers what it is told to, then goes on as it should; keeps the order of what came."""

    def __init__(self, *script: str) -> None:
        super().__init__()
        self.script = list(script)
        self.calls: list[str] = []
        self.heard = threading.Condition()
        self.closed = 0
        self.session = ""

    def offer(self, payload: bytes, timeout: float) -> pb.ReferenceReply:
        offer = pb.ReferenceOffer.FromString(payload)
        act = self.script.pop(0) if self.script else "take"
        with self.heard:
            self.calls.append(f"{len(offer.content)} from {offer.offset}" if offer.content else "known?")
            self.heard.notify_all()
        if act == "be away":
            raise TransportError("nobody there")
        if act == "crash":
            raise RuntimeError("not foreseen")
        if act == "look":
            return pb.ReferenceReply(wanted=offer.size)
        if act == "forget":
            return pb.ReferenceReply(wanted=0)
        if act.startswith("refuse"):
            return pb.ReferenceReply(refused=act.removeprefix("refuse "), why="so it is")
        reply = super().offer(payload, timeout)
        with self.heard:
            self.heard.notify_all()
        return reply

    def report(self, payload: bytes, timeout: float) -> pb.ReportReply:
        reply = super().report(payload, timeout)
        with self.heard:
            self.calls.append("report")
            self.heard.notify_all()
        reply.session = self.session
        return reply

    def close(self) -> None:
        self.closed += 1

    def hears(self, what: Callable[[], object]) -> bool:
        with self.heard:
            return bool(self.heard.wait_for(what, DEADLINE))


def row(counter: int = 0) -> Row:
    return Row(Stream("m", "1"), {"x": 1.0}, 0.5, 1000, counter)
