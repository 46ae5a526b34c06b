"""The agent dies at every step of a commit and of a checkpoint: what was acked is there, once, and so is what was queued."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

KILL, TEAR, TEAR_EARLY, TEAR_LATE = -1, -2, -3, -4
POINTS = [{"point": point, "nth": nth} for nth in (0, 1, 5) for point in ("begun", "before commit", "after commit")]
POINTS += [{"point": "in checkpoint", "nth": milliseconds} for milliseconds in (0, 3, 10)]


@pytest.mark.parametrize("spool", [False, True], ids=["memory", "spool"])
def test_killed_at_a_named_point(started: Any, traffic: Any, tmp_path: Path, spool: bool) -> None:
    agent = started()
    flow = traffic(agent, spool=str(tmp_path) if spool else "")
    flow.until_acked()
    agent.kill()
    for point in POINTS[:: 4 if spool else 1]:
        agent.start(fault=point)
        if "checkpoint" in str(point["point"]):
            flow.until_acked()
            agent.signal(signal.SIGUSR1)
        assert agent.ended() == -signal.SIGKILL
        flow.acked()
    agent.start()
    flow.stored_once()


def test_killed_at_any_write_of_a_commit(shimmed: Any, traffic: Any) -> None:
    """A transaction is written to the log in pieces, then synced; one piece may be there by half."""
    agent = shimmed()
    flow = traffic(agent)
    flow.until_acked()
    agent.kill()
    for nth, outcome in [(0, KILL), (0, TEAR), (1, KILL), (1, TEAR), (2, TEAR), (3, KILL)]:
        agent.start(
            fault={"calls": "write fdatasync", "file": ".wal", "outcome": outcome, "nth": nth, "when": "report"}
        )
        assert agent.ended() == -signal.SIGKILL
        flow.acked()
    agent.start()
    flow.stored_once()


@pytest.mark.parametrize(
    ("calls", "outcome", "least"),
    [
        ("write pwrite fdatasync remove", KILL, 7),
        *(("write pwrite", tear, 4) for tear in (TEAR, TEAR_EARLY, TEAR_LATE)),
    ],
)
def test_killed_at_any_step_of_a_checkpoint(shimmed: Any, traffic: Any, calls: str, outcome: int, least: int) -> None:
    """The log is closed, blocks are written and synced, the head is written and synced, the log is removed."""
    agent = shimmed()
    flow = traffic(agent)
    flow.until_acked()
    agent.stop()  # what a checkpoint has written is there, for the next to write over
    steps = 0
    while True:
        agent.start(fault={"calls": calls, "file": "t.duckdb", "outcome": outcome, "nth": steps, "when": "checkpoint"})
        flow.until_acked(500)
        agent.signal(signal.SIGUSR1)
        if not agent.dies():
            break
        assert agent.ended() == -signal.SIGKILL
        flow.acked()
        steps += 1
    assert steps >= least
    agent.kill()
    agent.start()
    flow.stored_once()
