"""Minutes of summaries become hours, and hours days: what is stored stays bounded, and sums over them stay the same."""

from __future__ import annotations

from itertools import groupby

from tenure_agent.past import WINDOW
from tenure_agent.records import DAY, HOUR
from tenure_agent.store import references, steps, summaries
from tenure_agent.store.catalogue import Model
from tenure_agent.store.database import Cursor
from tenure_agent.summary import Summary, merge

FINE, HOURLY = 6 * HOUR, 14 * DAY  # are kept as they are, at least
AT_ONCE = 24  # coarser buckets made in one transaction


def roll_up(cursor: Cursor, model: Model, version: int, now: int) -> int:
    """Merge a version's summaries that are old enough; how many fewer there are.

    Old is told by the version's own newest: one that has fallen silent keeps those its checks read last.

    Parameters
    ----------
    now
        Microseconds since 1970 UTC: what comes from the future makes nothing old.
    """
    return sum(
        _roll(cursor, model, version, segment, now, span, age)
        for segment in summaries.segments(cursor, model.number, version)
        for span, age in ((HOUR, FINE), (DAY, HOURLY))
    )


def _roll(cursor: Cursor, model: Model, version: int, segment: str, now: int, span: int, age: int) -> int:
    extent = summaries.extent(cursor, model.number, version, span, now, segment)
    reference = references.newest(cursor, model.number, version)
    if extent is None or reference is None:
        return 0
    oldest, newest = extent
    length = steps.length(cursor, model.number, version, reference.hash, segment) or 0
    age = max(age, 2 * WINDOW * length)
    until = min((newest - age) // span, oldest // span + AT_ONCE) * span
    found = summaries.before(cursor, model.number, version, reference.hash, until, span, segment)
    rolled = []
    for (role, time), some in groupby(found, key=lambda one: (one[0], one[1] // span * span)):
        blobs = [Summary.from_bytes(blob, reference.layout) for _, _, blob in some]
        rolled.append((role, time, merge(reference.layout, blobs)))
    if rolled:
        summaries.replace_before(cursor, model.number, version, reference.hash, until, span, rolled, segment)
    return len(found) - len(rolled)
