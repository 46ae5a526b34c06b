"""How many rows models serve: counted as they come, kept by the hour, judged when an hour is over.

Of all versions together, as champion or challenger: a model's rows do not become fewer because another version takes them.
"""

from __future__ import annotations

import datetime as dt
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tenure_agent.blocks import LATEST
from tenure_agent.checks.failure import failed
from tenure_agent.checks.volume import CHECK, CLOSE_AFTER
from tenure_agent.config import Config
from tenure_agent.hours import Hours
from tenure_agent.profiles import SETTLE
from tenure_agent.records import HOUR, Level, Verdict, Window
from tenure_agent.store import Database, hours, predictions, verdicts
from tenure_agent.store.catalogue import Model
from tenure_agent.store.database import Cursor
from tenure_agent.store.hours import Counted
from tenure_agent.volume import DAY, MOST

logger = logging.getLogger(__name__)

ONE = dt.timedelta(hours=1)
AHEAD = DAY  # hours a producer's clock may be ahead by the wall; rows further ahead than that are not counted


@dataclass(frozen=True, slots=True)
class Looked:
    """What is to be said of a model's rows.

    Parameters
    ----------
    standing
        What was said last.
    said
        What is new, oldest first, and what each hour says by itself.
    """

    standing: Verdict
    said: Sequence[tuple[Verdict, Level]]


class Traffic:
    """Of all models of one store."""

    def __init__(self, database: Database, config: Config) -> None:
        self._database = database
        self._config = config
        self._standing: dict[int, Verdict] = {}
        self._known: dict[int, Hours] = {}
        self._upto: dict[int, int] = {}  # ingest number up to which rows are counted, and the same on disk
        self._kept: dict[int, int] = {}
        self._unsaved: dict[int, set[int]] = {}

    async def judge(self, model: Model, version: int, now: int, newest: int) -> Looked:
        """Count what is new, and judge every hour that is over.

        Parameters
        ----------
        version
            That verdicts are told of: the one in service.
        now
            Event time.
        newest
            The ingest number up to which rows are looked at.
        """

        def plain(level: Level, reason: str) -> Verdict:
            return Verdict(model.name, model.version_name(version), CHECK, level, reason, Window(now, now), 0)

        try:
            said = await self._judge(model, version, now, newest)
        except Exception as error:
            logger.exception("the volume check of %(model)s failed", {"model": model.name})
            said = [(plain(Level.ERROR, failed(error)), Level.ERROR)]
        if said:
            self._standing[model.number] = said[-1][0]
        return Looked(self._standing.get(model.number, plain(Level.INSUFFICIENT_DATA, "no hour is over yet")), said)

    async def _judge(self, model: Model, version: int, now: int, newest: int) -> list[tuple[Verdict, Level]]:
        if model.number not in self._known:
            await self._database.async_read(lambda cursor: self._load(cursor, model, version))
        known, unsaved = self._known[model.number], self._unsaved[model.number]
        wall = self._config.clock == "wall"
        end = (now - SETTLE if wall else now) // HOUR
        if newest > (upto := self._upto[model.number]):
            span = (end - MOST, end + AHEAD if wall else LATEST // HOUR)  # else rows may be there before their time
            found = await self._database.async_read(lambda cursor: hours.count(cursor, model, (upto, newest), span))
            unsaved.update(known.add(found))
            self._upto[model.number] = newest
        reach = math.ceil(max(self._config.model(model.name).drift.every, ONE) / ONE) if wall else None
        unsaved.update(known.go_back(end))
        name, said = model.version_name(version), []
        for _, verdict, alone in known.judge(end, reach):
            said.append((replace(verdict, model=model.name, version=name), alone))
        unsaved.update(known.changed)
        known.changed.clear()
        return said

    async def judge_unserved(self, model: Model, now: int) -> Sequence[tuple[Verdict, Level]]:
        """Of a model whose rows are all gone: every hour that is over, told of the version last told of, and kept."""
        version = await self._database.async_read(lambda cursor: verdicts.newest_version(cursor, model.number, CHECK))
        if version is None:
            return []
        newest = await self._database.async_read(lambda cursor: predictions.last_batch(cursor, model))
        said = (await self.judge(model, version, now, newest)).said

        def keep(cursor: Cursor) -> None:
            verdicts.append(cursor, model.number, version, said)
            self.save(cursor, model)

        if said:
            await self._database.async_write(keep)
            self.saved(model)
        return said

    def save(self, cursor: Cursor, model: Model) -> None:
        """Keep what has changed since the last time, in the caller's transaction."""
        known, upto = self._known.get(model.number), self._upto.get(model.number, 0)
        if known is None or not (self._unsaved[model.number] or upto > self._kept[model.number]):
            return
        changed = {hour: known.counts.get(hour) for hour in self._unsaved[model.number]}
        keep = max(known.judged, default=0) - MOST - DAY
        hours.save(cursor, model.number, Counted(upto, changed, frozenset(known.judged)), keep)

    def saved(self, model: Model) -> None:
        """What was to be kept is on disk."""
        self._unsaved.get(model.number, set()).clear()
        self._kept[model.number] = self._upto.get(model.number, 0)

    def _load(self, cursor: Cursor, model: Model, version: int) -> None:
        counted = hours.load(cursor, model.number)
        said = verdicts.recent(cursor, model.number, version, CHECK, CLOSE_AFTER)
        between = self._config.model(model.name).drift.false_alarms.windows(ONE)
        rows = {hour: rows for hour, rows in counted.rows.items() if rows is not None}
        self._known[model.number] = Hours(between, rows, counted.judged, said)
        self._upto[model.number] = self._kept[model.number] = counted.upto
        self._unsaved[model.number] = set()
