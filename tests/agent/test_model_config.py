"""What tenure.yaml says of one model: windows, rates, and how episodes of performance open and close."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from tenure.errors import TenureError
from tenure_agent.config import parse_config
from tenure_agent.model_config import ModelConfig
from tenure_agent.units import Often


def model(**sections: Any) -> ModelConfig:
    return parse_config({"models": {"m": sections}}, "c").model("m")


def test_defaults() -> None:
    found = model()
    assert found.drift.window is None
    assert found.drift.false_alarms == Often(1, timedelta(days=90))
    assert (found.performance.open_after, found.performance.close_after) == (3, None)


def test_false_alarms_are_told_as_people_say_them_and_shown_so() -> None:
    drift = model(drift={"false_alarms": "2 per 30d"}).drift
    assert drift.false_alarms == Often(2, timedelta(days=30))
    assert drift.model_dump(mode="json")["false_alarms"] == "2 per 30d"


@pytest.mark.parametrize(("window", "seconds"), [(None, None), ("10s", 10), ("1h", 3600), ("30d", 2_592_000)])
def test_windows(window: str | None, seconds: int | None) -> None:
    assert model(drift={"window": window}).drift.window == (None if seconds is None else timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("reference", "shown"),
    [
        ({}, {"first_rows": 5000}),
        ({"file": "a.reference"}, {"file": "a.reference", "first_rows": 5000}),
        ({"first": "14d"}, {"first": "14d"}),
        ({"file": "a.reference", "until": date(2024, 3, 1)}, {"file": "a.reference", "until": "2024-03-01"}),
        (
            {"version": "1", "since": "2024-01-01T06:00:00+01:00", "until": "2024-01-03"},
            {"version": "1", "since": "2024-01-01T05:00:00Z", "until": "2024-01-03"},
        ),
    ],
)
def test_where_a_reference_comes_from(reference: dict[str, Any], shown: dict[str, Any]) -> None:
    document = model(reference=reference).model_dump(mode="json")["reference"]
    assert {key: value for key, value in document.items() if value is not None} == shown


FAULTS = [
    (
        {"drift": {"window": "9.9s"}},
        "models.m.drift.window: '9.9s' cannot be used. Try: 10s or more: a window is judged",
    ),
    ({"drift": {"window": "0s"}}, "models.m.drift.window: '0s' cannot be used. Try: 10s or more"),
    ({"drift": {"window": "1 hour"}}, "models.m.drift.window: '1 hour' cannot be used. Try: a duration such as 30s"),
    (
        {"drift": {"false_alarms": "rarely"}},
        "models.m.drift.false_alarms: 'rarely' cannot be used. Try: a rate such as",
    ),
    ({"drift": {"false_alarms": "0 per 90d"}}, "models.m.drift.false_alarms: '0 per 90d' cannot be used"),
    ({"drift": {"false_alarms": None}}, "models.m.drift.false_alarms: None cannot be used"),
    ({"reference": {"first": "0s"}}, "models.m.reference.first: '0s' cannot be used. Try: a duration over 0"),
    ({"reference": {"first_rows": 99}}, "models.m.reference.first_rows: 99 cannot be used. Try: greater than or equal"),
    (
        {"reference": {"first": "1d", "first_rows": 500}},
        "models.m.reference.first_rows: 500 cannot be used. Try: first_rows or first, not both",
    ),
    (
        {"reference": {"until": "2024-03-01", "first_rows": 500}},
        "models.m.reference.first_rows: 500 cannot be used. Try: first_rows or until, not both",
    ),
    (
        {"reference": {"until": date(2024, 3, 1), "first": "14d"}},
        "models.m.reference.until: 2024-03-01 cannot be used. Try: first or until, not both",
    ),
    (
        {"reference": {"until": "March"}},
        "models.m.reference.until: 'March' cannot be used. Try: a time such as 2024-03-01 or 2024-03-01T06:00:00Z",
    ),
    ({"reference": {"version": "1"}}, "models.m.reference.version: '1' cannot be used. Try: until beside it"),
    (
        {"reference": {"since": "2024-03-01"}},
        "models.m.reference.since: '2024-03-01' cannot be used. Try: until beside",
    ),
    (
        {"reference": {"since": "2024-03-01", "until": "2024-03-01T00:00:00+01:00"}},
        "models.m.reference.since: '2024-03-01' cannot be used. Try: a time before until, 2024-02-29T23:00:00Z",
    ),
    ({"drift": {"open_after": 3}}, "models.m.drift.open_after: unknown key"),
    ({"drift": {"every": "0s"}}, "models.m.drift.every: '0s' cannot be used. Try: a duration over 0"),
    ({"performance": {"open_after": 0}}, "models.m.performance.open_after: 0 cannot be used"),
    ({"performance": {"close_after": 0}}, "models.m.performance.close_after: 0 cannot be used"),
]


@pytest.mark.parametrize(("sections", "told"), FAULTS, ids=[told.split(" cannot")[0] for _, told in FAULTS])
def test_faults(sections: dict[str, Any], told: str) -> None:
    with pytest.raises(TenureError) as refused:
        model(**sections)
    [line] = str(refused.value).splitlines()
    assert line.startswith(f"c: {told}")


@pytest.mark.parametrize(
    ("every", "window", "close_after", "quiet"),
    [
        ("5m", "7d", None, 2016),
        ("1h", "1d", None, 24),
        ("7h", "1d", None, 4),  # as many as span it
        ("1d", "1d", None, 3),  # never fewer
        ("10d", "1d", None, 3),
        ("5m", "7d", 12, 12),
        ("5m", "7d", 1, 1),
    ],
)
def test_quiet_checks_that_end_an_episode(every: str, window: str, close_after: int | None, quiet: int) -> None:
    found = model(drift={"every": every}, performance={"window": window, "close_after": close_after})
    assert found.quiet_checks == quiet
