"""Segments in a store: summarised in one pass, judged, kept, and taken up again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from tests.agent.segmented import PER_BLOCK, built, columns

from tenure.testing import ManualClock
from tenure_agent import segment_profiles
from tenure_agent.config import parse_config
from tenure_agent.metrics import Metrics
from tenure_agent.model_config import DriftConfig
from tenure_agent.past import WINDOW
from tenure_agent.records import Level, Verdict
from tenure_agent.reference import Reference
from tenure_agent.review import Review, Reviewer
from tenure_agent.rollup import DAY, HOUR, roll_up
from tenure_agent.segment_profiles import segment_bucket, segment_length
from tenure_agent.segment_tracks import SegmentTracks
from tenure_agent.store import Database, predictions, references, steps, summaries, verdicts
from tenure_agent.store.catalogue import Catalogue
from tenure_agent.store.predictions import CHAMPION
from tenure_agent.stored_rows import fitting, segment_summaries_of
from tenure_agent.summary import Summary
from tenure_proto.v1 import monitoring_pb2 as pb

Batch = Callable[..., pb.Batch]
Put = Callable[..., None]
MINUTE = 60_000_000
BLOCK = 10 * MINUTE
START = 19_000 * DAY
STEP = BLOCK // PER_BLOCK


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


@pytest.fixture(scope="module")
def reference() -> Reference:
    return built(columns(10_000))


@pytest.fixture
def desk(database: Database, metrics: Metrics, reference: Reference, tmp_path: Path) -> Callable[..., Desk]:
    reference.save(tmp_path / "fraud.reference")
    return lambda **model: Desk(database, metrics, tmp_path / "fraud.reference", **model)


@pytest.fixture
def serve(batch: Batch, put: Put) -> Callable[..., None]:
    """Store rows of live blocks [first, last); x moves by 3 in one country from block 40 on."""
    values = columns(150 * PER_BLOCK, 7)
    late = np.arange(len(values["x"])) >= 40 * PER_BLOCK
    values["x"] = values["x"] + 3.0 * late * (values["country"] == "IT")

    def feed(first: int, last: int, rows: slice = slice(None), **changes: Any) -> None:
        part = slice(first * PER_BLOCK, last * PER_BLOCK)
        given = {name: array[part][rows].tolist() for name, array in (values | changes).items()}
        put(batch(given, start=START + first * BLOCK, step=STEP))

    return feed


Serve = Callable[..., None]


def told(said: list[Verdict]) -> list[tuple[str, str, int]]:
    return [(verdict.segment, verdict.level, verdict.window.end) for verdict in said if verdict.segment]


def test_a_change_in_one_segment_warns_and_decides_nothing(
    desk: Callable[..., Desk], serve: Serve, value: Callable[..., float]
) -> None:
    serve(0, 150)
    one, said = desk(), []
    for block in range(10, 151, 10):
        review = one.review(block)
        assert review.decision is None
        assert review.drift.level is not Level.CRITICAL
        said += told(list(review.said))
    assert [name for name, level, _ in said if level == "WARNING"] == ["country=IT"]
    shown = {row["segment"]: row for row in one.newest()}
    assert set(shown) == {f"country={name}" for name in ("DE", "FR", "IT", "ES")} | {"plan=free", "plan=paid"}
    of = {"model": "fraud", "version": "1", "check": "drift", "segment": "country=DE"}
    assert value("segment_verdict_level", **of) == 0
    assert value("segment_drift_score", **{name: of[name] for name in ("model", "version", "segment")}) > 0
    kept = one.database.read(
        lambda c: c.execute("SELECT segment, level, reason FROM verdicts WHERE level = 'WARNING'").fetchall()
    ).result()
    assert [(segment, level) for segment, level, _ in kept] == [("country=IT", "WARNING")]
    assert kept[0][2].startswith("in country=IT: x: ")


def test_a_restart_goes_on_as_if_nothing_had_been(desk: Callable[..., Desk], serve: Serve) -> None:
    serve(0, 100)
    every = 25
    steady = desk()
    expected = told([verdict for block in range(every, 101, every) for verdict in steady.review(block).said])
    tables = ("verdicts", "steps", "summaries", "watermarks")
    steps_kept = steady.database.read(lambda c: _steps(c, steady)).result()
    steady.database.write(lambda c: [c.execute(f"DELETE FROM {table}") for table in tables]).result()

    found = told([verdict for block in range(every, 101, every) for verdict in desk().review(block).said])
    assert found == expected
    assert steady.database.read(lambda c: _steps(c, steady)).result() == steps_kept
    assert "country=IT" in {name for name, level, _ in found if level == "WARNING"}


def _steps(cursor: Any, desk: Desk) -> list[Any]:
    query = "SELECT segment, length, block, score, critical, counts, readings FROM steps ORDER BY ALL"
    return list(cursor.execute(query).fetchall())


def test_summaries_of_segments_are_those_of_their_rows_however_they_came(
    desk: Callable[..., Desk], serve: Serve, reference: Reference, batch: Batch, put: Put
) -> None:
    serve(0, 5)
    one = desk()
    one.review(5)
    serve(5, 8)
    put(batch({"x": [1.0] * 50, "country": ["IT"] * 50}, role=pb.SHADOW, start=START))
    one.review(8)
    serve(2, 3)  # late: the same block again
    one.review(9)
    values = columns(150 * PER_BLOCK, 7)
    stored = _stored(one, reference, "country=IT")
    expected = [int((values["country"][i * PER_BLOCK : (i + 1) * PER_BLOCK] == "IT").sum()) for i in range(8)]
    expected[2] *= 2
    assert {(time - START) // BLOCK: rows for time, rows in stored.items()} == dict(enumerate(expected))
    whole = _stored(one, reference, "")
    for feature, names in (("country", ("DE", "FR", "IT", "ES")), ("plan", ("free", "paid"))):
        parts = [_stored(one, reference, f"{feature}={name}") for name in names]
        assert sum(sum(part.values()) for part in parts) == sum(whole.values()) == 9 * PER_BLOCK


def _stored(desk: Desk, reference: Reference, segment: str) -> dict[int, int]:
    """Rows by bucket."""
    found = desk.database.read(lambda c: summaries.since(c, 1, 1, CHAMPION, reference.hash, 0, segment)).result()
    rows: dict[int, int] = {}
    for time, blob in found:
        rows[time] = rows.get(time, 0) + int(Summary.from_bytes(blob, reference.layout).seen.max())
    return rows


def test_a_value_nobody_knew_is_with_the_others_and_a_missing_one_too(
    desk: Callable[..., Desk], batch: Batch, put: Put, database: Database
) -> None:
    values = columns(4000)
    values["country"][:600:2], values["country"][1:600:2] = "LU", None
    told_apart = built(values, ["country"])
    put(batch({"x": [0.0] * 4, "amount": [0.0] * 4, "country": ["DE", "XX", None, "LU"], "plan": ["free"] * 4}))
    model = database.read(Catalogue).result().models["fraud"]
    rows = {"time": np.full(4, START), "role": np.zeros(4, np.uint8)}
    rows |= {f"n{model.columns['feature', name].number}": np.zeros(4) for name in ("x", "amount")}
    rows[f"t{model.columns['feature', 'country'].number}"] = np.array(["DE", "XX", None, "LU"], object)
    rows[f"t{model.columns['feature', 'plan'].number}"] = np.array(["free"] * 4, object)
    found = segment_summaries_of(model, told_apart, told_apart.segments, rows, MINUTE)
    names = {name: int(summary.seen.max()) for (name, _), summary in found}
    assert {one.name for one in told_apart.segments} >= {"country=DE", "country=LU", "country=(other)"}
    assert names == {"country=DE": 1, "country=LU": 1, "country=(other)": 2}


def test_a_reference_without_segments_fails_nothing_and_says_so_once(
    database: Database, metrics: Metrics, serve: Serve, tmp_path: Path
) -> None:
    built(columns(10_000), []).save(tmp_path / "plain.reference")
    serve(0, 60)
    one = Desk(database, metrics, tmp_path / "plain.reference")
    reviews = [one.review(block) for block in (20, 40, 60)]
    assert reviews[-1].drift.level is Level.OK
    assert [name for name, _, _ in told([v for review in reviews for v in review.said])] == ["country", "plan"]
    assert {row["level"] for row in one.newest()} == {"INSUFFICIENT_DATA"}
    assert {verdict.segment for verdict in reviews[-1].segments} == {"country", "plan"}


def test_a_file_with_segments_replaces_one_without(desk: Callable[..., Desk], serve: Serve, tmp_path: Path) -> None:
    serve(0, 40)
    built(columns(10_000), []).save(tmp_path / "fraud.reference")
    plain = Desk(desk().database, Metrics(CollectorRegistry()), tmp_path / "fraud.reference")
    plain.review(20)
    again = desk()
    built(columns(10_000)).save(tmp_path / "fraud.reference")
    assert {verdict.segment for verdict in again.review(40).segments} >= {"country=DE", "plan=free"}
    assert again.review(41).drift.level is Level.OK


def test_first_live_rows_make_segments(database: Database, metrics: Metrics, serve: Serve, tmp_path: Path) -> None:
    serve(0, 150)
    one = Desk(database, metrics, tmp_path / "absent", reference={"first_rows": 5000})
    one.review(120)
    assert {row["segment"] for row in one.newest()} >= {"country=DE", "plan=free"}
    stored = database.read(lambda c: references.newest(c, 1, 1)).result()
    assert stored is not None
    assert {segment.name: segment.rows for segment in stored.segments}["plan=free"] > 3000


def test_what_fails_is_an_error_of_segments_only(
    desk: Callable[..., Desk], serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(0, 40)
    one = desk()
    one.review(20)
    [tracks] = one.reviewer.profiles.segments._tracks.values()
    monkeypatch.setattr(tracks, "judge", lambda _: 1 / 0)
    review = one.review(40)
    assert review.drift.level is Level.OK
    assert {verdict.level for verdict in review.segments} == {Level.ERROR}
    assert {verdict.reason for verdict in review.segments} == {
        "the check failed: ZeroDivisionError, see the agent's log"
    }
    monkeypatch.undo()
    assert {row["level"] for row in one.newest()} == {"ERROR"}
    serve(40, 60)
    assert Level.ERROR not in {verdict.level for verdict in one.review(60).segments}
    assert "ERROR" not in {row["level"] for row in one.newest()}


def test_what_is_no_longer_judged_apart_does_not_warn_for_ever(desk: Callable[..., Desk], serve: Serve) -> None:
    serve(0, 150)
    desk().review(90)
    assert "WARNING" in {row["level"] for row in desk().newest()}
    for segments in (["plan"], []):
        desk(segments=segments).review(91)
        [said] = [row for row in desk().newest() if row["segment"] == "country=IT"]
        assert (said["level"], said["reason"]) == ("OK", "no longer judged apart")


def test_segments_roll_up_as_the_whole_does(
    desk: Callable[..., Desk], serve: Serve, reference: Reference, database: Database
) -> None:
    serve(0, 150)
    one = desk()
    one.review(150)
    model = database.read(Catalogue).result().models["fraud"]
    before = {name: sum(_stored(one, reference, name).values()) for name in ("", "country=IT", "plan=free")}
    length = database.read(lambda c: steps.length(c, 1, 1, reference.hash, "country=IT")).result()
    assert length == 4 * BLOCK
    removed = database.write(lambda c: roll_up(c, model, 1, START + 30 * DAY)).result()
    assert removed > 0
    assert {name: sum(_stored(one, reference, name).values()) for name in before} == before
    newest = START + 149 * BLOCK
    assert newest - _finest(one, "country=IT") >= 2 * WINDOW * length - HOUR  # two windows of this very segment
    assert newest - _finest(one, "plan=free") <= 7 * HOUR


def _finest(desk: Desk, segment: str) -> int:
    """Event time of the oldest summary that covers less than an hour."""
    query = "SELECT min(bucket) FROM summaries WHERE segment = ? AND span < ?"
    return int(desk.database.read(lambda c: c.execute(query, [segment, HOUR]).fetchall()[0][0]).result())


@pytest.mark.parametrize(
    ("length", "bucket"), [(6 * MINUTE, 6 * MINUTE), (7 * MINUTE, 7 * MINUTE), (90 * MINUTE, 30 * MINUTE), (DAY, HOUR)]
)
def test_a_bucket_divides_a_block(length: int, bucket: int) -> None:
    assert segment_bucket(length) == bucket


@pytest.mark.parametrize(
    ("rows", "in_reference", "blocks"),
    [(100, 10_000, 1), (5, 10_000, 10), (5, 1000, 4), (50, 240, 1), (0, 10_000, 720), (0.0001, 10_000, 720)],
)
def test_a_segments_block_is_as_long_as_it_must_be(rows: float, in_reference: int, blocks: int) -> None:
    assert segment_length(DriftConfig(), 6 * MINUTE, rows, in_reference) == blocks * 6 * MINUTE


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (verdicts, "segment_levels"),
        (segment_profiles, "segment_summaries_of"),
        (SegmentTracks, "heard"),
        (SegmentTracks, "add"),
    ],
)
def test_a_failure_around_segments_takes_nothing_of_the_whole(
    desk: Callable[..., Desk], serve: Serve, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str
) -> None:
    serve(0, 40)
    one = desk()
    with monkeypatch.context() as broken:
        broken.setattr(owner, name, lambda *_: 1 / 0)
        review = one.review(30)
        assert review.drift.level is Level.OK
        assert {verdict.level for verdict in review.segments} == {Level.ERROR}
    serve(40, 80)
    review = one.review(80)
    assert review.drift.level is not Level.ERROR
    assert review.segments
    assert Level.ERROR not in {verdict.level for verdict in review.segments}


@pytest.mark.parametrize(
    ("owner", "name"), [(predictions, "columns_after"), (steps, "append"), (segment_profiles, "_keeper")]
)
def test_nothing_is_lost_by_what_fails_for_a_while(
    desk: Callable[..., Desk], serve: Serve, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str
) -> None:
    serve(0, 100)
    expected = desk()
    for block in (20, 70, 100):
        expected.review(block)
    kept = expected.database.read(lambda c: _steps(c, expected)).result()
    tables = ("verdicts", "steps", "summaries", "watermarks")
    expected.database.write(lambda c: [c.execute(f"DELETE FROM {table}") for table in tables]).result()
    one = desk()
    one.review(20)
    serve(100, 101)  # of a block that is not over
    with monkeypatch.context() as broken:
        broken.setattr(owner, name, lambda *_: 1 / 0)
        for block in (50, 70):
            one.review(block)
    one.review(100)
    assert one.database.read(lambda c: _steps(c, one)).result() == kept


@pytest.mark.parametrize(
    ("times", "features", "most", "upto"),
    [
        ([0, 1, 2, 3, 4, 5], 0, 1, 9),  # all in one summary
        ([0, 10, 20, 30, 40, 50], 0, 4, 4),
        ([0, 10, 20, 30, 40, 50], 4, 12, 2),  # two rows of five summaries fit
        ([0, 10, 20, 30, 40, 50], 4, 1, 2),  # an ingest number is whole
        ([0, 10, 20, 30, 40, 50], 4, 99, 9),
    ],
)
def test_a_chunk_makes_no_more_summaries_than_there_is_room_for(
    times: list[int], features: int, most: int, upto: int
) -> None:
    arrived = np.array([2, 2, 4, 4, 7, 7]), np.array(times)
    assert fitting(arrived, (10, 10), features, most, 9) == upto
