"""What fails around segments stays with them, and loses none of their blocks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.agent.segmented import Desk, built, columns, feeding, steps_of

from tenure_agent import segment_profiles
from tenure_agent.metrics import Metrics
from tenure_agent.records import Level
from tenure_agent.reference import Reference
from tenure_agent.segment_tracks import SegmentTracks
from tenure_agent.store import Database, predictions, steps, verdicts
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
    kept = expected.database.read(lambda c: steps_of(c, expected)).result()
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
    assert one.database.read(lambda c: steps_of(c, one)).result() == kept
