"""The segments of all versions of one store: taken up where they were left, judged, and kept."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from tenure_agent.block_length import HOUR, LONGEST_BLOCK, MINUTE, wanted_rows
from tenure_agent.checks.drift import CHECK, Settings
from tenure_agent.checks.failure import failed
from tenure_agent.config import Config
from tenure_agent.model_config import DriftConfig
from tenure_agent.past import WINDOW, Step
from tenure_agent.records import Level, Verdict
from tenure_agent.reference import Reference
from tenure_agent.segment_tracks import Alarm, Left, SegmentTracks, configured
from tenure_agent.store import Database, predictions, steps, summaries, verdicts
from tenure_agent.store.catalogue import Model
from tenure_agent.store.database import Cursor
from tenure_agent.store.predictions import CHAMPION
from tenure_agent.summary import Summary
from tenure_agent.surprise import margin_of

logger = logging.getLogger(__name__)


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

    def resume(
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

    def take_up(self, model: Model, version: int, tracks: SegmentTracks | None) -> None:
        """What `resume` found is what goes on."""
        if tracks is not None:
            self._tracks[model.number, version] = tracks

    def add(self, model: Model, version: int, found: Sequence[tuple[str, int, Summary]]) -> None:
        """Take in (segment, time, summary) of rows that are stored."""
        for name, time, summary in found:
            self._tracks[model.number, version].add(name, time, summary)

    def heard(self, model: Model, version: int, wholes: Sequence[Verdict]) -> Sequence[Verdict]:
        """What the whole says; an alarm names the segments it comes from."""
        tracks = self._tracks.get((model.number, version))
        return wholes if tracks is None else tracks.heard(wholes)

    async def judge(self, model: Model, version: int, until: int) -> tuple[list[Verdict], list[Verdict]]:
        """Judge every block that is over of every segment: what stands now of each, and what is new to say and kept.

        Parameters
        ----------
        until
            Event time up to which rows have come.
        """
        tracks = self._tracks.get((model.number, version))
        if tracks is None:
            return [], []
        name = model.version_name(version)

        def mine(verdict: Verdict) -> Verdict:
            return replace(verdict, model=model.name, version=name)

        def work() -> tuple[list[tuple[str, Verdict, Step]], list[Verdict]]:
            done = tracks.judge(until)
            said = [*tracks.unjudged(until), *(verdict for _, verdict, _ in done)]
            return done, tracks.news(mine(verdict) for verdict in said)

        try:
            done, news = work() if self._replay else await asyncio.to_thread(work)
            if not self._replay and (done or news):
                await self._database.async_write(_keeper(model, version, tracks, done, news))
        except Exception as error:
            logger.exception("the drift check of segments of %(model)s failed", {"model": model.name})
            news = tracks.news(mine(verdict) for verdict in tracks.broken(failed(error), until))
            if not self._replay and news:
                await self._database.async_write(_keeper(model, version, tracks, [], news))
        return list(tracks.newest.values()), news


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
