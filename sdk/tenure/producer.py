"""One numbered sequence of reports: its name, its account, and what waits to be sent.

Here all of it waits in memory; `tenure.spooled` keeps it on disk while the agent is away. That one is imported only
where a spool is asked for: it needs file locks, which not every system has.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from tenure.backlog import Account, Backlog, Parcel
from tenure.errors import SettingError

if TYPE_CHECKING:
    from tenure.settings import Settings


class Producer:
    """A name, its numbers and its reports.

    `most_sent` of them are on their way at a time: while the agent commits one, others gather for the next commit.

    Parameters
    ----------
    name
        The producer id the agent knows it by.
    lock
        The batcher's; guards every count. Disk is only touched outside it.
    settings
        Limits.
    """

    most_sent = 4

    def __init__(self, name: str, lock: AbstractContextManager[object], settings: Settings) -> None:
        self.name = name
        self.told = 0  # losses the agent has heard of
        self.account = Account()
        policy = "none" if settings.spool or settings.when_full == "block" else settings.drop_policy
        self.backlog = Backlog(self.account, settings.queue_bytes, policy=policy, merge=settings.batch_bytes >> 4)
        self._lock = lock
        self._settings = settings

    def waiting(self) -> bool:
        return bool(self.backlog)

    def on_disk(self) -> bool:
        """Whether what comes now has to queue behind what is on disk."""
        return False

    def rows(self, model: str) -> int:
        return self.backlog.rows(model)

    def add_news(self) -> bool:
        """With nothing to send but the news of a loss: a report without rows."""
        if self.account.losses > self.told and not self.waiting():
            self.backlog.add(Parcel(b"", {}))
            return True
        return False

    def full(self) -> bool:
        """Whether a host that waits rather than loses has to wait."""
        return self.backlog.full()

    def adopt(self) -> Producer | None:
        """A dead process's, if there is one."""
        return None

    def load(self) -> None:
        """Take the oldest report on disk to hand, unless another is on its way."""

    def settle(self) -> None:
        """The report in hand was acked: it need not be on disk any longer."""

    def spill(self, patience: float = -1) -> None:
        """Move what waits in memory to disk, waiting `patience` seconds for whoever does so already."""

    def release(self) -> None:
        """In a forked child: the parent still has the folder."""

    def keep(self) -> None:
        """At the end of a process: all of it to disk."""

    def abandon(self, reason: str) -> None:
        """Count what is in memory only as lost."""
        self.backlog.abandon(reason)

    def finish(self) -> None:
        """An adopted one is through."""


def producer_of(name: str, lock: AbstractContextManager[object], settings: Settings) -> Producer:
    """This process's own, with a spool where `settings` name one.

    Raises
    ------
    SettingError
        A spool where there are no file locks.
    """
    if not settings.spool:
        return Producer(name, lock, settings)
    try:
        from tenure.spooled import Spooled  # noqa: PLC0415  # see above
    except ImportError as error:
        if error.name != "fcntl":
            raise
        raise SettingError("spool", settings.spool, "leave it empty: this system has no file locks") from None
    return Spooled(name, lock, settings)
