"""Streams for the tests of segments: a reference that tells countries and plans apart, and live rows block by block."""

from __future__ import annotations

import asyncio
import datetime as dt
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tests.agent.live import LENGTH, texts

from tenure.testing import ManualClock
from tenure_agent.block_length import wanted_rows
from tenure_agent.builder import Rows, build_reference
from tenure_agent.checks.drift import CHECK, Settings
from tenure_agent.config import parse_config
from tenure_agent.metrics import Metrics
from tenure_agent.model_config import DriftConfig
from tenure_agent.past import WINDOW
from tenure_agent.records import DAY, MINUTE, Verdict
from tenure_agent.reference import Reference
from tenure_agent.review import Review, Reviewer
from tenure_agent.segment_builder import with_segments
from tenure_agent.segment_profiles import segment_length
from tenure_agent.segment_tracks import Left, SegmentTracks
from tenure_agent.segments import numbers
from tenure_agent.store import Database, verdicts
from tenure_agent.store.catalogue import Catalogue
from tenure_agent.surprise import margin_of
from tenure_agent.tally import summarise
from tenure_agent.track import Track
from tenure_proto.v1 import monitoring_pb2 as pb

Array = npt.NDArray[Any]
Columns = Mapping[str, Array]
DRIFT = DriftConfig()
PER_BLOCK = 50  # rows of all segments: a window holds 500
BLOCK, START = 10 * MINUTE, 19_000 * DAY
STEP = BLOCK // PER_BLOCK
COUNTRIES = {"DE": 0.5, "FR": 0.3, "IT": 0.1, "ES": 0.1}
PLANS = {"free": 0.7, "paid": 0.3}


def columns(rows: int, seed: int = 0, *, memory: float = 0.0) -> dict[str, Array]:
    """Two numbers, one of which may move slowly by itself, a country and a plan."""
    draw = np.random.default_rng(seed)
    level = np.zeros(rows)
    step = draw.normal(size=rows) * math.sqrt(1 - memory * memory)
    for i in range(1, rows if memory else 0):
        level[i] = memory * level[i - 1] + step[i]
    return {
        "x": draw.normal(size=rows) + level,
        "amount": draw.exponential(size=rows) * (draw.uniform(size=rows) < 0.6),
        "country": texts(draw.choice(list(COUNTRIES), rows, p=list(COUNTRIES.values()))),
        "plan": texts(draw.choice(list(PLANS), rows, p=list(PLANS.values()))),
    }


def source(values: Columns) -> Rows:
    return Rows({("feature", name): array for name, array in values.items()})


def built(values: Columns, features: Sequence[str] = ("country", "plan")) -> Reference:
    return with_segments(build_reference("fraud", "3", source(values)), source(values), features)


def tracks(reference: Reference, features: Sequence[str] = ("country", "plan"), **shown: Any) -> SegmentTracks:
    """As an agent with default settings makes them where blocks of the whole hold `PER_BLOCK` rows."""
    left = {}
    for one in reference.segments:
        length = segment_length(DRIFT, LENGTH, PER_BLOCK * one.rows / reference.rows, one.rows)
        margin = margin_of(DRIFT.false_alarms.windows(dt.timedelta(microseconds=length * WINDOW)))
        needed = wanted_rows(DRIFT.min_rows, one.rows)[1]
        left[one.name] = Left(length, Settings(needed, margin + math.log10(len(reference.segments)), brief=True))
    return SegmentTracks(reference, features, LENGTH, left, **shown)


def serve(made: SegmentTracks, reference: Reference, values: Columns, first: int = 0) -> None:
    """Live rows, from a block of the whole on."""
    keyed = {("feature", name): array for name, array in values.items()}
    blocks = np.arange(len(values["x"])) // PER_BLOCK
    for feature in dict.fromkeys(one.feature for one in made.segments.values()):
        own = [one for one in made.segments.values() if one.feature == feature]
        of = numbers(values[feature], [one.value for one in own if one.value is not None])
        for i, one in enumerate(own):
            mine = of == i
            part = {key: array[mine] for key, array in keyed.items()}
            for block, summary in enumerate(summarise(reference.layout, part, blocks[mine], int(blocks[-1]) + 1)):
                if summary.seen.any():
                    made.add(one.name, (first + block) * LENGTH, summary)


def wholes(reference: Reference, values: Columns) -> list[Verdict]:
    """What is said of all rows, block by block."""
    track = Track(reference, LENGTH)
    blocks = np.arange(len(values["x"])) // PER_BLOCK
    keyed = {("feature", name): array for name, array in values.items()}
    for block, summary in enumerate(summarise(reference.layout, keyed, blocks, int(blocks[-1]) + 1)):
        track.add(block * LENGTH, summary)
    margin = margin_of(DRIFT.false_alarms.windows(dt.timedelta(microseconds=LENGTH * WINDOW)))
    said = track.judge((int(blocks[-1]) + 1) * LENGTH, Settings(300, margin, brief=True))
    return [verdict for verdict, _ in said]


def judged(made: SegmentTracks, blocks: int) -> list[Verdict]:
    """What is new to say of segments when so many blocks of the whole are over."""
    done = made.judge(blocks * LENGTH)
    assert all(verdict.check == CHECK for _, verdict, _ in done)
    return made.news(verdict for _, verdict, _ in done)


class Desk:
    """A reviewer of the model `fraud`, whose reference is in a file."""

    def __init__(self, database: Database, metrics: Metrics, file: Path, **model: Any) -> None:
        document = {"reference": {"file": str(file)}, "drift": {"window": "100m"}, "segments": ["country", "plan"]}
        config = parse_config({"models": {"fraud": document | model}}, "c")
        self.database = database
        self.catalogue = database.read(Catalogue).result()
        self.reviewer = Reviewer(database, self.catalogue, config, metrics, ManualClock(5))

    def review(self, block: int) -> Review:
        found = asyncio.run(self.reviewer.review("fraud", START + block * BLOCK))
        assert found is not None
        return found

    def newest(self) -> list[dict[str, Any]]:
        return [row for row in self.database.read(verdicts.newest).result() if row["segment"]]


def feeding(batch: Callable[..., pb.Batch], put: Callable[..., None]) -> Callable[..., None]:
    """Store rows of live blocks [first, last); x moves by 3 in one country from block 40 on."""
    values = columns(150 * PER_BLOCK, 7)
    late = np.arange(len(values["x"])) >= 40 * PER_BLOCK
    values["x"] = values["x"] + 3.0 * late * (values["country"] == "IT")

    def feed(first: int, last: int, rows: slice = slice(None), **changes: Any) -> None:
        part = slice(first * PER_BLOCK, last * PER_BLOCK)
        given = {name: array[part][rows].tolist() for name, array in (values | changes).items()}
        put(batch(given, start=START + first * BLOCK, step=STEP))

    return feed


def steps_of(cursor: Any, desk: Desk) -> list[Any]:
    query = "SELECT segment, length, block, score, critical, counts, readings FROM steps ORDER BY ALL"
    return list(cursor.execute(query).fetchall())
