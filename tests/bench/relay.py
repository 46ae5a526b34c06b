"""Rows per second from a producer through a relay to the hub's disk, against the same straight to a hub.

Batches of 4,096 rows of 20 floats, four reports on their way. The clock runs until the hub has stored all of them; a relay
and its hub share this machine, and each row is written twice.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from tests.bench.durable import REPORTS, ROWS, floats, report
from tests.bench.line import Line
from tests.bench.running import agent

from tenure_agent.asking import ask

ROUNDS = 3
WIDTH = 4


def run() -> Iterator[Line]:
    columns = floats(20)
    with ExitStack() as stack:
        folders = [Path(stack.enter_context(tempfile.TemporaryDirectory())) for _ in range(3)]
        straight = stack.enter_context(agent(folders[0]))
        hub = stack.enter_context(agent(folders[1]))
        relay = stack.enter_context(agent(folders[2], upstream=hub))
        rates: dict[str, list[float]] = {"straight": [], "acked": [], "through": []}
        for _ in range(ROUNDS):
            rates["straight"].append(report(straight, columns, WIDTH))
            started = time.perf_counter()
            rates["acked"].append(report(relay, columns, WIDTH))
            while not ask(relay, "progress")["settled"]:
                time.sleep(0.005)
            rates["through"].append(ROWS * REPORTS / (time.perf_counter() - started))
    median = {name: statistics.median(found) for name, found in rates.items()}
    yield Line("relay", "straight to a hub", median["straight"], "rows/s")
    for name, told in (("acked", "acked by a relay"), ("through", "through a relay, stored by its hub")):
        yield Line("relay", told, median[name], "rows/s", "straight to a hub", median[name] / median["straight"])
