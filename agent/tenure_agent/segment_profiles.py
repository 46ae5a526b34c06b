"""The segments of all versions of one store: taken up where they were left, judged, and kept."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from tenure_agent.bins import Array
from tenure_agent.block_length import LONGEST_BLOCK, wanted_rows
from tenure_agent.checks.drift import CHECK, Settings
from tenure_agent.checks.failure import failed
from tenure_agent.config import Config
from tenure_agent.model_config import DriftConfig
from tenure_agent.past import WINDOW, Step
from tenure_agent.records import HOUR, MINUTE, Level, Verdict, Window
from tenure_agent.reference import Reference
from tenure_agent.segment_tracks import Alarm, Left, SegmentTracks, configured
from tenure_agent.store import Database, predictions, steps, summaries, verdicts
from tenure_agent.store.catalogue import Model
from tenure_agent.store.database import Cursor
from tenure_agent.store.predictions import CHAMPION
from tenure_agent.stored_rows import segment_summaries_of
from tenure_agent.summary import Summary
from tenure_agent.surprise import margin_of

logger = logging.getLogger(__name__)
Judged = tuple[str, Verdict, Step]


class SegmentProfiles:
    """
    Parameters
    ----------
    replay
        Keep nothing, and measure nothing where nothing surprises.
    """

    def __init__(self, database: Database, config: Config, *, replay: bool = False) -> None:
        self._database, self._config, self._replay = database, config, replay
        self._tracks: dict[tuple[int, int], SegmentTracks] = {}
        self._of: dict[tuple[int, int], tuple[Reference, int]] = {}
        self._left: dict[tuple[int, int], tuple[Reference, int]] = {}  # to be taken up again from the store
        self._broken: dict[tuple[int, int], str] = {}  # why nothing is judged at this review
        self._unkept: dict[tuple[int, int], tuple[list[Judged], list[Verdict]]] = {}  # judged and news, until written

    def take_up(self, cursor: Cursor, model: Model, version: int, reference: Reference, length: int, now: int) -> None:
        """Go on with what `resume` finds; where it fails, `judge` tries again."""
        key = model.number, version
        for known in (self._tracks, self._left, self._broken, self._unkept):
            known.pop(key, None)
        self._of[key] = reference, length
        try:
            tracks = self._resume(cursor, model, version, reference, length, now)
        except Exception as error:
            self._left[key] = reference, length
            logger.exception("the drift check of segments of %(model)s failed", {"model": model.name})
            self._broken[key] = failed(error)
            return
        if tracks is not None:
            self._tracks[key] = tracks

    def _resume(
        self, cursor: Cursor, model: Model, version: int, reference: Reference, length: int, now: int
    ) -> SegmentTracks | None:
        """A version's segments as they were left, or new ones; None where none are configured, nor were any.

        Parameters
        ----------
        length
            Of a block of the whole in microseconds.
        now
            Event time.
        """
        features, drift = self._config.model(model.name).segments, self._config.model(model.name).drift
        shown = verdicts.segment_levels(cursor, model.number, version, CHECK)
        if not features and all(level is Level.OK for level, _ in shown.values()):
            return None
        key = model.number, version, reference.hash
        rows, span = reference.rows, reference.span[1] - reference.span[0]
        if not span:
            rows, span = predictions.extent(cursor, model, version, now)
        left, found = {}, configured(reference, features)
        for one in found:
            known = steps.length(cursor, *key, one.name)
            if known is None or known % length:
                per_block = rows / max(span, 1) * length * one.rows / max(reference.rows, 1)
                known = segment_length(drift, length, per_block, one.rows)
            settings = self._settings(drift, known, one.rows, len(found))
            left[one.name] = Left(known, settings, steps.newest(cursor, *key, known, one.name))
        tracks = SegmentTracks(reference, features, length, left, shown)
        for name in left:
            since = tracks.since(name)
            for time, blob in summaries.since(cursor, model.number, version, CHAMPION, reference.hash, since, name):
                tracks.add(name, time, Summary.from_bytes(blob, reference.layout))
        longest = max((one.length for one in left.values()), default=0)
        alarms = verdicts.alarms(cursor, model.number, version, CHECK, now - 2 * WINDOW * longest)
        tracks.alarmed(Alarm(time, segment) for time, segment in alarms)
        return tracks

    def _settings(self, drift: DriftConfig, length: int, rows: int, segments: int) -> Settings:
        """As many rows as a reference so long needs; and the stated false alarms over all segments together."""
        _, needed = wanted_rows(drift.min_rows, rows)
        windows = drift.false_alarms.windows(dt.timedelta(microseconds=length * WINDOW))
        return Settings(needed, margin_of(windows) + math.log10(segments), self._replay)

    def summaries(
        self, model: Model, version: int, reference: Reference, rows: Mapping[str, Array], bucket: int
    ) -> list[tuple[tuple[str, int], Summary]]:
        """Of the configured segments of rows just read: see `segment_summaries_of`."""
        try:
            apart = configured(reference, self._config.model(model.name).segments)
            return segment_summaries_of(model, reference, apart, rows, bucket)
        except Exception as error:
            logger.exception("the drift check of segments of %(model)s failed", {"model": model.name})
            self._broken[model.number, version] = failed(error)
            return []

    def add(self, model: Model, version: int, found: Iterable[tuple[str, int, Summary]]) -> None:
        """Take in (segment, time, summary) of rows that are stored."""
        tracks = self._tracks.get((model.number, version))
        if tracks is None:
            return
        try:
            for name, time, summary in found:
                tracks.add(name, time, summary)
        except Exception as error:
            logger.exception("the drift check of segments of %(model)s failed", {"model": model.name})
            key = model.number, version
            self._broken[key], self._left[key] = failed(error), self._of[key]

    def heard(self, model: Model, version: int, wholes: Sequence[Verdict]) -> Sequence[Verdict]:
        """What the whole says; an alarm names the segments it comes from."""
        tracks = self._tracks.get((model.number, version))
        try:
            return wholes if tracks is None else tracks.heard(wholes)
        except Exception as error:
            logger.exception("the drift check of segments of %(model)s failed", {"model": model.name})
            self._broken[model.number, version] = failed(error)
            return wholes

    def standing(self, model: Model, version: int) -> list[Verdict]:
        """What was said last of each segment."""
        tracks = self._tracks.get((model.number, version))
        return [] if tracks is None else list(tracks.newest.values())

    async def judge(self, model: Model, version: int, until: int) -> tuple[list[Verdict], list[Verdict]]:
        """Judge every block that is over of every segment: what stands now of each, and what is new to say and kept.

        Parameters
        ----------
        until
            Event time up to which rows have come.
        """
        key, name = (model.number, version), model.version_name(version)
        if key in self._left:
            reference, length = self._left[key]
            await self._database.async_read(
                lambda cursor: self.take_up(cursor, model, version, reference, length, until)
            )
        broken = self._broken.pop(key, "")
        if key in self._left:
            return self._untold(model, name, broken, self._left[key][0], until), []
        return await self._judge(model, version, until, broken)

    async def _judge(self, model: Model, version: int, until: int, broken: str) -> tuple[list[Verdict], list[Verdict]]:
        key, name = (model.number, version), model.version_name(version)
        tracks = self._tracks.get(key)
        if tracks is None:
            return [], []
        done, news = self._unkept.setdefault(key, ([], []))

        def mine(verdict: Verdict) -> Verdict:
            return replace(verdict, model=model.name, version=name)

        def work() -> None:
            new = tracks.judge(until)
            done.extend(new)
            said = [*tracks.unjudged(until), *(verdict for _, verdict, _ in new)]
            news.extend(tracks.news(mine(verdict) for verdict in said))

        try:
            if not broken:
                await asyncio.to_thread(work) if not self._replay else work()
        except Exception as error:
            logger.exception("the drift check of segments of %(model)s failed", {"model": model.name})
            broken = failed(error)
        if broken:
            news.extend(tracks.news(mine(verdict) for verdict in tracks.broken(broken, until)))
        try:
            if not self._replay and (done or news):
                await self._database.async_write(_keeper(model, version, tracks, done, news))
        except Exception as error:  # said when it is written
            logger.exception("the drift check of segments of %(model)s failed", {"model": model.name})
            broken = failed(error)
            return [mine(verdict) for verdict in tracks.broken(broken, until)], []
        del self._unkept[key]
        return list(tracks.newest.values()), news

    def _untold(self, model: Model, name: str, reason: str, reference: Reference, now: int) -> list[Verdict]:
        """Of segments that could not be taken up: not kept, as nobody knows which block comes next."""
        found, window = configured(reference, self._config.model(model.name).segments), Window(now, now)
        return [Verdict(model.name, name, CHECK, Level.ERROR, reason, window, 0, segment=one.name) for one in found]


def segment_length(drift: DriftConfig, length: int, rows: float, in_reference: int) -> int:
    """Microseconds of a segment's block: as many whole blocks of its model as it needs for enough rows.

    Parameters
    ----------
    length
        Of its model's block.
    rows
        Of the segment, expected in one of these.
    """
    wanted, _ = wanted_rows(drift.min_rows, in_reference)
    longest = max(1, LONGEST_BLOCK * MINUTE // length)
    return length * min(max(1, math.ceil(wanted / WINDOW / max(rows, 1e-9))), longest)


def segment_bucket(length: int) -> int:
    """What a summary of a segment covers: a block of its model, or what divides it and an hour."""
    return length if length < HOUR else math.gcd(length, HOUR)


def _keeper(
    model: Model,
    version: int,
    tracks: SegmentTracks,
    done: Sequence[tuple[str, Verdict, Step]],
    news: Sequence[Verdict],
) -> Callable[[Cursor], None]:
    """Steps and what is new to say in one transaction: that an alarm was shown is told by its verdict."""

    def keep(cursor: Cursor) -> None:
        for name, track in tracks.tracks.items():
            own = [step for segment, _, step in done if segment == name]
            steps.append(cursor, model.number, version, track.reference.hash, track.length, own, name)
        verdicts.append(cursor, model.number, version, [(verdict, verdict.level) for verdict in news])

    return keep
