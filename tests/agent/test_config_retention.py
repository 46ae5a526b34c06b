"""How long rows are kept, and what is kept of them: refused where no check could use it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tenure_agent.config import parse_config
from tenure_agent.faults import ConfigError


def faults(document: Any) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        parse_config(document, "tenure.yaml")
    return [str(fault) for fault in refused.value.faults]


@pytest.mark.parametrize(
    ("document", "told"),
    [
        (
            {"store": {"retain": "30m"}, "models": {"a": {"drift": {"every": "1h"}}, "b": {"drift": {"every": "30m"}}}},
            ["models.a.drift.every: 1h is longer than store.retain, 30m. Try: store.retain: 2h, as rows would"],
        ),
        (
            {"store": {"retain": "1m"}, "models": {"a": {}, "b": {"drift": {"every": "30s"}}, "c": {}}},
            [f"models.{name}.drift.every: 5m is longer than store.retain, 1m. Try: store.retain: 10m" for name in "ac"],
        ),
        ({"store": {"retain": "1m"}}, ["models.*.drift.every: 5m is longer than store.retain, 1m. Try: "]),
        (
            {
                "store": {"retain": "7d"},
                "models": {
                    "a": {"reference": {"first": "14d"}},
                    "b": {"reference": {"first": "7d"}},
                    "c": {"reference": {"since": "2024-01-01", "until": "2024-02-01"}},
                },
            },
            [
                "models.a.reference.first: 14d of rows is longer than store.retain, 7d. Try: store.retain: 14d, as rows",
                "models.c.reference.since: 31d of rows is longer than store.retain, 7d. Try: store.retain: 31d, as rows",
            ],
        ),
        (
            {"store": {"max_size": "7MiB"}},
            ["store.max_size: '7MiB' cannot be used. Try: 8MiB or more: in less, rows"],
        ),
        (
            {"store": {"retain": "never"}, "models": {"a": {"drift": {"every": "90d"}}}},
            ["store.retain: 'never' cannot"],
        ),
    ],
)
def test_a_retention_that_no_check_can_read_is_refused(document: dict[str, Any], told: list[str]) -> None:
    found = faults(document)
    assert len(found) == len(told)
    assert all(fault.startswith(start) for fault, start in zip(found, told, strict=True)), found


def test_labels_may_outlive_rows_by_far() -> None:
    late = {"performance": {"label_delay": "90d", "window": "30d"}}
    assert parse_config({"store": {"retain": "1d"}, "models": {"m": late}}, "c").store.retain == timedelta(days=1)


@pytest.mark.parametrize("segments", [["a"] * 2, [""], ["a=b"], [f"f{i}" for i in range(9)]])
def test_segments_are_few_and_distinct(segments: list[str]) -> None:
    [fault] = faults({"models": {"m": {"segments": segments}}})
    assert fault.startswith(f"models.m.segments: {segments!r:.200} cannot be used. Try: 8 names of features at most")
