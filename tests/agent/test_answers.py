"""What a running agent answers of verdicts: histograms for programs, sentences for people."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from click.testing import CliRunner

import tenure
from tenure_agent.cli import main
from tenure_agent.daemon import Agent

Running = Callable[..., AbstractContextManager[Agent]]
START, STEP = 1_700_000_000, 5
MODEL = {"reference": {"first_rows": 1500}, "drift": {"window": "20m", "min_rows": 100}}


def serve(address: str, rows: int, moved: int) -> None:
    """So many rows; the newest of them zero where they were not."""
    draw = np.random.default_rng(0)
    x, y = draw.normal(5, 1, rows), draw.normal(size=rows)
    x[rows - moved :] = 0.0
    with tenure.Monitor("fraud", agent=address, settings=tenure.Settings(deadline=30.0)) as monitor:
        for i in range(rows):
            monitor.record({"x": x[i], "y": y[i]}, float(i % 7), id=str(i), time=START + i * STEP)
        assert monitor.flush(timeout=60)


def test_histograms_are_for_programs(running: Running) -> None:
    def ask(*arguments: str) -> tuple[str, Any]:
        told, parsed = (CliRunner().invoke(main, [*arguments, *more]) for more in ((), ("--json",)))
        return told.output, json.loads(parsed.output)

    with running({"models": {"fraud": MODEL}}) as agent:
        serve(agent.addresses["grpc"], 3000, 400)
        for verb in ("check", "status"):
            text, found = ask(verb, "--agent", agent.addresses["grpc"])
            said = {one["check"]: one for one in found["verdicts"]}
            assert said["drift"]["level"] == "CRITICAL"
            assert "x: all its values are exactly 0" in " ".join(text.split())
            assert "between" not in text
            assert list(said["drift"]["evidence"]) == ["x"]
            histogram = said["drift"]["evidence"]["x"]
            assert set(histogram) == {"bins", "reference", "window"}
            assert histogram["bins"][-1] == "missing"
            assert sum(histogram["window"]) == 1.0 == histogram["window"][0]
            assert said["performance"]["evidence"] == {}


def test_check_lists_the_multivariate_one_where_it_is_asked_for(running: Running) -> None:
    model = {**MODEL, "drift": {"multivariate": "1d"}}
    with running({"models": {"fraud": model}}) as agent:
        serve(agent.addresses["grpc"], 3000, 0)
        for _ in range(2):
            found = CliRunner().invoke(main, ["check", "--json", "--agent", agent.addresses["grpc"]])
            said = [one["check"] for one in json.loads(found.output)["verdicts"]]
            assert said == ["drift", "multivariate", "performance", "volume"]
