"""The sender's second errand: reference files go to the agent, never in the way of reports for longer than a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from tenure.intake import Intake
from tenure.pipeline import Pipeline

if TYPE_CHECKING:
    from tenure.offers import Offers
    from tenure.settings import Settings
    from tenure.transport import Transport


class Offering(Intake):
    """A queue whose sender also offers references, anew over each connection.

    Parameters
    ----------
    settings
        Limits, see `Settings`.
    connect
        Makes a transport; called in the sender thread only.
    """

    _stopping: bool
    _error: Exception | None

    def __init__(self, settings: Settings, connect: Callable[[], Transport]) -> None:
        super().__init__(settings)
        self._connect = connect
        self._offers: Offers | None = None

    def _start_afresh(self) -> None:
        super()._start_afresh()
        self._pipeline = Pipeline(self._connect, self._lock, self._settings.deadline)

    def offer(self, model: str, version: str, path: str) -> None:
        """Have the agent hold a version against a reference file; it is looked at with the first report."""
        from tenure.offers import Offers  # noqa: PLC0415  # the others' import shall not pay for it

        with self._lock:
            if self._offers is None:
                self._offers = Offers()
        self._offers.add(model, version, path)

    def _offer(self) -> None:
        """Before reports go: for a deadline at most, of which each call has more than half."""
        offers, deadline = self._offers, self._settings.deadline
        if offers is None:
            return
        if not self._pipeline.connected():
            offers.renew()
        until = time.monotonic() + deadline
        while not self._stopping and offers.left() == 0 and (left := until - time.monotonic()) > deadline / 2:
            fault = offers.step(self._pipeline.transport(), left)
            if fault is not None and self._settings.strict:
                self._error = fault

    def _hear(self, session: str) -> None:
        """With a reply: a connection may be mended without our knowing, and lead to another agent."""
        if self._offers is not None:
            self._offers.hear(session)

    def _nap(self, most: float | None) -> float | None:
        """How long a sender with nothing queued may sleep."""
        left = None if self._offers is None else self._offers.left()
        return left if most is None else most if left is None else min(left, most)
