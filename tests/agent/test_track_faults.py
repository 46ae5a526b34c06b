"""What becomes of a block whose check fails, and of those beside it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.agent.live import LENGTH, PER_BLOCK, built, columns, judged, serve, summaries

from tenure_agent.checks.drift import Newest, Settings, check_drift
from tenure_agent.null import Nulls
from tenure_agent.past import Past
from tenure_agent.records import Level
from tenure_agent.reference import Reference
from tenure_agent.track import Track


def test_a_block_whose_check_fails_is_an_error_and_takes_no_other_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(reference: Reference, nulls: Nulls, past: Past, newest: Newest, settings: Settings) -> Any:
        if newest.block == 15:
            raise ZeroDivisionError("on purpose")
        return check_drift(reference, nulls, past, newest, settings)

    reference = built(columns(1800))
    track, found = Track(reference, LENGTH), summaries(reference, columns(20 * PER_BLOCK, 9))
    monkeypatch.setattr("tenure_agent.track.check_drift", fail)
    serve(track, found)
    said = judged(track, 20)

    assert [step.block for _, step in said] == list(range(20))
    assert [block for block, (verdict, _) in enumerate(said) if verdict.level is Level.ERROR] == [15]
    verdict, step = said[15]
    assert verdict.reason == "the check failed: ZeroDivisionError, see the agent's log"
    assert verdict.window.end == 16 * LENGTH
    assert not step.judged
    assert step.counts.tolist() == reference.coarse.counts(found[15]).tolist()
    assert {verdict.level for verdict, _ in said[16:]} == {Level.OK}
