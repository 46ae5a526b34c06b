"""Segments in a store: summarised in one pass, judged, kept, and taken up again."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from tests.agent.segmented import BLOCK, PER_BLOCK, START, Desk, built, columns, feeding, steps_of

from tenure_agent import profiles
from tenure_agent.metrics import Metrics
from tenure_agent.model_config import DriftConfig
from tenure_agent.past import WINDOW
from tenure_agent.records import DAY, HOUR, MINUTE, Level, Verdict
from tenure_agent.reference import Reference
from tenure_agent.rollup import roll_up
from tenure_agent.segment_profiles import segment_bucket, segment_length
from tenure_agent.store import Database, references, steps, summaries
from tenure_agent.store.catalogue import Catalogue
from tenure_agent.store.predictions import CHAMPION
from tenure_agent.stored_rows import segment_summaries_of
from tenure_agent.summary import Summary
from tenure_proto.v1 import monitoring_pb2 as pb

Batch = Callable[..., pb.Batch]
Put = Callable[..., None]
Serve = Callable[..., None]


@pytest.fixture(scope="module")
def reference() -> Reference:
    return built(columns(10_000))


@pytest.fixture
def desk(database: Database, metrics: Metrics, reference: Reference, tmp_path: Path) -> Callable[..., Desk]:
    reference.save(tmp_path / "fraud.reference")
    return lambda **model: Desk(database, metrics, tmp_path / "fraud.reference", **model)


@pytest.fixture
def serve(batch: Batch, put: Put) -> Serve:
    return feeding(batch, put)


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
    steps_kept = steady.database.read(lambda c: steps_of(c, steady)).result()
    steady.database.write(lambda c: [c.execute(f"DELETE FROM {table}") for table in tables]).result()

    found = told([verdict for block in range(every, 101, every) for verdict in desk().review(block).said])
    assert found == expected
    assert steady.database.read(lambda c: steps_of(c, steady)).result() == steps_kept
    assert "country=IT" in {name for name, level, _ in found if level == "WARNING"}


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


@pytest.mark.parametrize("at_once", [True, False], ids=["one report", "many"])
def test_rows_of_any_number_of_blocks_take_the_memory_of_few(
    desk: Callable[..., Desk],
    serve: Serve,
    reference: Reference,
    batch: Batch,
    put: Put,
    monkeypatch: pytest.MonkeyPatch,
    at_once: bool,
) -> None:
    monkeypatch.setattr(profiles, "HELD_INTEGERS", 1 << 16)
    serve(0, 1)
    one = desk()
    one.review(1)
    blocks = 400
    values = {name: array.tolist() for name, array in columns(blocks, 3).items()}
    for block in range(1) if at_once else range(0, blocks, 100):
        here = slice(block, None if at_once else block + 100)
        part = {name: given[here] for name, given in values.items()}
        put(batch(part, start=START + (2 + block) * BLOCK, step=BLOCK))
    tracemalloc.start()
    one.review(blocks + 3)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    every = 3 * blocks * 8 * reference.layout.bins  # of the whole, of a country and of a plan
    assert peak < every / 2
    assert sum(_stored(one, reference, "").values()) == blocks + PER_BLOCK
    for feature, names in (("country", ("DE", "FR", "IT", "ES")), ("plan", ("free", "paid"))):
        parts = [_stored(one, reference, f"{feature}={name}") for name in names]
        assert sum(sum(part.values()) for part in parts) == blocks + PER_BLOCK


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
