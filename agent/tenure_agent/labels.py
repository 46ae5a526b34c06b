"""Labelled predictions of all versions of one store: read once, and from then on only what is new."""

from __future__ import annotations

from dataclasses import dataclass

from tenure_agent.checks import performance
from tenure_agent.evidence import SLACK, Evidence, Labelled
from tenure_agent.records import DAY
from tenure_agent.store import outcomes
from tenure_agent.store.catalogue import Model
from tenure_agent.store.database import Cursor
from tenure_agent.store.outcomes import Extent

MOST_LABELS = 16_000
ENOUGH_LABELS = 8000
FAST_LABELS = 1_000_000
HORIZON = 60 * DAY


@dataclass(slots=True)
class _Read:
    evidence: Evidence
    extent: Extent
    since: int
    cut: bool  # older ones were left out
    revision: int = -1


class Labels:
    """What has been read so far, in memory.

    Parameters
    ----------
    paired
        See `outcomes.labelled`.
    """

    def __init__(self, *, paired: bool = False) -> None:
        self._paired = paired
        self._read: dict[tuple[int, int], _Read] = {}
        self._enough: dict[tuple[int, int], int] = {}  # labels that span what the performance check looks at

    def judged(
        self, cursor: Cursor, model: Model, version: int, now: int, window: int, delay: int, revision: int
    ) -> Evidence:
        """Those that the performance check looks at.

        Parameters
        ----------
        now, window, delay
            Event time, what labels must span, and how long they take, in microseconds.
        revision
            See `look`.
        """
        key, span = (model.number, version), 4 * window + delay
        newest = self._enough.get(key, MOST_LABELS)

        def look(since: int) -> Evidence:
            return self.look(cursor, model, version, since=since, known=now, newest=newest, revision=revision)

        labelled = look(now - span)
        if len(labelled) < ENOUGH_LABELS and span < HORIZON:  # a slow stream: look further back
            labelled = look(now - HORIZON)
        if len(labelled) == newest < FAST_LABELS and labelled.known[0] > now - window:  # a fast one: they must span it
            needed = performance.newest_needed(outcomes.count_known(cursor, model, now - window, now))
            self._enough[key] = newest = min(max(needed, MOST_LABELS), FAST_LABELS)
            labelled = look(now - span)
        self.forget(model, version, newest)
        return labelled

    def look(
        self, cursor: Cursor, model: Model, version: int, *, since: int, known: int, newest: int, revision: int
    ) -> Evidence:
        """The newest labelled predictions of a version.

        Parameters
        ----------
        since
            Event time of the oldest prediction to look at, and of the oldest label.
        known
            Only labels known by then.
        newest
            At most so many, counted back from the label known last.
        revision
            Of the store, or an older one than that: while it stays, nothing is new.
        """
        read = self._read.get((model.number, version))
        stale = read is None or read.revision != revision
        earlier = read is not None and (since < read.since or known < read.evidence.settled)
        if read is None or earlier or (stale and not self._followed(cursor, model, version, read)):
            read = self._begun(cursor, model, version, since, known, newest)
        read.revision = revision
        found = read.evidence.look(since, known, newest)
        if read.cut and len(found) < newest:
            read = self._begun(cursor, model, version, since, known, newest)
            read.revision = revision
            found = read.evidence.look(since, known, newest)
        return found

    def wrote(self, revision: int) -> None:
        """After that revision of the store came one that changed no labels."""
        for read in self._read.values():
            if read.revision == revision:
                read.revision += 1

    def current(self, model: Model, version: int, revision: int) -> bool:
        """Whether nothing was written since a version's labels were last looked at."""
        read = self._read.get((model.number, version))
        return read is not None and read.revision == revision

    def newest(self, model: Model, version: int) -> int:
        """The ingest number up to which has been read."""
        return self._read[model.number, version].extent.newest

    def forget(self, model: Model, version: int, most: int) -> None:
        """Keep about so many."""
        read = self._read[model.number, version]
        read.cut = read.evidence.forget(most) or read.cut

    def _followed(self, cursor: Cursor, model: Model, version: int, read: _Read) -> bool:
        """Take in what is new; False where rows are gone: their labels count no longer."""
        extent = outcomes.extent(cursor, model, read.extent.newest)
        if (extent.oldest, extent.slim) != (read.extent.oldest, read.extent.slim):
            return False
        if extent.newest > read.extent.newest:
            after = read.extent.newest
            fresh = outcomes.labelled(cursor, model, version, after=after, since=read.since, paired=self._paired)
            read.evidence.add(fresh)
        read.extent = extent
        return True

    def _begun(self, cursor: Cursor, model: Model, version: int, since: int, known: int, newest: int) -> _Read:
        most = round(SLACK * newest)

        def ask(*, last: bool) -> tuple[Labelled, bool]:
            asked = outcomes.labelled(cursor, model, version, since=since, newest=most, known=known, last=last)
            return asked, int((asked.known <= known).sum()) == most

        found, cut = ask(last=False)
        evidence = Evidence(found)
        if cut and len(evidence.look(since, known, newest)) < newest:  # corrections took the places of predictions
            found, cut = ask(last=True)
            evidence = Evidence(found, known)
        read = _Read(evidence, outcomes.extent(cursor, model, -1), since, cut)
        self._read[model.number, version] = read
        return read
