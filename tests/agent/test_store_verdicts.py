"""What is kept of a verdict: little, and JSON for any parser."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tests.agent.live import LENGTH, built, judged, serve, summaries

from tenure_agent.records import SCORE, SURPRISE, Level, Reading, Verdict, Window
from tenure_agent.store import Database, verdicts
from tenure_agent.store.catalogue import Catalogue
from tenure_agent.track import Track

OK, CRITICAL = Level.OK, Level.CRITICAL
Kept = Callable[[Verdict], dict[str, Any]]


@pytest.fixture
def kept(database: Database, catalogue: Catalogue) -> Kept:
    """Keep a verdict; what comes back."""

    def keep(one: Verdict) -> dict[str, Any]:
        model = database.write(lambda c: catalogue.model(c, "fraud", 1)).result()
        database.write(lambda c: catalogue.version(c, model, "1", 1)).result()
        database.write(lambda c: verdicts.append(c, 1, 1, [(one, one.level)])).result()
        [found] = database.read(verdicts.newest).result()
        return found

    return keep


def verdict(*readings: Reading, **changes: Any) -> Verdict:
    return Verdict("fraud", "1", "drift", OK, "because", Window(0, 1), 500, readings, **changes)


def test_what_is_usual_of_readings_is_left_out(kept: Kept) -> None:
    found = kept(
        verdict(
            Reading("amount", SURPRISE, 0.123456789, None, 0.3, 500, OK),
            Reading("hour", SURPRISE, 0.25, None, 0.987654321, 500, Level.INSUFFICIENT_DATA),
            Reading("amount", "ks", 0.2, 1.23456e-9, 0.1, 480, CRITICAL),
            Reading("hour", "ks", 0.05, 1.0, 0.1, 500, OK),
            Reading("amount", "missing", 0.0, None, 0.05, 500, OK),
            Reading("hour", "missing", 0.0, None, 0.05, 400, OK),
        )
    )
    assert found["rows"] == 500
    assert found["thresholds"] == {SURPRISE: 0.3, "ks": 0.1, "missing": 0.05}
    assert found["readings"] == [
        {
            "column": "amount",
            SURPRISE: {"statistic": 0.123457},
            "ks": {"statistic": 0.2, "p": 1.23e-9, "n": 480, "level": "CRITICAL"},
        },
        {
            "column": "hour",
            SURPRISE: {"statistic": 0.25, "threshold": 0.987654, "level": "INSUFFICIENT_DATA"},
            "ks": {"statistic": 0.05},
            "missing": {"statistic": 0.0, "n": 400},
        },
    ]
    assert "evidence" not in found


def test_an_input_and_an_output_of_one_name_are_both_kept(kept: Kept) -> None:
    found = kept(verdict(*(Reading("score", "ks", statistic, None, 0.1, 500, OK) for statistic in (0.1, 0.2))))
    assert [one["ks"]["statistic"] for one in found["readings"]] == [0.1, 0.2]


def test_what_is_no_number_is_null(kept: Kept, database: Database) -> None:
    failed = Reading("amount", "ks", float("nan"), None, 0.1, 500, Level.ERROR)
    found = kept(verdict(failed, measures={"auc_roc": float("nan"), SCORE: 0.5}))
    assert found["readings"] == [{"column": "amount", "ks": {"statistic": None, "level": "ERROR"}}]
    assert found["measures"] == {SCORE: 0.5}
    query = "SELECT json_extract_string(detail, '$.readings[0].ks.level') FROM verdicts"
    assert database.read(lambda c: c.execute(query).fetchall()).result() == [("ERROR",)]


def test_histograms_are_kept(kept: Kept) -> None:
    evidence = {"amount": {"bins": ["exactly 0", "missing"], "reference": [0.4, 0.6], "window": [1.0, 0.0]}}
    assert kept(verdict(evidence=evidence))["evidence"] == evidence


@pytest.mark.parametrize(("moved", "most"), [(0, 4096), (3, 8192), (20, 16384)])
def test_a_verdict_over_twenty_columns_is_small(database: Database, kept: Kept, moved: int, most: int) -> None:
    draw = np.random.default_rng(0)
    names = [f"feature_{i:02}" for i in range(20)]
    reference = built({name: draw.normal(size=5000) for name in names})
    track = Track(reference, LENGTH)
    live = {name: draw.normal(size=300) + 3.0 * (i < moved) for i, name in enumerate(names)}
    serve(track, summaries(reference, live))
    said, step = judged(track, 10)[-1]
    assert (step.score >= 1) == bool(moved)
    assert len(kept(said)["readings"]) == 20
    [(detail,)] = database.read(lambda c: c.execute("SELECT detail FROM verdicts").fetchall()).result()
    assert len(detail.encode()) < most
    assert len(json.loads(detail).get("evidence", {})) == min(moved, 5)


def test_segments_stand_beside_the_whole(kept: Kept, database: Database) -> None:
    kept(verdict())
    said = [
        *(("", Level.WARNING, 10), ("country=DE", Level.WARNING, 20), ("country=DE", Level.INSUFFICIENT_DATA, 30)),
        *(("plan=free", OK, 15), ("plan=paid", Level.ERROR, 5)),
    ]
    for segment, level, end in said:
        one = Verdict("fraud", "1", "drift", level, "because", Window(0, end), 500, segment=segment)
        database.write(lambda c, one=one: verdicts.append(c, 1, 1, [(one, one.level)])).result()  # type: ignore[misc]

    found = database.read(lambda c: verdicts.segment_levels(c, 1, 1, "drift")).result()
    assert found == {
        "country=DE": (Level.INSUFFICIENT_DATA, Level.WARNING),
        "plan=free": (OK, OK),
        "plan=paid": (Level.ERROR, None),
    }
    assert database.read(lambda c: verdicts.alarms(c, 1, 1, "drift", 10)).result() == [(20, "country=DE")]
    newest = database.read(verdicts.newest).result()
    assert [(row["segment"], row["level"], row["time"]) for row in newest] == [
        *(("", "WARNING", 10), ("country=DE", "INSUFFICIENT_DATA", 30)),
        *(("plan=free", "OK", 15), ("plan=paid", "ERROR", 5)),
    ]
    changed = database.read(lambda c: verdicts.changes(c, 0)).result()
    assert [(row["segment"], row["previous"]) for row in changed if row["time"] >= 10] == [
        *(("", "OK"), ("plan=free", None), ("country=DE", None), ("country=DE", "WARNING")),
    ]
