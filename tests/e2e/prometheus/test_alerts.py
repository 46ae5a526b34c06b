"""The alerts: they load, they read series that exist, and they fire, in a real Prometheus and in simulated hours."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

Series = list[dict[str, Any]]
FILE = Path(__file__).parents[3] / "deploy" / "prometheus" / "alerts.yaml"
SCENARIOS = Path(__file__).with_name("scenarios.yaml")
GROUPS = YAML(typ="safe", pure=True).load(FILE.read_text())["groups"]
RULES = [rule for group in GROUPS for rule in group["rules"]]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
SELECTOR = re.compile(r"(?:tenure[_:][a-z_:]+|\bup\b)(?:\{[^}]*\})?")
# What the story provokes. An alert with a `for:` shows as pending: its hours pass in the scenarios.
PROVOKED = {
    "TenureAgentDown": "pending",
    "TenureRowsDropped": "firing",
    "TenureReportsMissed": "firing",
    "TenureJobErrors": "firing",
    "TenureCheckFailed": "firing",
    "TenureDriftCritical": "firing",
    "TenurePerformanceCritical": "firing",
    "TenureDecisionDead": "firing",
    "TenureDecisionPending": "pending",
}


@pytest.mark.parametrize(
    "arguments", [("check", "rules", FILE), ("check", "config", FILE.with_name("prometheus.yaml"))]
)
def test_promtool_accepts(arguments: tuple[str, str, Path], program: Callable[[str], str]) -> None:
    checked = subprocess.run([program("promtool"), *arguments], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_what_happened_and_what_to_do(name: str) -> None:
    rule = ALERTS[name]
    assert set(rule["annotations"]) == {"summary", "description", "runbook"}
    assert all(len(text) > 20 for text in rule["annotations"].values())
    assert rule["labels"]["severity"] in {"critical", "warning"}


def test_the_rules_load_and_evaluate(seen: Callable[[str], Series], api: Callable[..., Any]) -> None:
    for evaluated in ("TenureAgentDown", "TenureDriftCritical", "TenureDecisionDead"):  # one of each group
        seen(f'ALERTS{{alertname="{evaluated}"}}')
    loaded = {rule["name"]: rule for group in api("rules")["groups"] for rule in group["rules"]}
    assert set(loaded) == {rule.get("alert") or rule["record"] for rule in RULES}
    assert {(rule["health"], rule.get("lastError")) for rule in loaded.values()} == {("ok", None)}, loaded


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_reads_series_that_exist(name: str, seen: Callable[[str], Series]) -> None:
    selectors = SELECTOR.findall(ALERTS[name]["expr"])
    assert selectors
    for selector in selectors:
        seen(selector)


@pytest.mark.parametrize(("name", "state"), PROVOKED.items())
def test_an_alert_fires_for_real(name: str, state: str, seen: Callable[[str], Series]) -> None:
    seen(f'max_over_time(ALERTS{{alertname="{name}", alertstate="{state}"}}[15m])')


def test_a_drift_alert_names_the_column(story: dict[str, str]) -> None:
    assert re.search(r"\bamount [a-z_]+ \d+\.\d", story["drift"]), story["drift"]


def test_each_alert_fires_when_it_should_and_only_then(program: Callable[[str], str]) -> None:
    scenarios = YAML(typ="safe", pure=True).load(SCENARIOS.read_text())["tests"]
    moments = [moment["exp_samples"] for scenario in scenarios for moment in scenario["promql_expr_test"]]
    fired = {name for samples in moments for sample in samples for name in re.findall(r'"(\w+)"', sample["labels"])}
    assert fired == set(ALERTS)
    run = subprocess.run([program("promtool"), "test", "rules", SCENARIOS], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
