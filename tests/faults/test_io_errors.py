"""One call of DuckDB's on its files fails once: nothing unsynced is acked, the agent goes on, and every row is stored once."""

from __future__ import annotations

import errno
import signal
from typing import Any

import pytest

from tenure_agent.asking import ask

COMMIT = [
    ("fdatasync", 0, errno.EIO),
    ("write", 0, errno.EIO),
    ("write", 1, errno.EIO),
    ("write", 0, errno.ENOSPC),
    ("write", 1, errno.ENOSPC),
]
CHECKPOINT = [
    *(("fdatasync", nth, errno.EIO) for nth in range(3)),
    *(("pwrite", nth, errno.EIO) for nth in range(3)),
    ("write", 0, errno.EIO),
    ("remove", 0, errno.EIO),
    ("pwrite", 0, errno.ENOSPC),
]


@pytest.mark.parametrize(
    ("when", "calls", "nth", "outcome"),
    [("report", *one) for one in COMMIT] + [("checkpoint", *one) for one in CHECKPOINT],
)
def test_a_call_that_fails_once(shimmed: Any, traffic: Any, when: str, calls: str, nth: int, outcome: int) -> None:
    word = ".wal" if when == "report" else "t.duckdb"
    agent = shimmed(fault={"calls": calls, "file": word, "outcome": outcome, "nth": nth, "when": when})
    flow = traffic(agent)
    flow.until_acked()
    if when == "checkpoint":
        agent.signal(signal.SIGUSR1)
    flow.until_acked(1000)
    flow.until_acked(1000)
    acked = flow.acked()
    agent.kill()  # what was not synced would be in the kernel all the same: what was not written would not
    agent.start()
    assert ask(agent.address, "status")["stored"] >= acked
    flow.stored_once()
