"""Reference profiles and running summaries of model versions: found, built, kept up to date.

A version's reference is the one stored, uploaded or taken up before, replaced by a configured file where that differs; else
it is taken from live rows. Summaries over it grow by the rows stored since the last time.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import numpy.typing as npt

from tenure_agent import losses
from tenure_agent.acquisition import built, configured_file, shipped, take_up
from tenure_agent.block_length import block_length, wanted_rows
from tenure_agent.bundle import Bundle
from tenure_agent.checks.drift import Settings
from tenure_agent.config import Config
from tenure_agent.evidence import Evidence
from tenure_agent.gathering import CHUNK_VALUES, gather
from tenure_agent.live_rows import LiveRows, RowsGone
from tenure_agent.past import WINDOW, Step
from tenure_agent.records import HOUR, MICROS, MINUTE, Verdict
from tenure_agent.reference import Reference
from tenure_agent.segment_profiles import SegmentProfiles, segment_bucket
from tenure_agent.store import Database, predictions, references, summaries
from tenure_agent.store import steps as steps_store
from tenure_agent.store.catalogue import Model
from tenure_agent.store.database import Cursor
from tenure_agent.store.predictions import CHAMPION
from tenure_agent.stored_rows import needed, pieces, summaries_of
from tenure_agent.summary import MAGNITUDES, Summary
from tenure_agent.surprise import margin_of
from tenure_agent.track import Track

logger = logging.getLogger(__name__)
Array = npt.NDArray[Any]
T = TypeVar("T")

HELD_INTEGERS = 1 << 20  # of summaries, before they are written: a bucket is read in several chunks, and kept once
SETTLE = 10 * MICROS  # by the wall, rows may still be on their way when a block is over
PROFILE_ROWS = 5000
MIN_PROFILE_ROWS = 1000


class Profiles:
    """References, summaries and tracks of all versions of one store.

    Parameters
    ----------
    replay
        Nobody looks at it later or takes it up again: summarise by blocks of a window, not by minutes, keep summaries and
        steps in memory only, and measure nothing where nothing surprises.
    """

    def __init__(self, database: Database, config: Config, clock: Callable[[], int], *, replay: bool = False) -> None:
        self._database = database
        self._config = config
        self._clock = clock
        self._replay = replay
        self.settle = SETTLE if config.clock == "wall" else 0
        self._known: dict[tuple[int, int], Reference] = {}
        self._awaited: dict[tuple[int, int], str] = {}
        self._tracks: dict[tuple[int, int], Track] = {}
        self._done: dict[tuple[int, int], list[tuple[Verdict, Step]]] = {}  # judged, and not said yet
        self.segments = SegmentProfiles(database, config, replay=replay)

    async def reference(self, model: Model, version: int, now: int) -> Reference | None:
        """A version's reference at an event time; None while there are too few rows to take it from: see `awaited`."""
        key = model.number, version
        if key not in self._known:
            found = await self._database.async_read(lambda cursor: self._find(cursor, model, version))
            reference, fresh = found or (await self._gathered(model, version, now), True)
            if reference is None:
                return None
            if fresh:
                made = self._clock()
                document = await self._apart(reference.dumps)
                await self._database.async_write(
                    lambda cursor: take_up(cursor, model, version, reference, made, document)
                )
                of = {"model": model.name, "version": reference.version, "source": reference.source}
                logger.info("reference of %(model)s %(version)s: %(source)s", of)
            self._known[key] = reference
        return self._known[key]

    def forget(self, model: Model, version: int) -> None:
        """Its reference was replaced in the store."""
        everything: Sequence[dict[tuple[int, int], Any]] = (self._known, self._awaited, self._tracks, self._done)
        for known in everything:
            known.pop((model.number, version), None)

    def awaited(self, model: Model, version: int) -> str:
        """What a version without a reference waits for."""
        return self._awaited.get((model.number, version), "no reference yet")

    def _find(self, cursor: Cursor, model: Model, version: int) -> tuple[Reference, bool] | None:
        """A reference that is there, and whether it is new to the store."""
        stored = references.newest(cursor, model.number, version)
        config = self._config.model(model.name)
        path = configured_file(config.reference, model.version_name(version))
        if path is not None:
            wanted = shipped(Reference.load(path), stored)
            return wanted, wanted != stored
        return None if stored is None else (stored, False)

    async def _gathered(self, model: Model, version: int, now: int) -> Reference | None:
        """A reference from live rows, piece by piece; None while they are not there."""
        config, size = self._config.model(model.name), self._config.store.max_size
        seen = now if config.reference.first_rows is not None else now - self.settle
        found = await self._database.async_read(
            lambda cursor: gather(cursor, model, version, config.reference, seen, size)
        )
        if isinstance(found, str):
            self._awaited[model.number, version] = found
            return None
        rows = LiveRows(lambda work: self._database.read(work).result(), model, found.stretch, found.pieces)
        name = model.version_name(version)
        try:
            return await self._apart(lambda: built(model, name, config, found, rows))
        except RowsGone as error:  # the next review takes what is there then
            logger.warning("no reference of %(model)s yet: rows went meanwhile", {"model": model.name})
            self._awaited[model.number, version] = f"no reference yet: {error}"
            return None

    async def learn_losses(self, model: Model, version: int, reference: Reference, found: Evidence) -> Reference:
        """A reference without losses takes them from the version's own first labels, once there are enough."""
        if len(found) < MIN_PROFILE_ROWS:
            return reference
        said, true = found.first(PROFILE_ROWS)
        task = self._config.model(model.name).task or losses.task_of(said, true)
        reference = replace(reference, losses=losses.profile_losses(task, said, true))
        document = await self._apart(reference.dumps)
        await self._database.async_write(lambda cursor: references.amend(cursor, model.number, version, document))
        self._known[model.number, version] = reference
        return reference

    async def judge(
        self, model: Model, version: int, reference: Reference, now: int, newest: int
    ) -> list[tuple[Verdict, Step]] | None:
        """Summarise what is new, and judge every block that is over; None while no window is known.

        Parameters
        ----------
        now
            Event time.
        newest
            The ingest number up to which rows are looked at.
        """
        track = await self._track(model, version, reference, now)
        if track is None:
            return None
        while track.upto < newest:
            await self._advance(model, version, track, newest)
        drift = self._config.model(model.name).drift
        window = dt.timedelta(microseconds=track.length * WINDOW)
        _, needed = wanted_rows(drift.min_rows, reference.rows)
        settings = Settings(needed, margin_of(drift.false_alarms.windows(window)), self._replay)
        done = self._done.setdefault((model.number, version), [])  # after a write that failed, what it was to keep
        await self._apart(lambda: done.extend(track.judge(now - self.settle, settings)))
        steps = [step for _, step in done]
        if steps and not self._replay:
            await self._database.async_write(
                lambda cursor: steps_store.append(cursor, model.number, version, reference.hash, track.length, steps)
            )
        done = self._done.pop((model.number, version))
        told = self.segments.heard(model, version, [verdict for verdict, _ in done])
        return list(zip(told, steps, strict=True))

    async def judge_segments(
        self, model: Model, version: int, now: int, newest: int
    ) -> tuple[list[Verdict], list[Verdict]]:
        """What stands now of each segment, and what is new to say: nothing before all rows were read and the whole said."""
        track = self._tracks.get(key := (model.number, version))
        if track is None or track.upto < newest or key in self._done:
            return self.segments.standing(model, version), []
        return await self.segments.judge(model, version, now - self.settle)

    def missing(self, model: Model, version: int) -> dict[str, float]:
        """Share of rows without a value in the newest window judged, by column."""
        track = self._tracks[model.number, version]
        if track.newest is None:
            return {}
        summary, columns = track.newest.summary, track.reference.columns
        seen = summary.seen.tolist()
        return {c.name: m / n for c, m, n in zip(columns, summary.missing.tolist(), seen, strict=True) if n}

    async def _track(self, model: Model, version: int, reference: Reference, now: int) -> Track | None:
        known = self._tracks.get(key := (model.number, version))
        if known is None or known.reference.hash != reference.hash:
            known = await self._database.async_read(lambda cursor: self._resume(cursor, model, version, reference, now))
            if known is not None:
                self._tracks[key] = known
        return known

    def _resume(self, cursor: Cursor, model: Model, version: int, reference: Reference, now: int) -> Track | None:
        """A version's track as it was left, or a new one; its segments are taken up with it."""
        length = self._length(cursor, model, version, reference, now)
        if length is None:
            return None
        steps = steps_store.newest(cursor, model.number, version, reference.hash, length)
        track = Track(reference, length, steps, self._room(reference))
        track.upto = summaries.watermark(cursor, model.number, version)
        since = 0 if track.past.next is None else (track.past.next - WINDOW) * length
        for time, blob in summaries.since(cursor, model.number, version, CHAMPION, reference.hash, since):
            track.add(time, Summary.from_bytes(blob, reference.layout))
        self.segments.take_up(cursor, model, version, reference, length, now)
        return track

    def _length(self, cursor: Cursor, model: Model, version: int, reference: Reference, now: int) -> int | None:
        """Of a block in microseconds: a tenth of the window that is configured, was chosen before, or holds enough rows."""
        drift = self._config.model(model.name).drift
        if drift.window is not None:
            return block_length(drift, reference.rows, 0, 0)
        known = steps_store.length(cursor, model.number, version, reference.hash)
        if known is not None:
            return known
        rows, span = reference.rows, reference.span[1] - reference.span[0]
        if not span:
            rows, span = predictions.extent(cursor, model, version, now)
            if rows < drift.min_rows:
                return None
        return block_length(drift, reference.rows, rows, span)

    def _room(self, reference: Reference) -> int:
        """How many of its summaries are held at once as they are; a replay has a process of its own."""
        held = HELD_INTEGERS << 4 if self._replay else HELD_INTEGERS
        return max(1, held // (reference.layout.bins + MAGNITUDES * (len(reference.columns) + 1)))

    async def _advance(self, model: Model, version: int, track: Track, newest: int) -> None:
        """Summarise rows that are not summarised yet, as many buckets as are held at once."""
        reference, spans = track.reference, (self._bucket(track), segment_bucket(track.length))
        features = len(self._config.model(model.name).segments)
        room = self._room(reference)
        whole: Bundle[int] = Bundle(reference.layout)
        parts: Bundle[str] = Bundle(reference.layout)
        upto = track.upto

        def summarise(rows: Mapping[str, Array]) -> None:
            for piece in pieces(rows, spans, features, room):
                if len(whole) + len(parts) > room:
                    whole.pack()
                    parts.pack()
                whole.add(summaries_of(model, reference, piece, spans[0]))
                parts.add(self.segments.summaries(model, version, reference, piece, spans[1]))

        while upto < newest and not whole.packed and len(whole) + len(parts) <= room:
            after, rows = await self._rows(model, version, reference, upto)
            if rows:
                await self._apart(partial(summarise, rows))
            upto = after if after > upto else newest
        kept, kept_parts = whole.kept(), parts.kept()
        if not self._replay and kept:

            def write(cursor: Cursor) -> None:
                summaries.append(cursor, model.number, version, reference.hash, spans[0], upto, kept)
                summaries.append_segments(cursor, model.number, version, reference.hash, spans[1], kept_parts)

            await self._database.async_write(write)
        track.upto = upto
        self.segments.add(model, version, parts)
        for role, time, summary in whole:
            if role == CHAMPION:
                track.add(time, summary)

    async def _rows(self, model: Model, version: int, reference: Reference, after: int) -> tuple[int, dict[str, Array]]:
        """The next rows, and the ingest number up to which they go."""
        columns = needed(model, reference, self._config.model(model.name).segments)

        def read(cursor: Cursor) -> tuple[int, dict[str, Array]]:
            upto = predictions.batch_bounds(cursor, model, after, max(1, CHUNK_VALUES // (len(columns) + 2)))
            rows = {} if upto == after else predictions.columns_after(cursor, model, version, (after, upto), columns)
            return upto, rows

        return await self._database.async_read(read)

    async def _apart(self, work: Callable[[], T]) -> T:
        return work() if self._replay else await asyncio.to_thread(work)

    def _bucket(self, track: Track) -> int:
        """What one summary covers: a minute, or where windows are long as much as divides a block and an hour."""
        if self._replay or track.length % MINUTE:
            return track.length
        return MINUTE if track.length < HOUR else math.gcd(track.length, HOUR)
