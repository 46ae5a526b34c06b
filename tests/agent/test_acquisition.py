"""Where a reference is had from, and what becomes of a review when it cannot be had."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import duckdb
import numpy as np
import pytest

from tenure.testing import ManualClock
from tenure_agent.config import parse_config
from tenure_agent.metrics import Metrics
from tenure_agent.records import Level
from tenure_agent.review import Reviewer
from tenure_agent.store import Database
from tenure_agent.store.catalogue import Catalogue
from tenure_proto.v1 import monitoring_pb2 as pb

Batch = Callable[..., pb.Batch]
Put = Callable[..., None]
SECOND = 1_000_000


@pytest.mark.parametrize("error", [duckdb.Error, MemoryError])
@pytest.mark.parametrize("culprit", ["gather", "build_reference"])
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
        patched.setattr(f"tenure_agent.profiles.{culprit}", fail)
        found = asyncio.run(reviewer.review("fraud", 400 * SECOND))
    assert found is not None
    assert found.drift.level is Level.ERROR
    assert found.drift.reason == f"the check failed: {error.__name__}, see the agent's log"
    assert found.performance.level is Level.INSUFFICIENT_DATA
    again = asyncio.run(reviewer.review("fraud", 400 * SECOND))
    assert again is not None
    assert again.drift.level is not Level.ERROR
