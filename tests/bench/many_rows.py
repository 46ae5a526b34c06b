"""What a watched call on 1,000 rows of 20 numbers costs the thread that makes it, per row."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tests.bench.line import Line, per_call
from tests.bench.running import agent

import tenure

ROUNDS, CALLS, ROWS, COLUMNS = 25, 10, 1_000, 20


def run() -> Iterator[Line]:
    with tempfile.TemporaryDirectory() as folder, agent(Path(folder)) as address:
        monitor = tenure.Monitor("bench", settings=tenure.Settings(agent=address, queue_rows=100_000))
        matrix = np.random.default_rng(7).normal(size=(ROWS, COLUMNS))
        scores = matrix[:, 3].copy()
        frame = pd.DataFrame(matrix, columns=[f"feature_{i}" for i in range(COLUMNS)])

        def bare(rows: Any) -> Any:  # what is measured is the call
            return scores

        watched: Callable[[Any], Any] = monitor.watch(bare)
        for name, rows in {"2-D array": matrix, "DataFrame": frame}.items():
            times: dict[str, list[float]] = {"bare": [], "watched": []}
            for _ in range(ROUNDS):
                times["bare"].append(per_call(bare, rows, CALLS))
                times["watched"].append(per_call(watched, rows, CALLS))
                monitor.flush(30.0)
            cost = statistics.median(times["watched"]) - statistics.median(times["bare"])
            yield Line(
                "many_rows", f"@watch, 1,000-row {name}", cost / ROWS * 1e9, "ns a row over bare", target="<= 60"
            )
        stats = monitor.stats()
        assert stats.emitted == stats.acked == 2 * ROUNDS * CALLS * ROWS, stats
        monitor.close()
