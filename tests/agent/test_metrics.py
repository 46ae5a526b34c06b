"""What Prometheus scrapes: values by label, and few series whatever names come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from prometheus_client import generate_latest

from tenure_agent.metrics import LEVELS, MAX_SERIES_NAMES, Metrics
from tenure_agent.records import SCORE, SURPRISE, Action, Decision, Level, Reading, Trigger, Urgency, Verdict, Window

Value = Callable[..., float]
MODEL = {"model": "fraud", "version": "3"}


def verdict(level: Level, *readings: Reading) -> Verdict:
    measures = {"auc_roc": float("nan"), "brier": 0.25}
    return Verdict("fraud", "3", "drift", level, "because", Window(0, 1), 500, readings, measures)


@pytest.mark.parametrize("level", Level)
def test_a_verdict(metrics: Metrics, value: Value, level: Level) -> None:
    metrics.show_verdict(verdict(level, Reading("amount", "ks", 0.3, 1e-9, 0.15, 500, level)))

    assert value("verdict_level", **MODEL, check="drift") == LEVELS[level]
    assert value("checks_total", **MODEL, check="drift", level=level.value) == 1
    assert value("drift_statistic", **MODEL, column="amount", detector="ks") == 0.3
    assert value("drift_threshold", **MODEL, column="amount", detector="ks") == 0.15
    assert value("performance", **MODEL, metric="brier") == 0.25
    assert b'metric="auc_roc"' not in generate_latest(metrics.registry)


def test_a_score_and_what_cannot_be_judged(metrics: Metrics, value: Value) -> None:
    blind = Reading("rises", SURPRISE, 0.5, None, 0.97, 500, Level.INSUFFICIENT_DATA)
    seen = Reading("amount", SURPRISE, 0.5, None, 0.3, 500, Level.WARNING)
    unsure = Reading("hour", "ks", 0.5, None, 0.1, 500, Level.INSUFFICIENT_DATA)
    metrics.show_verdict(replace(verdict(Level.OK, blind, seen, unsure), measures={SCORE: 1.75}))

    assert value("drift_score", **MODEL) == 1.75
    assert value("drift_unjudgeable", **MODEL, column="rises") == 1
    shown = metrics.registry.get_sample_value("tenure_drift_unjudgeable", MODEL | {"column": "amount"})
    assert shown == 0.0
    assert metrics.registry.get_sample_value("tenure_drift_unjudgeable", MODEL | {"column": "hour"}) is None
    assert b"tenure_performance{" not in generate_latest(metrics.registry)


def test_segments_are_bounded_and_count_for_nothing_else(metrics: Metrics, value: Value) -> None:
    for i in range(MAX_SERIES_NAMES + 5):
        one = replace(verdict(Level.WARNING), segment=f"merchant={i}", measures={SCORE: 1.5})
        metrics.show_segment(one)
    assert value("segment_verdict_level", **MODEL, check="drift", segment="merchant=7") == 1
    assert value("segment_drift_score", **MODEL, segment="other") == 1.5
    shown = generate_latest(metrics.registry)
    assert shown.count(b"tenure_segment_verdict_level{") == MAX_SERIES_NAMES + 1
    assert b"tenure_verdict_level{" not in shown
    assert b"tenure_checks_total{" not in shown


def test_a_statistic_below_its_floor_is_no_longer_shown(metrics: Metrics) -> None:
    def shown(detector: str) -> list[float | None]:
        labels = MODEL | {"column": "amount", "detector": detector}
        return [
            metrics.registry.get_sample_value(f"tenure_drift_{name}", labels) for name in ("statistic", "threshold")
        ]

    ks, scale = (Reading("amount", name, 0.3, None, 0.1, 500, Level.OK) for name in ("ks", "scale"))
    metrics.show_verdict(verdict(Level.OK, ks, scale))
    metrics.show_verdict(replace(verdict(Level.OK, ks), version="4"))
    metrics.show_verdict(replace(verdict(Level.OK), check="performance"))
    metrics.show_verdict(verdict(Level.INSUFFICIENT_DATA))
    assert shown("ks") == shown("scale") == [0.3, 0.1]
    metrics.show_verdict(verdict(Level.OK, ks))
    assert shown("ks") == [0.3, 0.1]
    assert shown("scale") == [None, None]


def test_a_decision_and_a_hole(metrics: Metrics, value: Value) -> None:
    metrics.show_decision(Decision("fraud", "3", Action.RETRAIN, Trigger.MANUAL, Urgency.NONE, "because", 1))
    metrics.show_missing("fraud", "3", "amount", 0.75)
    assert value("decisions_total", **MODEL, action="retrain", trigger="manual") == 1
    assert value("missing_ratio", **MODEL, column="amount") == 0.75


def test_names_past_the_limit_share_one_series(metrics: Metrics) -> None:
    names = [metrics.known(f"m{i}", f"v{i}") for i in range(MAX_SERIES_NAMES + 50)]
    assert names[0] == ("m0", "v0")
    assert set(names[MAX_SERIES_NAMES:]) == {("other", "other")}
    assert metrics.known("m3", "v7") == ("m3", "v7")
    for i in range(MAX_SERIES_NAMES + 50):
        metrics.show_missing("m0", "v0", f"column {i}", 0.5)
    [missing] = [family for family in metrics.registry.collect() if family.name == "tenure_missing_ratio"]
    assert len(missing.samples) == MAX_SERIES_NAMES + 1


@pytest.mark.parametrize("name", ['a "quoted"\nname\\', "名前", "a\x00b", "{}", ""])
def test_names_are_escaped(metrics: Metrics, value: Value, name: str) -> None:
    metrics.show_missing(name, name, name, 0.5)
    text = generate_latest(metrics.registry).decode()
    [line] = [line for line in text.split("\n") if line.startswith("tenure_missing_ratio{")]
    assert line.endswith("} 0.5")
    assert value("missing_ratio", model=name, version=name, column=name) == 0.5


def test_two_registries_do_not_know_each_other(metrics: Metrics, value: Value) -> None:
    Metrics(type(metrics.registry)()).missed.inc(5)
    assert value("missed_reports_total") == 0
