"""A producer whose reports wait on disk while the agent is away.

It may also finish the reports of dead processes, under their names and numbers.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from tenure import complaints, threads
from tenure.backlog import Parcel
from tenure.producer import Producer
from tenure.segment import Torn
from tenure.spool import SPOOL_FULL, SPOOL_TORN, Spool, orphans

if TYPE_CHECKING:
    from tenure.settings import Settings


class Spooled(Producer):
    """A producer with a folder of its own in the spool. Its reports go one by one: the mark on disk tells of no more.

    Parameters
    ----------
    name, lock, settings
        As in `Producer`.
    spool
        An adopted one; None: made when it is first needed.
    """

    most_sent = 1

    def __init__(
        self, name: str, lock: AbstractContextManager[object], settings: Settings, spool: Spool | None = None
    ) -> None:
        super().__init__(name, lock, settings)
        self._disk = threads.real().Lock()  # a host that closes and the sender may both spill
        self._spool = spool
        self._on_disk = False  # whether the report in hand is also the oldest on disk
        if spool is not None:
            self.backlog.resume(spool.mark.acked)
            self.account.dropped.update(spool.mark.losses)
            self.account.losses = sum(spool.mark.losses.values())
            for _ in range(spool.unknown):
                self.backlog.skip_number()  # the agent sees the gap, and counts a report as missed
            self.add_news()

    def adopt(self) -> Producer | None:
        for folder in orphans(Path(self._settings.spool)):
            spool = Spool.adopt(folder, self._settings.spool_bytes)
            if spool is not None and (spool.unread() or spool.unknown or spool.mark.losses):
                return Spooled(spool.producer, self._lock, self._settings, spool)
            if spool is not None:
                spool.remove()
        return None

    def waiting(self) -> bool:
        return bool(self.backlog) or self.on_disk()

    def on_disk(self) -> bool:
        return self._spool is not None and self._spool.unread()

    def rows(self, model: str) -> int:
        return self.backlog.rows(model) + (0 if self._spool is None else self._spool.rows()[model])

    def full(self) -> bool:
        return self.backlog.full() if self._spool is None else self._spool.full()

    def load(self) -> None:
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
        spool, self._on_disk = self._spool, False
        if spool is not None and len(spool):
            try:
                spool.settle(self.backlog.acked_seq, self.account.dropped.copy())
            except OSError as error:
                self._complain(error)

    def spill(self, patience: float = -1) -> None:
        """The oldest first; what cannot be written stays in memory, within its bound."""
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
            in_hand = self.backlog.sent > 0 and not self._on_disk
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
            if not spool.evict_orphan() and not self._drop_oldest(spool):
                return True
        return True

    def _drop_oldest(self, spool: Spool) -> bool:
        with self._lock:
            lost = spool.forget_oldest(spare_first=self._on_disk)
            if lost is None:
                return False
            self.account.drop(SPOOL_FULL, +lost.rows)
            losses = self.account.dropped.copy()
        lost.path.unlink(missing_ok=True)
        spool.save(self.backlog.number_before(), losses)  # should we be killed, the next process tells of them
        return True

    def release(self) -> None:
        if self._spool is not None:
            self._spool.release()

    def keep(self) -> None:
        self.spill(patience=0.2)
        if self._spool is not None:
            try:
                self._spool.save(self.backlog.number_before(), self.account.dropped.copy())
            except OSError as error:
                self._complain(error)

    def abandon(self, reason: str) -> None:
        """What is on disk stays queued."""
        self.backlog.abandon(reason, spare_first=self._on_disk)

    def finish(self) -> None:
        spool, self._spool = self._spool, None
        if spool is not None:
            spool.remove()

    def _complain(self, error: Exception) -> None:
        complaints.say("spool", "the spool at %s cannot be used: %s", self._settings.spool, error)
