"""Reports into one transaction: each once, every refusal with its reason, every gap counted. Runs in the writer thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

from tenure_agent.blocks import Array
from tenure_agent.gaps import filled, opened
from tenure_agent.store import outcomes, outgoing, predictions, producers
from tenure_agent.store.catalogue import MAX_COLUMNS, Catalogue, LimitReached
from tenure_agent.store.database import Cursor
from tenure_agent.store.producers import Producer, Totals
from tenure_agent.wire import MAX_LOSSES, Refusal, Report, Rows, Truths


@dataclass(frozen=True, slots=True)
class Taken:
    """A report that told something new: its ingest number, which of its parts were accepted, and the refusals."""

    number: int
    report: Report
    accepted: Sequence[bool]
    refused: Sequence[Refusal]


REMEMBERED = 10_000  # producers, those seen last; the others are looked up in the store when they come back


@dataclass(slots=True)
class Admitted:
    """What one transaction stored, and what it found."""

    producers: dict[str, Producer] = field(default_factory=dict)  # as they are once it is committed
    taken: list[Taken] = field(default_factory=list)
    batches: list[tuple[int, Rows]] = field(default_factory=list)
    truths: list[tuple[int, Truths]] = field(default_factory=list)
    refused: list[Sequence[Refusal]] = field(default_factory=list)  # of each report: what its producer is told
    refused_now: list[Refusal] = field(default_factory=list)  # the same without those told before
    missed: int = 0
    lost_after_ack: int = 0
    duplicates: int = 0
    late: int = 0  # reports that had been counted as missed, or as lost
    regained: int = 0  # those of them that had been counted as lost
    type_changes: list[str] = field(default_factory=list)  # a model's name for each
    lost: dict[tuple[str, str], int] = field(default_factory=dict)  # growth of the producers' totals
    oldest: int = 0
    newest: int = 0

    def saw(self, times: Array, now: int) -> None:
        """A row from the future must not take the event clock there."""
        low = min(int(times.min()), now)
        self.oldest = min(self.oldest, low) if self.oldest else low
        self.newest = max(self.newest, min(int(times.max()), now))


Keep = Callable[[Cursor, Admitted, int], None]
"""Writes what was admitted by a time, in the transaction that admits it."""


class Admission:
    """What is stored of whom, and what is new in a report.

    Parameters
    ----------
    catalogue
        Changed only here, and only in the writer thread.
    clock
        Wall time in microseconds since 1970 UTC.
    keep
        Where it goes; None: into the tables that checks read.
    """

    def __init__(self, catalogue: Catalogue, clock: Callable[[], int], keep: Keep | None = None) -> None:
        self._catalogue = catalogue
        self._clock = clock
        self._keep = keep or self._into_tables
        self._producers: dict[str, Producer] = {}
        self._batch = 0
        self._lines = 0  # written since they were put together
        self._stale = False
        self.totals = Totals()

    def load(self, cursor: Cursor) -> int:
        """Begin with what is stored; the newest event time of it."""
        self._know(cursor)
        self._batch = max(predictions.newest_batch(cursor, self._catalogue), outgoing.newest(cursor))
        return min(predictions.newest_time(cursor, self._catalogue), self._clock())

    def zeroed(self, cursor: Cursor) -> int:
        """Rows that are stored and no longer what they were."""
        return predictions.count_zeroed(cursor, self._catalogue)

    def distrust(self) -> None:
        """A transaction failed: memory may know more than is stored."""
        self._stale = True

    def reload(self, cursor: Cursor) -> None:
        """What memory knows is what is stored."""
        self._catalogue.models = Catalogue(cursor).models
        self._know(cursor)
        self._stale = False

    def _know(self, cursor: Cursor) -> None:
        self._producers = producers.load(cursor, REMEMBERED)
        self.totals = producers.totals(cursor)

    def committed(self, done: Admitted) -> None:
        """What `store` gave is on disk: only then it is known."""
        self._producers |= done.producers
        if len(self._producers) > 2 * REMEMBERED:
            newest = sorted(self._producers.values(), key=lambda producer: producer.last_seen)[-REMEMBERED:]
            self._producers = {producer.name: producer for producer in newest}
        self.totals.stored += sum(len(rows) for _, rows in done.batches) + sum(len(told) for _, told in done.truths)
        self.totals.missed += done.missed - (done.late - done.regained)
        self.totals.lost += done.lost_after_ack - done.regained
        for (_, reason), rows in done.lost.items():
            self.totals.dropped[reason] += rows

    def remembered(self) -> dict[str, Producer]:
        """The producers seen last, as they were committed: should the store be lost, this is not."""
        return dict(self._producers)

    def store(self, cursor: Cursor, reports: Sequence[Report]) -> Admitted:
        """Store what is new of some reports, in the caller's transaction."""
        if self._stale:
            self.reload(cursor)
        done = Admitted()
        now = self._clock()
        for report in reports:
            done.refused.append(self._take(cursor, report, done, now))
        self._keep(cursor, done, now)
        producers.append(cursor, done.producers.values())
        self._lines += len(done.producers)
        if self._lines > producers.LINES:
            producers.compact(cursor)
            self._lines = 0
        return done

    def adopt(self, cursor: Cursor, reports: Sequence[tuple[int, Report]]) -> None:
        """Store reports, under their ingest numbers, that were admitted while this agent was a relay."""
        done, now = Admitted(), self._clock()
        for number, report in reports:
            for part in report.parts:
                if not isinstance(part, Refusal):
                    self._admit(cursor, part, number, done, now)
        self._into_tables(cursor, done, now)

    def _into_tables(self, cursor: Cursor, done: Admitted, now: int) -> None:
        for batches in _by_model(done.batches):
            predictions.append(cursor, self._catalogue, batches, now)
        for truths in _by_model(done.truths):
            outcomes.append(cursor, self._catalogue, truths, now)

    def _take(self, cursor: Cursor, report: Report, done: Admitted, now: int) -> Sequence[Refusal]:
        """Take one report into `done`, unless it is stored already; what is refused of it."""
        refused = [part for part in report.parts if isinstance(part, Refusal)]
        if not report.producer:
            done.refused_now += refused
            return refused
        producer = done.producers.get(report.producer) or self._known(cursor, report.producer)
        done.producers[producer.name] = producer
        producer.last_seen = now
        news = self._take_losses(cursor, producer, report, done)
        producer.gaps, late = filled(producer.gaps, report.seq)
        if late is None and report.seq <= producer.last_seq:
            done.duplicates += 1
            if news:  # it was sent again with what was lost meanwhile
                self._batch += 1
                done.taken.append(Taken(self._batch, report, [False] * len(report.parts), []))
            return producer.refused.get(report.seq, ())
        self._batch += 1
        accepted = []
        for part in report.parts:
            refusal = None if isinstance(part, Refusal) else self._admit(cursor, part, self._batch, done, now)
            accepted.append(refusal is None and not isinstance(part, Refusal))
            if refusal is not None:
                refused.append(refusal)
            elif not isinstance(part, Refusal):
                producer.stored += len(part)
                done.saw(part.times, now)
        producer.refuse(report.seq, refused)
        if late is None:
            _pass_over(producer, report, done)
            producer.last_seq, producer.late_seq = report.seq, 0
        else:
            producer.late, producer.late_seq = producer.late + 1, report.seq
            producer.lost -= late.acked
            producer.missed -= not late.acked
            done.late += 1
            done.regained += late.acked
        done.refused_now += [*refused, *report.told]
        done.taken.append(Taken(self._batch, report, accepted, refused))
        return refused

    def _admit(self, cursor: Cursor, part: Rows | Truths, number: int, done: Admitted, now: int) -> Refusal | None:
        """Every name of a part has its number, or the part is refused whole."""
        try:
            if isinstance(part, Rows):
                done.batches.append((number, self._named(cursor, part, done, now)))
            else:
                self._catalogue.model(cursor, part.model, now)
                done.truths.append((number, part))
        except LimitReached as reached:
            return Refusal(part.model, reached.reason, len(part))
        return None

    def _named(self, cursor: Cursor, rows: Rows, done: Admitted, now: int) -> Rows:
        model = self._catalogue.model(cursor, rows.model, now)
        self._catalogue.version(cursor, model, rows.version, now)
        new = {(values.part, values.name) for values in rows.columns} - model.columns.keys()
        if len(model.columns) + len(new) > MAX_COLUMNS:  # what is refused whole must not take the names that are left
            raise LimitReached("too_many_columns")
        kept = []
        for values in rows.columns:
            known = model.columns.get((values.part, values.name))
            if (
                known is not None
                and not known.has_numbers
                and values.kind == "NUMBER"
                and np.isnan(values.values).all()
            ):
                continue  # texts that are all missing: a producer cannot know that they are texts
            both = known is None or (known.has_numbers and known.has_texts)
            column = self._catalogue.column(cursor, model, values.part, values.name, values.kind, now)
            if not both and column.has_numbers and column.has_texts:
                done.type_changes.append(model.name)
            kept.append(values)
        return rows if len(kept) == len(rows.columns) else replace(rows, columns=tuple(kept))

    def _known(self, cursor: Cursor, name: str) -> Producer:
        """A producer as the store has it: ours to change until the commit."""
        known = self._producers.get(name) or producers.find(cursor, name)
        return Producer(name) if known is None else replace(known)

    @staticmethod
    def _take_losses(cursor: Cursor, producer: Producer, report: Report, done: Admitted) -> bool:
        """Whether it tells of any that were not known."""
        before = producer.losses
        grown = {key: rows for key, rows in report.losses.items() if rows > before.get(key, 0)}
        if not grown:  # a report that came again may tell of older totals
            return False
        for key, rows in grown.items():
            done.lost[key] = done.lost.get(key, 0) + rows - before.get(key, 0)
        known = {**before, **grown}
        producer.losses = known if len(known) <= MAX_LOSSES else report.losses
        producers.save_losses(cursor, producer.name, producer.losses)
        return True


def _pass_over(producer: Producer, report: Report, done: Admitted) -> None:
    """Reports between the last one and this: acked ones were stored once, and are lost; others have not come yet."""
    acked = max(min(report.acked, report.seq - 1), producer.last_seq)
    lost, missed = acked - producer.last_seq, report.seq - 1 - acked
    producer.gaps = opened(producer.gaps, producer.last_seq + 1, acked, acked=True)
    producer.gaps = opened(producer.gaps, acked + 1, report.seq - 1)
    producer.lost += lost
    producer.missed += missed
    done.lost_after_ack += lost
    done.missed += missed


T = TypeVar("T", Rows, Truths)


def _by_model(items: Sequence[tuple[int, T]]) -> list[list[tuple[int, T]]]:
    groups: dict[str, list[tuple[int, T]]] = {}
    for number, item in items:
        groups.setdefault(item.model, []).append((number, item))
    return list(groups.values())
