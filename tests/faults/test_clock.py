"""The wall clock jumps under traffic: every row is stored, none expires for it, and what is scheduled goes on."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from tenure_agent.asking import ask

HOUR, YEARS = 3600, 10 * 365 * 86_400
DEADLINE = 60.0
MODEL = {"reference": {"first_rows": 300}, "drift": {"every": "1s", "window": "1h"}}


def test_the_clock_jumps(started: Any, traffic: Any, tmp_path: Path) -> None:
    clock = tmp_path / "clock"
    clock.write_text("0")
    agent = started({"store": {"retain": "1d"}, "models": {"steady": MODEL}}, clock=str(clock))
    flow = traffic(agent)
    flow.until_acked(2000)
    jumps = [0, 120, HOUR, 0, -HOUR, 0, YEARS, YEARS + 120, 0, -YEARS, 0]
    for offset in jumps:
        new = clock.with_suffix(".new")
        new.write_text(str(offset))
        new.rename(clock)  # at once: the agent reads it at any moment
        flow.until_acked(500)
        ran_at(agent, "review steady", offset)
    runs = agent.metric("tenure_check_seconds_count")
    assert runs < 10 * len(jumps) + 10
    assert agent.metric("tenure_clock_jumps_total") == len(jumps) - 1
    assert agent.metric("tenure_expired_predictions_total") == 0
    flow.stored_once()


def ran_at(agent: Any, job: str, offset: float) -> None:
    """Wait until a job has run by the clock that is off by so much."""
    deadline = time.monotonic() + DEADLINE
    query = f"SELECT last_run / 1e6 FROM jobs WHERE name = '{job}'"
    while True:
        rows = ask(agent.address, "sql", {"query": query})["rows"]
        if rows and abs(rows[0][0] - offset - time.time()) < 30:
            return
        assert time.monotonic() < deadline, f"{job} has not run {offset} s off"
        time.sleep(0.05)
