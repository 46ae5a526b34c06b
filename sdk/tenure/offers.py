"""Reference files that ship with models: the agent is asked by their hash, and sent what it does not have.

Files are looked at, read and hashed in the sender thread; what they hold is the agent's to judge.
"""

from __future__ import annotations

import os
import stat
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tenure import complaints
from tenure.backoff import Backoff
from tenure.errors import SettingError, TenureError, TransportError

if TYPE_CHECKING:
    from random import Random

    from tenure.transport import Transport
    from tenure_proto.v1.monitoring_pb2 import ReferenceReply

MOST_BYTES = 32 << 20  # of a file: the agent takes no more
PART_BYTES, LEAST_PART = 1 << 20, 1 << 16  # of it in one call; fewer where the last ones came to nothing
CONFIGURED = "configured"  # the one refusal that is no fault


@dataclass(slots=True)
class Offer:
    """One file for one version, and how far the agent at the other end is with it."""

    model: str
    version: str
    path: str
    settled: bool = False
    wanted: int | None = None  # the agent's word on where to go on; None: it has to be asked
    _size: int = 0
    _sha256: bytes = b""
    _told: set[str] = field(default_factory=set)

    def renew(self) -> None:
        """Another agent may be at the other end."""
        self.settled, self.wanted, self._sha256 = False, None, b""

    def call(self, transport: Transport, timeout: float, part: int) -> bool:
        """Ask, or send the next part, of so many bytes; whether that brought it further.

        Raises
        ------
        TransportError
            No answer.
        TenureError
            The file cannot be used, or the agent does not take it: that is settled now.
        """
        from tenure_proto.v1.monitoring_pb2 import ReferenceOffer  # noqa: PLC0415  # imported by the sender only

        try:
            if not self._sha256:
                self._size, self._sha256 = _looked_at(self.path)
            offset = self.wanted or 0
            content = b"" if self.wanted is None else _part(self.path, offset, part)
        except OSError as error:
            raise self._unusable(f"{self.path} ({error.strerror})") from None
        except SettingError:
            self.settled = True
            raise
        if self.wanted is not None and not content:  # it is shorter than when it was looked at
            self.renew()
            return False
        request = ReferenceOffer(
            model=self.model,
            version=self.version,
            sha256=self._sha256,
            size=self._size,
            offset=offset,
            content=content,
        )
        reply = transport.offer(request.SerializeToString(), timeout)
        self._hear(reply)
        return self.settled or (self.wanted is not None and (not content or self.wanted > offset))

    def _hear(self, reply: ReferenceReply) -> None:
        self.settled = reply.taken or bool(reply.refused)
        self.wanted = reply.wanted if reply.wanted < self._size else None
        if reply.refused == CONFIGURED:
            if self._is_news(CONFIGURED):
                complaints.tell("the reference of %s %s was not sent: %s", self.model, self.version, reply.why)
        elif reply.refused:
            told = f"the agent refuses the reference {self.path} of {self.model} {self.version}"
            raise TenureError(f"{told}: {reply.why}.")

    def complain(self, error: TenureError) -> None:
        """Say it in the host's log, once in the life of a process."""
        if self._is_news(str(error)):
            complaints.say(f"reference {self.path}", "%s Predictions go on without it.", error)

    def _is_news(self, told: str) -> bool:
        news = told not in self._told
        self._told.add(told)
        return news

    def _unusable(self, value: str) -> SettingError:
        self.settled = True
        return SettingError("reference", value, "a file that `tenure-agent reference build` has written")


class Offers:
    """What the monitors of one sender offer.

    Parameters
    ----------
    rng
        Source of the backoff's jitter.
    """

    def __init__(self, rng: Random | None = None) -> None:
        self._offers: dict[tuple[str, str], Offer] = {}
        self._backoff = Backoff(rng)
        self._failures, self._resume = 0, 0.0
        self._session = ""

    def add(self, model: str, version: str, path: str) -> None:
        """Called by the host: nothing is looked at yet. The newest file of a version counts."""
        known = self._offers.get((model, version))
        if known is None or known.path != path:
            self._offers[model, version] = Offer(model, version, path)

    def renew(self) -> None:
        """A connection is about to be made: whoever answers is asked."""
        self._session = ""
        for offer in list(self._offers.values()):
            offer.renew()

    def hear(self, session: str) -> None:
        """Who answers a report; an agent that was not asked yet is asked anew."""
        if self._session not in {"", session}:
            self.renew()
        self._session = session

    def left(self) -> float | None:
        """Seconds until there is something to do; None: all is settled."""
        if all(offer.settled for offer in list(self._offers.values())):
            return None
        return max(0.0, self._resume - time.monotonic())

    def step(self, transport: Transport, timeout: float) -> TenureError | None:
        """One call for the first that is not settled; what it found wrong, which was said already.

        An agent that does not answer, or is not done yet, is left alone for a while.
        """
        for offer in list(self._offers.values()):
            if not offer.settled:
                return self._step(offer, transport, timeout)
        return None

    def _step(self, offer: Offer, transport: Transport, timeout: float) -> TenureError | None:
        further, fault = False, None
        try:
            further = offer.call(transport, timeout, max(LEAST_PART, PART_BYTES >> self._failures))
        except TransportError as error:
            complaints.note("reference %s not taken: %s", offer.path, error)
        except TenureError as error:
            further, fault = True, error
            offer.complain(error)
        except Exception as error:  # noqa: BLE001  # reports go on, whatever we did not foresee
            offer.settled, fault = True, TenureError(f"reference: {offer.path!r} could not be offered ({error!r}).")
            offer.complain(fault)
        if further:
            self._failures = 0
        else:
            self._failures += 1
            self._resume = time.monotonic() + self._backoff.seconds(self._failures)
        return fault


def _looked_at(path: str) -> tuple[int, bytes]:
    """Size and sha256 of a file.

    Raises
    ------
    OSError
        It cannot be read.
    SettingError
        It is no file, or too large to be sent.
    """
    import hashlib  # noqa: PLC0415  # a part of the host's import that few need

    found = os.stat(path)  # noqa: PTH116  # pathlib costs the host's import 3 ms
    remedy = "a file that `tenure-agent reference build` has written"
    if not stat.S_ISREG(found.st_mode):  # to open a pipe would hang
        raise SettingError("reference", path, remedy)
    if found.st_size > MOST_BYTES:
        told = f"{path} ({found.st_size >> 20} MiB)"
        raise SettingError("reference", told, f"at most {MOST_BYTES >> 20} MiB, with fewer columns or segments")
    if not found.st_size:
        raise SettingError("reference", f"{path} (empty)", remedy)
    with open(path, "rb") as file:  # noqa: PTH123  # see above
        return found.st_size, hashlib.file_digest(file, "sha256").digest()


def _part(path: str, offset: int, size: int) -> bytes:
    with open(path, "rb") as file:  # noqa: PTH123  # see above
        file.seek(offset)
        return file.read(size)
