"""One numbered sequence of reports: its account, what waits in memory, and what waits on disk.

This process has one of its own; with a spool it may finish those of dead processes, under their names and numbers.
"""

from __future__ import annotations

import logging
import threading
from contextlib import AbstractContextManager
from pathlib import Path

from tenure import complaints
from tenure.backlog import Account, Backlog, Parcel
from tenure.segment import Torn
from tenure.settings import Settings
from tenure.spool import SPOOL_FULL, SPOOL_TORN, Spool, orphans

logger = logging.getLogger("tenure")


class Producer:
    """A name, its numbers and its reports.

    Parameters
    ----------
    name
        The producer id the agent knows it by.
    lock
        The batcher's; guards every count. Disk is only touched outside it.
    settings
        Limits.
    spool
        An adopted one; None: made when it is first needed, if `settings` name a folder.
    """

    def __init__(
        self, name: str, lock: AbstractContextManager[object], settings: Settings, spool: Spool | None = None
    ) -> None:
        self.name = name
        self.told = 0  # losses the agent has heard of
        self.account = Account()
        policy = "none" if settings.spool or settings.when_full == "block" else settings.drop_policy
        self.backlog = Backlog(self.account, settings.queue_bytes, policy=policy, merge=settings.batch_bytes >> 4)
        self._lock = lock
        self._settings = settings
        self._disk = threading.Lock()  # a host that closes and the sender may both spill
        self._spool = spool
        self._on_disk = False  # whether the report in hand is also the oldest on disk
        if spool is not None:
            self.backlog.resume(spool.mark.acked)
            self.account.dropped.update(spool.mark.losses)
            self.account.losses = sum(spool.mark.losses.values())
            for _ in range(spool.unknown):
                self.backlog.skip_number()  # the agent sees the gap, and counts a report as missed
            self.add_news()

    @classmethod
    def adopt(cls, lock: AbstractContextManager[object], settings: Settings) -> Producer | None:
        """A dead process's, if there is one."""
        for folder in orphans(Path(settings.spool)):
            spool = Spool.adopt(folder, settings.spool_bytes)
            if spool is not None and (spool.unread() or spool.unknown or spool.mark.losses):
                return cls(spool.producer, lock, settings, spool)
            if spool is not None:
                spool.remove()
        return None

    def waiting(self) -> bool:
        return bool(self.backlog) or (self._spool is not None and self._spool.unread())

    def on_disk(self) -> bool:
        """Whether what comes now has to queue behind what is on disk."""
        return self._spool is not None and self._spool.unread()

    def rows(self, model: str) -> int:
        return self.backlog.rows(model) + (0 if self._spool is None else self._spool.rows()[model])

    def add_news(self) -> bool:
        """With nothing to send but the news of a loss: a report without rows."""
        if self.account.losses > self.told and not self.waiting():
            self.backlog.add(Parcel(b"", {}))
            return True
        return False

    def full(self) -> bool:
        """Whether a host that waits rather than loses has to wait."""
        if self._spool is not None:
            return self._spool.full()
        return self.backlog.full()

    def load(self) -> None:
        """Take the oldest report on disk to hand, unless another is on its way."""
        spool = self._spool
        while spool is not None and not self.backlog.sent and not self._on_disk and spool.unread():
            try:
                found = spool.read()
            except OSError as error:
                self._complain(error)
                return
            if found is None:
                return
            segment, record = found
            with self._lock:
                segment.rows.subtract(record.rows)
                if isinstance(record, Torn):
                    self.account.drop(SPOOL_TORN, record.rows)
                else:
                    self.backlog.add_first(record)
                    self._on_disk = True

    def settle(self) -> None:
        """The report in hand was acked: it need not be on disk any longer."""
        spool, self._on_disk = self._spool, False
        if spool is not None and len(spool):
            try:
                spool.settle(self.backlog.acked_seq, self.account.dropped.copy())
            except OSError as error:
                self._complain(error)

    def spill(self, patience: float = -1) -> None:
        """Move what waits in memory to disk, the oldest first; what cannot be written stays, within its bound."""
        if not self._settings.spool:
            return
        if not self._disk.acquire(timeout=patience):
            return
        try:
            if self._spool is None:
                self._spool = Spool.create(Path(self._settings.spool), self.name, self._settings.spool_bytes)
            while self._spill_one(self._spool):
                pass
        except OSError as error:
            self._complain(error)
        finally:
            self._disk.release()
        with self._lock:
            if self._settings.when_full != "block":
                self.backlog.trim(self._settings.drop_policy)

    def _spill_one(self, spool: Spool) -> bool:
        with self._lock:
            parcel = self.backlog.peek(int(self._on_disk))
            in_hand = self.backlog.sent and not self._on_disk
            losses = self.account.dropped.copy()
        if parcel is None:
            return False
        if not len(spool):
            spool.save(self.backlog.number_before(), losses)
        if not in_hand and not self._make_room(spool, parcel):
            return True
        segment = spool.append(parcel)
        if in_hand:  # it keeps its number and stays in memory; on disk it is the first, for whoever comes after us
            spool.read()
            self._on_disk = True
            return True
        with self._lock:
            if self.backlog.remove(parcel):
                segment.rows.update(parcel.rows)
        return True

    def _make_room(self, spool: Spool, parcel: Parcel) -> bool:
        """False where the report itself is dropped for want of it."""
        while self._settings.when_full != "block" and spool.full(len(parcel.body)):
            if self._settings.drop_policy == "newest":
                with self._lock:
                    if self.backlog.remove(parcel):
                        self.account.drop(SPOOL_FULL, parcel.rows)
                return False
            with self._lock:
                lost = spool.make_room(spare_first=self._on_disk)
                if lost is None:
                    return True
                self.account.drop(SPOOL_FULL, +lost.rows)
        return True

    def release(self) -> None:
        """In a forked child: the parent still has the folder."""
        if self._spool is not None:
            self._spool.release()

    def keep(self) -> bool:
        """At the end of a process: all of it to disk; False where there is no spool."""
        if not self._settings.spool:
            return False
        self.spill(patience=0.2)
        if self._spool is not None:
            try:
                self._spool.save(self.backlog.number_before(), self.account.dropped.copy())
            except OSError as error:
                self._complain(error)
        return True

    def abandon(self, reason: str) -> None:
        """Count what is in memory only as lost; what is on disk stays queued."""
        self.backlog.abandon(reason, spare_first=self._on_disk)

    def finish(self) -> None:
        """An adopted one is through."""
        if self._spool is not None:
            self._spool.remove()
            self._spool = None

    def _complain(self, error: Exception) -> None:
        if complaints.due("spool"):
            logger.warning("tenure: the spool at %s cannot be used: %s", self._settings.spool, error)
