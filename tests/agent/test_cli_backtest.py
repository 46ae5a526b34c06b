"""`tenure-agent backtest`: a timeline for people, lines for programs, and refusals that say what to try."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from tenure_agent.cli import main

ROWS, REFERENCE, CHANGE = 5000, 3000, 4000


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def backtest(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["backtest", *arguments])


def write(path: str = "flights.csv", **changed: Any) -> None:
    """A row a minute; without labels, as a retraining on drift alone needs."""
    rng = np.random.default_rng(3)
    late = np.arange(ROWS) >= CHANGE
    table = {
        "time": (pd.Timestamp("2024-03-01") + pd.to_timedelta(np.arange(ROWS), unit="min")).strftime("%Y-%m-%dT%H:%MZ"),
        "split": np.where(np.arange(ROWS) < REFERENCE, "reference", "live"),
        "x": rng.normal(size=ROWS) + 3 * late,
        "prediction": rng.uniform(size=ROWS),
    } | changed
    pd.DataFrame(table).to_csv(path, index=False)


def test_lines_with_a_kind_each_and_the_summary_last() -> None:
    write()
    done = backtest("flights.csv", "--json")
    assert done.exit_code == 0, done.output
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    decision, episode, summary = lines
    assert [line["kind"] for line in lines] == ["decision", "episode", "summary"]
    assert set(episode) == {"kind", "version", "check", "segment", "level", "opened", "closed", "columns", "reason"}
    assert (episode["check"], episode["level"], episode["columns"]) == ("drift", "CRITICAL", ["x"])
    assert episode["opened"] == decision["time"]
    assert set(decision) == {"kind", "time", "version", "action", "trigger", "urgency", "reason"}
    assert (decision["action"], decision["trigger"]) == ("retrain", "data_drift")
    figures = {"rows", "labels", "first", "last", "every", "reviews", "episodes", "decisions", "verdicts"}
    assert set(summary) == {"kind", "critical_share", "seconds"} | figures
    assert (summary["rows"], summary["labels"], summary["decisions"]) == (2000, 0, {"retrain": 1})
    assert summary["episodes"] == [{"check": "drift", "level": "CRITICAL", "count": 1}]


def test_a_timeline_for_people() -> None:
    write()
    done = backtest("flights.csv", "--every", "1h")
    assert done.exit_code == 0, done.output
    assert "opened     version 1 drift: CRITICAL" in done.stdout
    assert "decision   retrain version 1 (urgent, data_drift)" in done.stdout
    assert "2,000 rows and 0 labels, 2024-03-03 to 2024-03-04" in done.stdout
    assert "34 reviews, one every 1h" in done.stdout
    assert "  1 drift episodes CRITICAL" in done.stdout


def test_other_names_and_the_model_of_the_configuration() -> None:
    write()
    table = pd.read_csv("flights.csv").rename(columns={"time": "departure", "prediction": "said"})
    table.to_csv("flights.csv", index=False)
    Path("tenure.yaml").write_text("models: {delays: {mode: observe, columns: {x: ignore}}}")
    done = backtest(
        "flights.csv", "--config", "tenure.yaml", "--column", "time=departure", "--column", "prediction=said", "--json"
    )
    assert done.exit_code == 0, done.output
    [summary] = map(json.loads, done.stdout.splitlines())
    assert (summary["episodes"], summary["decisions"]) == ([], {})


@pytest.mark.parametrize(
    ("arguments", "changed", "told"),
    [
        (["--column", "time=when"], {}, "--column time: 'when' cannot be used. Try: a column of the file: time, split"),
        (["--column", "clock=time"], {}, "--column: 'clock=time' cannot be used. Try: NAME=COLUMN"),
        ([], {"prediction": None}, "DATA: 'prediction' cannot be used. Try: --column prediction=NAME"),
        ([], {"time": ["noon"] * ROWS}, "time of row 1: 'noon' cannot be used. Try: a time from 1970 to 2100"),
        ([], {"time": np.arange(ROWS)}, "time: 'BIGINT' cannot be used. Try: a column of times"),
        ([], {"role": ["king"] * ROWS}, "role of row 1: 'king' cannot be used. Try: champion, challenger, shadow"),
        ([], {"split": ["reference"] * ROWS}, "has only rows of the reference"),
        (["--every", "often"], {}, "'often' is not a duration"),
        (["--window", "1s"], {}, "--window: '0:00:01' cannot be used. Try: 10s or more"),
    ],
)
def test_refusals(arguments: list[str], changed: dict[str, Any], told: str) -> None:
    write(**changed)
    if "prediction" in changed:
        pd.read_csv("flights.csv").drop(columns="prediction").to_csv("flights.csv", index=False)
    done = backtest("flights.csv", *arguments)
    assert done.exit_code == 2
    assert told in " ".join(done.output.split())


def test_an_empty_file_and_one_that_is_no_table() -> None:
    Path("empty.csv").write_text("time,prediction\n")
    assert "has no rows" in " ".join(backtest("empty.csv").output.split())
    Path("broken.parquet").write_bytes(b"nothing of the kind")
    done = backtest("broken.parquet")
    assert done.exit_code == 2
    assert "a CSV file with a header, or Parquet" in " ".join(done.output.split())


def test_several_models_configured_need_a_name() -> None:
    write()
    Path("tenure.yaml").write_text("models: {a: {}, b: {}}")
    done = backtest("flights.csv", "--config", "tenure.yaml")
    assert done.exit_code == 2
    assert "--model a" in " ".join(done.output.split())
