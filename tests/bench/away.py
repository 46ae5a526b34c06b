"""What a watched call costs while the agent is dead or stopped, beside the same with the agent at work."""

from __future__ import annotations

import os
import signal
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench.in_path import FEATURES
from tests.bench.line import Line, per_call
from tests.bench.running import agent, running

import tenure

ROUNDS, CALLS = 15, 4_000
SETTLED = 0.3  # seconds for the sender to encode what cannot be sent


def run() -> Iterator[Line]:
    with tempfile.TemporaryDirectory() as folder:
        places = {name: Path(folder) / name for name in ("at work", "dead", "stopped")}
        for place in places.values():
            place.mkdir()
        with agent(places["at work"]) as at_work, running(places["stopped"]) as (stopped, process):
            os.kill(process.pid, signal.SIGSTOP)
            addresses = {"at work": at_work, "dead": f"unix:{places['dead']}/a.sock", "stopped": stopped}
            yield from _compare(addresses)
            os.kill(process.pid, signal.SIGCONT)


def _compare(addresses: dict[str, str]) -> Iterator[Line]:
    def bare(features: dict[str, float]) -> float:
        return features["feature_3"]

    monitors = {name: tenure.Monitor("bench", agent=address) for name, address in addresses.items()}
    sides = {name: monitor.watch(bare) for name, monitor in monitors.items()}
    times: dict[str, list[float]] = {name: [] for name in ("bare", *sides)}
    for _ in range(ROUNDS):
        times["bare"].append(per_call(bare, FEATURES, CALLS))
        for name, side in sides.items():
            times[name].append(per_call(side, FEATURES, CALLS))
            time.sleep(SETTLED)
    cost = {name: statistics.median(taken) - statistics.median(times["bare"]) for name, taken in times.items()}
    yield Line("away", "@watch, agent at work", cost["at work"] * 1e6, "us over bare")
    for name in ("dead", "stopped"):
        ratio = cost[name] / cost["at work"]
        yield Line("away", f"@watch, agent {name}", cost[name] * 1e6, "us over bare", "agent at work", ratio, "<= 1.25")
    for monitor in monitors.values():
        stats = monitor.stats()
        assert stats.emitted == ROUNDS * CALLS == stats.acked + stats.queued + sum(stats.dropped.values()), stats
        monitor.close(timeout=0.2)
