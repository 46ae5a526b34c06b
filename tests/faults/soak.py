"""Minutes of everything at once, and what the agent holds then: `make soak`, or TENURE_SOAK=180 python tests/faults/soak.py.

Producers in processes of their own send predictions and outcomes at a steady rate, rows expire by age and for want of
room, verdicts are thinned out, checks run, clients come and leave, questions are asked and metrics scraped. After a
warm-up of half the time (a row group's room is used again once the last of its 122,880 rows is gone) the slopes (Theil and
Sen's) of memory, descriptors, threads and bytes on disk must be flat, or this fails: less than is allowed, at the lower end
of their 95 % interval.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from urllib.request import urlopen

import numpy as np
from scipy.stats import theilslopes

import tenure
from tenure_agent.asking import NoAnswer, ask

SECONDS = float(os.environ.get("TENURE_SOAK", "600"))
EVERY, CHECK_EVERY = 2.0, 10  # seconds, and rounds: what a check finds is kept, with its evidence
PRODUCERS, RATE = 4, 500  # rows a second of each
# By the hour, as a share of the median: what would double in five hours is a leak. And what is nothing, for small ones.
STEEPEST = 0.2
NOISE = {"rss MB": 8.0, "fds": 2.0, "threads": 2.0, "disk MB": 24.0, "spool MB": 1.0}  # over the whole run
PRODUCER = """
import random, sys, time
import tenure
monitor = tenure.Monitor("soaked", settings=tenure.Settings(agent=sys.argv[1], spool=sys.argv[2]))
rng, number, name, begun = random.Random(), 0, sys.argv[3], time.monotonic()
while True:
    for _ in range(int(sys.argv[4]) // 20):
        id_ = f"{name}-{number}"
        features = {f"x{i}": rng.gauss(0, 1) for i in range(10)} | {"country": rng.choice("ABCDE")}
        monitor.record(features, rng.random(), id=id_)
        if number % 5 == 0:
            monitor.outcome(id_, label=rng.random() < 0.3)
        number += 1
    time.sleep(max(0.0, begun + number / int(sys.argv[4]) - time.monotonic()))
"""


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        address = f"unix:{folder}/a.sock"
        document = {
            "listen": address,
            "http": "127.0.0.1:0",
            "store": {"path": f"{folder}/t.duckdb", "max_size": "32MiB", "retain": "2m", "memory": "64MiB"},
            "models": {
                "soaked": {
                    "reference": {"first_rows": 5000},
                    "drift": {"every": "5s", "window": "1m"},
                    "performance": {"window": "30s"},  # labels are waited for a minute: what goes by then shows in time
                }
            },
        }
        (folder / "tenure.yaml").write_text(json.dumps(document))
        run = [sys.executable, "-m", "tenure_agent", "run", "--config", f"{folder}/tenure.yaml", "--log-level", "error"]
        agent = subprocess.Popen(run)
        sending: list[subprocess.Popen[bytes]] = []
        try:
            metrics = f"http://{wait_for(address)['addresses']['http']}/metrics"
            for number in range(PRODUCERS):
                arguments = [address, f"{folder}/spool", str(number), str(RATE)]
                sending.append(subprocess.Popen([sys.executable, "-c", PRODUCER, *arguments]))
            while not ask(address, "status")["stored"]:
                time.sleep(0.05)
            samples = observe(agent.pid, address, metrics, folder)
            status = ask(address, "status")
            with urlopen(metrics) as page:
                expired = expired_rows(page.read().decode())
            flat = told(samples)
            print(f"{status['stored']} stored, {expired:.0f} expired, dropped {status['dropped'] or 'nothing'}")
            query = "SELECT table_name, estimated_size FROM duckdb_tables() ORDER BY estimated_size DESC"
            tables = ask(address, "sql", {"query": query})["rows"]
            print("rows:", ", ".join(f"{name} {rows}" for name, rows in tables if rows))
            going = agent.poll() is None and all(one.poll() is None for one in sending)
            return 0 if flat and going and not status["dropped"] else 1
        finally:
            for process in (*sending, agent):
                process.send_signal(signal.SIGTERM)
                process.wait(60)


def wait_for(address: str) -> dict[str, dict[str, str]]:
    while True:
        try:
            status: dict[str, dict[str, str]] = ask(address, "status")
        except NoAnswer:
            time.sleep(0.05)
        else:
            return status


def observe(pid: int, address: str, metrics: str, folder: Path) -> dict[str, list[float]]:
    """A sample now and again, with what an operator does between them."""
    samples: dict[str, list[float]] = {name: [] for name in ("seconds", *NOISE)}
    began = time.monotonic()
    while (now := time.monotonic() - began) < SECONDS:
        with urlopen(metrics) as page:
            page.read()
        ask(address, "sql", {"query": "SELECT version, avg(x1), count(*) FROM predictions_soaked GROUP BY version"})
        if len(samples["seconds"]) % CHECK_EVERY == 0:
            ask(address, "check")
        with tenure.Monitor("guest", settings=tenure.Settings(agent=address)) as guest:
            guest.record({"x": now}, 0.5)
        for name, value in zip(samples, (now, *held(pid, folder)), strict=True):
            samples[name].append(value)
        time.sleep(max(0.0, EVERY - (time.monotonic() - began - now)))
    return samples


def held(pid: int, folder: Path) -> tuple[float, ...]:
    """What NOISE names."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    threads = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[17])
    fds = len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208
    disk, spool = (size(folder.glob(kind)) for kind in ("t.duckdb*", "spool/**/*"))
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6, fds, threads, disk, spool


def size(files: Iterable[Path]) -> float:
    """In megabytes; a file may go meanwhile."""
    total = 0
    for file in files:
        with suppress(FileNotFoundError):
            total += file.stat().st_size
    return total / 1e6


def told(samples: dict[str, list[float]]) -> bool:
    """Print a table and the slopes; whether all are flat."""
    table = {name: np.array(values) for name, values in samples.items()}
    warm = table["seconds"] >= SECONDS / 2
    print("  ".join(f"{name:>9}" for name in table))
    for row in list(zip(*table.values(), strict=True))[:: max(1, len(warm) // 20)]:
        print("  ".join(f"{value:9.1f}" for value in row))
    flat = True
    hours = table.pop("seconds")[warm] / 3600
    for name, values in table.items():
        slope, _, low, high = theilslopes(values[warm], hours)
        allowed = max(STEEPEST * float(np.median(values[warm])), NOISE[name] / (SECONDS / 3600))
        good = low <= allowed  # not proven to be steeper: memory goes up and down by more than it grows
        flat = flat and good
        word = "flat" if good else "NOT FLAT"
        print(f"{name:>9}: {slope:+.2f} an hour (95 %: {low:+.2f} to {high:+.2f}), allowed {allowed:+.2f}: {word}")
    return flat


def expired_rows(page: str) -> float:
    line = next(line for line in page.splitlines() if line.startswith("tenure_expired_predictions_total "))
    return float(line.split()[1])


if __name__ == "__main__":
    sys.exit(main())
