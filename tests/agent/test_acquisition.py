"""Where a reference is had from, and what becomes of a review when it cannot be had."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from tests.agent.live import texts

from tenure.testing import ManualClock
from tenure_agent.builder import Key, Rows, build_reference
from tenure_agent.config import parse_config
from tenure_agent.live_rows import LiveRows
from tenure_agent.losses import LossProfile
from tenure_agent.metrics import Metrics
from tenure_agent.past import Step
from tenure_agent.profiles import Profiles
from tenure_agent.records import Level
from tenure_agent.reference import Reference
from tenure_agent.review import Reviewer
from tenure_agent.segment_builder import with_segments
from tenure_agent.store import Database, references, steps
from tenure_agent.store.catalogue import Catalogue
from tenure_agent.store.database import Cursor
from tenure_proto.v1 import monitoring_pb2 as pb

Batch = Callable[..., pb.Batch]
Put = Callable[..., None]
SECOND = 1_000_000


@pytest.mark.parametrize("error", [duckdb.Error, MemoryError])
@pytest.mark.parametrize("culprit", ["profiles.gather", "acquisition.build_reference"])
def test_a_reference_that_cannot_be_had_is_an_error_of_drift_only(
    database: Database,
    catalogue: Catalogue,
    metrics: Metrics,
    batch: Batch,
    put: Put,
    monkeypatch: pytest.MonkeyPatch,
    error: type[Exception],
    culprit: str,
) -> None:
    put(batch({"x": np.random.default_rng(0).normal(size=300).tolist()}))
    config = parse_config({"models": {"fraud": {"reference": {"first_rows": 200}}}}, "c")
    reviewer = Reviewer(database, catalogue, config, metrics, ManualClock(5))

    def fail(*_: Any, **__: Any) -> None:
        raise error("on purpose")

    with monkeypatch.context() as patched:
        patched.setattr(f"tenure_agent.{culprit}", fail)
        found = asyncio.run(reviewer.review("fraud", 400 * SECOND))
    assert found is not None
    assert found.drift.level is Level.ERROR
    assert found.drift.reason == f"the check failed: {error.__name__}, see the agent's log"
    assert found.performance.level is Level.INSUFFICIENT_DATA
    again = asyncio.run(reviewer.review("fraud", 400 * SECOND))
    assert again is not None
    assert again.drift.level is not Level.ERROR


def test_rows_that_go_meanwhile_are_in_no_reference(
    database: Database, catalogue: Catalogue, batch: Batch, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = np.random.default_rng(0)
    for start in range(0, 4000, 500):
        put(batch({"x": draw.normal(size=500).tolist(), "y": draw.normal(size=500).tolist()}, start=start * SECOND))
    config = parse_config({"clock": "event", "models": {"fraud": {"reference": {"first": "50m"}}}}, "c")
    profiles, model = Profiles(database, config, ManualClock()), catalogue.models["fraud"]
    passes, chunks = [0], LiveRows.chunks

    def going(rows: LiveRows, wanted: Collection[Key]) -> Iterator[Mapping[Key, Any]]:
        passes[0] += 1
        if passes[0] == 2:
            database.write(lambda cursor: cursor.execute(f"DELETE FROM {model.table} WHERE batch <= 1")).result()
        return chunks(rows, wanted)

    monkeypatch.setattr(LiveRows, "chunks", going)

    def ask() -> Reference | None:
        return asyncio.run(profiles.reference(model, 1, 5000 * SECOND))

    assert ask() is None
    told = profiles.awaited(model, 1)
    assert told == "no reference yet: rows were removed while the reference was built from them"
    found = ask()
    assert found is not None
    assert found.rows == 3000
    assert found.span[0] == 500 * SECOND
    assert found.blocks.sum(1).all()


def rows(seed: int) -> dict[tuple[str, str], Any]:
    """Two flags and a text: whatever the values, the bins are the same."""
    draw = np.random.default_rng(seed)
    flags = {("feature", name): (draw.uniform(size=2000) < 0.5).astype(float) for name in "xy"}
    return flags | {("feature", "plan"): texts(draw.choice(["free", "paid"], 2000))}


def reference(seed: int = 0, segments_of: int = 0) -> Reference:
    whole = build_reference("fraud", "1", Rows(rows(seed)))
    parts = with_segments(build_reference("fraud", "1", Rows(rows(segments_of))), Rows(rows(segments_of)), ["plan"])
    return replace(whole, segments=parts.segments)


LOSS = LossProfile("error", 0.5, 0.1, 1, 99, 100)


@pytest.mark.parametrize(
    ("new", "kept"),
    [
        (reference(), ["", "plan=free", "plan=paid"]),
        (replace(reference(), covariance=None), ["", "plan=free", "plan=paid"]),
        (reference(segments_of=1), [""]),
        (replace(reference(), segments=()), []),
        (reference(1), []),
    ],
    ids=["same", "covariance", "segments", "none", "other"],
)
def test_a_file_built_again_replaces_what_is_stored(
    database: Database, catalogue: Catalogue, batch: Batch, put: Put, tmp_path: Path, new: Reference, kept: list[str]
) -> None:
    put(batch({"x": [0.0]}))
    file, model, old = tmp_path / "fraud.reference", catalogue.models["fraud"], reference()
    config = parse_config({"models": {"fraud": {"reference": {"file": str(file)}}}}, "c")

    def ask() -> Reference | None:
        return asyncio.run(Profiles(database, config, ManualClock()).reference(model, 1, SECOND))

    old.save(file)
    assert ask() == old
    learnt = replace(old, losses=(LOSS,))
    step = Step.unjudged(5, np.zeros(3, np.int64), False)

    def keep(cursor: Cursor) -> None:
        references.save(cursor, model.number, 1, learnt, 7)
        for name in ("", "plan=free", "plan=paid"):
            steps.append(cursor, model.number, 1, old.hash, 60, [step], name)

    database.write(keep).result()
    new.save(file)
    for _ in range(2):  # also after a restart
        assert ask() == replace(new, losses=(LOSS,))
        left = database.read(lambda c: c.execute("SELECT segment FROM steps ORDER BY 1").fetchall()).result()
        assert [name for (name,) in left] == kept
