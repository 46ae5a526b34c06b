"""The main job, end to end, with every process real. Two runs: one that stops before there is harm, one after."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

Summary = dict[str, Any]


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> tuple[Summary, str]:
    return _run(tmp_path_factory.mktemp("quiet"), "2013-03-15")


@pytest.fixture(scope="module")
def harmed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Summary, str]:
    return _run(tmp_path_factory.mktemp("harmed"), "2013-05-27")


def _run(folder: Path, until: str) -> tuple[Summary, str]:
    command = [sys.executable, "-m", "tenure_agent", "demo", "--until", until, "--dir", str(folder / "demo"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1]), done.stdout


@pytest.mark.parametrize("run", ["quiet", "harmed"])
def test_every_row_is_accounted_for(run: str, request: pytest.FixtureRequest) -> None:
    summary, _ = request.getfixturevalue(run)
    assert summary["emitted"] == summary["stored"] + sum(summary["dropped"].values())
    assert summary["emitted"] > 20_000


def test_before_there_is_harm_nothing_is_decided(quiet: tuple[Summary, str]) -> None:
    summary, timeline = quiet
    assert summary["decisions"] == []
    assert summary["quality"]["after"] is None
    assert summary["verdicts"]["error"] == 0
    assert "No retraining was called for" in timeline


def test_harm_leads_to_a_delivered_retrain_that_names_its_cause(harmed: tuple[Summary, str]) -> None:
    summary, _ = harmed
    [decision] = summary["decisions"]
    assert decision["action"] == "retrain"
    assert decision["trigger"] == "performance_degraded"
    assert decision["delivered"] is True
    assert decision["event_time"] == "2013-04-23T06:00:00Z"
    assert "Brier score over the newest 4,000 labels" in decision["reason"]
    assert "no input moved enough to explain it" in decision["reason"]  # a storm does not, by what weather does itself


def test_what_was_retrained_is_better_on_the_same_later_rows(harmed: tuple[Summary, str]) -> None:
    summary, _ = harmed
    quality = summary["quality"]
    assert quality["metric"] == "auc_roc"
    assert quality["rows"] > 20_000
    assert quality["after"] > quality["before"]
    assert quality["brier"]["after"] < quality["brier"]["before"]


def test_the_new_version_walks_the_lifecycle_with_who_and_why(harmed: tuple[Summary, str]) -> None:
    _, timeline = harmed
    steps = [
        "version 2: production -> retraining by control-endpoint",
        "version 2: retraining -> evaluated by control-endpoint",
        "version 2: evaluated -> shadow by control-endpoint",
        "version 2: shadow -> staging by rollout",
        "version 2: staging -> production by rollout",
    ]
    assert [line for line in timeline.splitlines() if line != line.rstrip()] == [], "a file has no width to fill"
    places = [timeline.index(step) for step in steps]
    assert places == sorted(places)
    assert "version 1: production -> deprecated by rollout" in timeline


def test_the_demo_leaves_a_folder_it_did_not_make_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    command = [sys.executable, "-m", "tenure_agent", "demo", "--dir", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "Try: another --dir" in done.stderr
    assert (tmp_path / "thesis.txt").read_text() == "mine"
