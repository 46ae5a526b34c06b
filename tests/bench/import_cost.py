"""What `import tenure` adds to a fresh Python: the statement itself, and whole processes with and without it."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping

from tests.bench.line import Line

ROUNDS = 15


def run() -> Iterator[Line]:
    with tempfile.TemporaryDirectory() as folder:  # compiled beforehand, as an installed package is
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environment["PYTHONPYCACHEPREFIX"] = folder
        _seconds("import tenure", environment)
        statement, whole, bare = [], [], []
        for _ in range(ROUNDS):
            bare.append(_seconds("pass", environment)[1])
            inside, outside = _seconds("import tenure", environment)
            statement.append(inside)
            whole.append(outside)
    added = statistics.median(whole) - statistics.median(bare)
    yield Line("import", "bare Python, start to end", statistics.median(bare) * 1e3, "ms")
    yield Line("import", "import tenure", statistics.median(statement) * 1e3, "ms", target="<= 30")
    yield Line("import", "import tenure, with all its process ends with", added * 1e3, "ms over bare")


def _seconds(code: str, environment: Mapping[str, str]) -> tuple[float, float]:
    """Of the statement, and of the process."""
    timed = f"from time import perf_counter as now\nstarted = now()\n{code}\nprint(now() - started)"
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", timed], env=environment, check=True, stdout=subprocess.PIPE)
    return float(done.stdout), time.perf_counter() - started
