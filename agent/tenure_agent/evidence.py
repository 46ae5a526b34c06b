"""Labelled predictions of one model version, kept from review to review; losses and quality over the newest of them.

What a review asks for moves on by a few labels at a time, so sums run along with them. The figures are those of the rows
themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from tenure_agent.bins import Array
from tenure_agent.losses import LossProfile, loss_values
from tenure_agent.measures import SlidingAuc, measure

SLACK = 1.25  # so many times the labels asked for are kept before the oldest go


@dataclass(frozen=True, slots=True)
class Labelled:
    """Predictions with their truth, one entry for each label that came. Numbers, or texts as objects.

    Parameters
    ----------
    known, times
        int64: when the label became known, and when the prediction was made, in microseconds since 1970 UTC.
    ids
        uint64: what tells predictions apart; a later label of the same one replaces the earlier.
    """

    predictions: Array
    labels: Array
    known: Array
    times: Array
    ids: Array

    @classmethod
    def none(cls) -> Self:
        empty, whole = np.empty(0), np.empty(0, np.int64)
        return cls(empty, empty, whole, whole, np.empty(0, np.uint64))

    def __len__(self) -> int:
        return len(self.known)

    def __getitem__(self, chosen: Array | slice) -> Labelled:
        return Labelled(*(getattr(self, name)[chosen] for name in self.__slots__))

    def followed_by(self, other: Labelled) -> Labelled:
        """Both, one after the other."""
        if not len(self) or not len(other):
            return other if not len(self) else self
        pairs = ((getattr(self, name), getattr(other, name)) for name in self.__slots__)
        return Labelled(*(np.concatenate(pair) for pair in pairs))

    def copied(self) -> Labelled:
        """Not as a part of something larger, which would stay in memory."""
        return Labelled(*(getattr(self, name).copy() for name in self.__slots__))

    def in_order(self) -> Labelled:
        """Oldest label first."""
        return self[np.lexsort((self.ids, self.times, self.known))]


class Evidence:
    """Entries oldest label first, of which a stretch is looked at.

    Parameters
    ----------
    entries
        In order.
    settled
        Event time by which only the last label of each prediction is held; -1: all are.
    """

    def __init__(self, entries: Labelled, settled: int = -1) -> None:
        self._entries = entries
        self.settled = settled
        self._low, self._high, self._now = 0, len(entries), -1
        self._auc: SlidingAuc | None = None
        self._auc_span = (0, 0)
        self._ids: Array = np.sort(entries.ids)
        self._repeated = bool((self._ids[1:] == self._ids[:-1]).any())
        self._settle(0)

    @classmethod
    def of(cls, predictions: Array, labels: Array, known: Array) -> Self:
        """Different predictions, oldest label first."""
        return cls(Labelled(predictions, labels, known, known, np.arange(len(known), dtype=np.uint64)))

    def add(self, fresh: Labelled) -> None:
        """Take in labels that came since; of one prediction's labels the last to come is the last here."""
        if not len(fresh):
            return
        own = np.sort(fresh.ids)
        at = np.searchsorted(self._ids, own)
        same = (self._ids[np.minimum(at, len(self._ids) - 1)] == own).any() if len(self._ids) else False
        self._repeated = bool(self._repeated or same or (own[1:] == own[:-1]).any())
        self._ids = np.insert(self._ids, at, own)
        cut = int(np.searchsorted(self._entries.known, fresh.known.min()))
        self._entries = self._entries[:cut].followed_by(self._entries[cut:].followed_by(fresh).in_order())
        self._settle(cut)

    def forget(self, most: int) -> bool:
        """Where far more than `most` entries were known when last looked at, keep those of the newest predictions.

        Returns
        -------
        Whether predictions went: where there are no more, labels go that were corrected by then.
        """
        if self._high <= SLACK * most:
            return False
        held = np.arange(self._high)
        if self._replaced is not None:
            held, self.settled = held[self._replaced[: self._high] > self._now], self._now
        kept = held[-most:]
        self._low, self._high, late = int(np.searchsorted(kept, self._low)), len(kept), self._entries[self._high :]
        self._entries = self._entries[kept].followed_by(late).copied()
        self._ids = np.sort(self._entries.ids)
        self._settle(0)
        return len(held) > most

    def _settle(self, unchanged: int) -> None:
        """Entries up to a number are as they were."""
        self._sums: dict[LossProfile, Array] = {}
        if self._auc_span[1] > unchanged:
            self._auc = None
        times = self._entries.times
        self._earliest: Array = np.minimum.accumulate(times[::-1])[::-1]
        self._replaced = _replaced(self._entries) if self._repeated else None

    def look(self, since: int, now: int, newest: int) -> Evidence:
        """What is known at a time.

        Parameters
        ----------
        since
            Labels and predictions older than that do not count.
        newest
            At most so many labels.
        """
        known, self._now = self._entries.known, now
        self._high = int(np.searchsorted(known, now, "right"))
        self._low = min(int(np.searchsorted(known, since)), self._high)
        early = self._low < self._high and self._earliest[self._low] < since
        if self._replaced is None and not early:
            self._low = max(self._low, self._high - newest)
            return self
        here = slice(self._low, self._high)
        kept = self._entries.times[here] >= since
        if self._replaced is not None:
            kept &= self._replaced[here] > now
        return Evidence(self._entries[here][np.flatnonzero(kept)[-newest:]])

    def __len__(self) -> int:
        return self._high - self._low

    @property
    def known(self) -> Array:
        """When each label became known, oldest first."""
        return self._entries.known[self._low : self._high]

    @property
    def times(self) -> Array:
        """When each prediction was made."""
        return self._entries.times[self._low : self._high]

    def since(self, time: int) -> int:
        """How many labels became known from a time on."""
        return len(self) - int(np.searchsorted(self.known, time))

    def first(self, rows: int) -> tuple[Array, Array]:
        """Predictions and labels of the oldest so many."""
        here = slice(self._low, min(self._low + rows, self._high))
        return self._entries.predictions[here], self._entries.labels[here]

    def mean_loss(self, profile: LossProfile, rows: int) -> float:
        """Over the newest so many, or all where there are fewer."""
        if profile not in self._sums:
            losses = loss_values(profile.channel, self._entries.predictions, self._entries.labels, profile.scale)
            self._sums[profile] = np.concatenate(([0.0], np.cumsum(losses)))
        sums, first = self._sums[profile], max(self._high - rows, self._low)
        return float(sums[self._high] - sums[first]) / max(self._high - first, 1)

    def measured(self, metric: str, time: int) -> float:
        """A metric over the labels that became known from a time on."""
        span = self._high - self.since(time), self._high
        said, true = self._entries.predictions, self._entries.labels
        if metric != "auc_roc":
            return measure(metric, said[slice(*span)], true[slice(*span)])
        before, self._auc_span = self._auc_span, span
        joined = before[0] <= span[0] <= before[1] <= span[1]
        gone, come = slice(before[0], span[0]), slice(before[1], span[1])
        if self._auc is not None and joined:
            self._auc.move(said[come], true[come], said[gone], true[gone])
        else:
            self._auc = SlidingAuc(said[slice(*span)], true[slice(*span)])
        return self._auc.value


def _replaced(entries: Labelled) -> Array:
    """int64: when a later label of the same prediction became known; the end of time where none did."""
    found = np.full(len(entries), np.iinfo(np.int64).max)
    order = np.argsort(entries.ids, kind="stable")
    same = np.flatnonzero(entries.ids[order[1:]] == entries.ids[order[:-1]])
    found[order[same]] = entries.known[order[same + 1]]
    return found
