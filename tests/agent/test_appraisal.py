"""How performance stands where a part of its check fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tenure_agent.appraisal import Appraiser
from tenure_agent.config import parse_config
from tenure_agent.evidence import Evidence
from tenure_agent.records import Level
from tenure_agent.store import Database
from tenure_agent.store.catalogue import Catalogue
from tenure_proto.v1 import monitoring_pb2 as pb

MINUTE = 60_000_000
WRONG = Evidence.of(np.ones(2000), np.zeros(2000), np.arange(1, 2001) * MINUTE)


@pytest.mark.parametrize(
    ("settings", "level", "emergency"),
    [
        ({}, Level.ERROR, False),
        ({"metric": "accuracy", "minimum": 0.9}, Level.CRITICAL, False),
        ({"metric": "accuracy", "minimum": 0.9, "emergency": 0.5}, Level.CRITICAL, True),
        ({"metric": "accuracy", "emergency": 0.5}, Level.ERROR, False),
    ],
)
def test_losses_that_cannot_be_learnt_are_an_error_and_hide_no_minimum(
    database: Database,
    catalogue: Catalogue,
    batch: Callable[..., pb.Batch],
    put: Callable[..., None],
    settings: dict[str, Any],
    level: Level,
    emergency: bool,
) -> None:
    put(batch({"x": [1.0]}))
    appraiser = Appraiser(parse_config({"models": {"fraud": {"performance": settings}}}, "c"))
    model = catalogue.models["fraud"]
    database.read(lambda cursor: appraiser.recall(cursor, model, 1)).result()

    found = appraiser.appraise(model, 1, None, WRONG, 2000 * MINUTE, "the check failed")

    _, alone, past = found
    assert (alone, past) == (level, emergency)
    assert (found[0].reason == "the check failed") is (level is Level.ERROR)
