"""Encoded reports that wait for the agent's ack, bounded in bytes, and the account of every row.

Plain data without threads or clocks; the batcher guards it with its lock.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

MOST_NAMES = 200
QUEUE_FULL, REJECTED, SHUTDOWN = "queue_full", "rejected", "shutdown"


@dataclass(frozen=True, slots=True)
class Stats:
    """Where every row of a model is: ``emitted == acked + queued + sum(dropped.values())`` at any instant."""

    emitted: int
    acked: int
    queued: int
    dropped: Mapping[str, int]
    skipped: Mapping[str, int] = field(
        default_factory=dict
    )  # values that could be no feature, by name; their rows went on
    recovered: int = 0  # rows of dead processes that this one found in the spool and delivered: not in `emitted`


@dataclass(frozen=True, slots=True)
class Parcel:
    """One encoded report without its number, and the rows in it per model."""

    body: bytes
    rows: Mapping[str, int]
    skipped: Mapping[str, int] = field(default_factory=dict)  # values left out, by feature


@dataclass(frozen=True, slots=True)
class Unencodable:
    """Rows that could not be encoded or are too large, and why."""

    reason: str
    rows: Mapping[str, int]
    error: Exception | None = None


@dataclass(slots=True)
class Account:
    """Rows acked and dropped, per model."""

    acked: Counter[str] = field(default_factory=Counter)
    dropped: dict[tuple[str, str], int] = field(default_factory=dict)  # (model, reason) → rows
    losses: int = 0
    skipped: Counter[str] = field(default_factory=Counter)

    def drop(self, reason: str, rows: Mapping[str, int]) -> None:
        for model, count in rows.items():
            self.dropped[model, reason] = self.dropped.get((model, reason), 0) + count
            self.losses += count

    def stats(self, model: str, queued: int) -> Stats:
        dropped = {reason: rows for (of, reason), rows in self.dropped.items() if of == model}
        acked = self.acked[model]
        return Stats(acked + queued + sum(dropped.values()), acked, queued, dropped, dict(self.skipped))

    def skip(self, values: Mapping[str, int]) -> None:
        """Count values left out of rows; past 200 names under `other`."""
        for name, count in values.items():
            self.skipped[name if name in self.skipped or len(self.skipped) < MOST_NAMES else "other"] += count


class Backlog:
    """Reports in order. Each is numbered when it is first sent and keeps its number until it is acked.

    Parameters
    ----------
    account
        Where acked and dropped rows are counted.
    limit
        Bytes of encoded reports to hold; beyond it the oldest that is not on its way is dropped.
    policy
        ``newest``: what comes last is dropped instead. ``none``: nothing is, but by `trim`.
    merge
        Small reports grow up to that many bytes: many little ones would cost more memory than their bytes.
    """

    def __init__(self, account: Account, limit: int, *, policy: str = "oldest", merge: int = 0) -> None:
        self._account = account
        self._limit = limit
        self._policy = policy
        self._merge = merge
        self._parcels: deque[Parcel] = deque()
        self._bytes = 0
        self._seq = 0
        self.sent = 0  # how many of the oldest may be with the agent already
        self.acked_seq = 0

    def __len__(self) -> int:
        return len(self._parcels)

    def __iter__(self) -> Iterator[Parcel]:
        return iter(self._parcels)

    def add(self, parcel: Parcel) -> None:
        last = self._parcels[-1] if len(self._parcels) > self.sent else None
        self._bytes += len(parcel.body)
        if last is not None and self._merge and len(last.body) + len(parcel.body) <= self._merge:
            rows = Counter(last.rows)
            rows.update(parcel.rows)
            self._parcels[-1] = Parcel(last.body + parcel.body, rows)  # protobuf messages concatenate
        else:
            self._parcels.append(parcel)
        if self._policy != "none":
            self.trim(self._policy)

    def trim(self, policy: str) -> None:
        """Back within the limit."""
        while self._bytes > self._limit and len(self._parcels) > max(1, self.sent):
            after = self.sent if policy == "oldest" else -1  # what the agent may hold already cannot be lost
            lost = self._parcels[after]
            del self._parcels[after]
            self._bytes -= len(lost.body)
            self._account.drop(QUEUE_FULL, lost.rows)

    def full(self) -> bool:
        return self._bytes >= self._limit

    def add_first(self, parcel: Parcel) -> None:
        """The next to be sent, and sent from now on: it was taken from where it would not be merged or dropped."""
        self._parcels.appendleft(parcel)
        self._bytes += len(parcel.body)
        self.numbered(0)

    def peek(self, index: int) -> Parcel | None:
        return self._parcels[index] if len(self._parcels) > index else None

    def remove(self, parcel: Parcel) -> bool:
        """Take out one of the two oldest; False where it is gone already."""
        for index in range(min(2, len(self._parcels))):
            if self._parcels[index] is parcel:
                del self._parcels[index]
                self._bytes -= len(parcel.body)
                return True
        return False

    def resume(self, acked: int) -> None:
        """Go on behind that number."""
        self._seq = self.acked_seq = acked

    def skip_number(self) -> None:
        self._seq += 1

    def number_before(self) -> int:
        """The number before that of the oldest report."""
        return self._seq - self.sent

    def whole(self, index: int) -> bool:
        """Whether that report will not grow: what may become one with the next is not sent before it has to be."""
        left = len(self._parcels) - index
        return left > 1 or (left == 1 and len(self._parcels[index].body) > self._merge)

    def numbered(self, index: int) -> tuple[int, Parcel]:
        """The report to send behind `index` that wait for their acks, with its number."""
        if index == self.sent:
            self._seq, self.sent = self._seq + 1, self.sent + 1
        return self.number_before() + 1 + index, self._parcels[index]

    def on_its_way(self, seq: int) -> bool:
        """Whether that is the number of the oldest report, and it waits for its ack."""
        return self.sent > 0 and seq == self.number_before() + 1

    def acknowledge(self, rejected: Mapping[str, int]) -> None:
        """The oldest report is committed at the agent, except the rejected rows."""
        parcel = self._parcels.popleft()
        self._bytes -= len(parcel.body)
        self.acked_seq = self.number_before() + 1
        self.sent -= 1
        for model, rows in parcel.rows.items():
            self._account.acked[model] += rows - rejected.get(model, 0)
        self._account.drop(REJECTED, rejected)

    def abandon(self, reason: str, *, spare_first: bool = False) -> None:
        """Count all that is left as lost. Of reports on their way nobody can know; they are counted as lost too."""
        spared = [self._parcels.popleft()] if spare_first and self._parcels else []
        for parcel in self._parcels:
            self._account.drop(reason, parcel.rows)
        self._parcels = deque(spared)
        self._bytes = sum(len(parcel.body) for parcel in spared)
        self.sent = min(self.sent, len(spared))

    def rows(self, model: str) -> int:
        return sum(parcel.rows.get(model, 0) for parcel in self._parcels)
