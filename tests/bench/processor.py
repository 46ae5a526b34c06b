"""Processor time of the whole process per prediction: capture, encoding and sending, with the agent at work beside it."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.bench.in_path import FEATURES
from tests.bench.line import Line
from tests.bench.running import agent

import tenure

ROUNDS, BURSTS, CALLS = 7, 5, 4_000


def run() -> Iterator[Line]:
    def bare(features: dict[str, float]) -> float:
        return features["feature_3"]

    with tempfile.TemporaryDirectory() as folder, agent(Path(folder)) as address:
        monitor = tenure.Monitor("bench", agent=address)
        watched = monitor.watch(bare)
        nothing: Callable[[], object] = lambda: None  # noqa: E731
        taken: dict[str, list[float]] = {"bare": [], "watched": []}
        _burst(watched, lambda: monitor.flush(30.0))  # the first one imports what the sender needs
        for _ in range(ROUNDS):
            taken["bare"].append(_burst(bare, nothing))
            taken["watched"].append(_burst(watched, lambda: monitor.flush(30.0)))
        cost = statistics.median(taken["watched"]) - statistics.median(taken["bare"])
        yield Line("processor", "capture, encode and send", cost * 1e6, "us a prediction", target="<= 2.5")
        monitor.close()


def _burst(function: Callable[[dict[str, float]], float], flush: Callable[[], object]) -> float:
    """Processor seconds of this process per call."""
    started = time.process_time()
    for _ in range(BURSTS):
        for _ in range(CALLS):
            function(FEATURES)
        flush()
    return (time.process_time() - started) / (BURSTS * CALLS)
