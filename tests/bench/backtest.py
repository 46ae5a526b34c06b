"""How long a month of a busy model takes to replay: a million labelled rows of 20 numbers, checked every six minutes."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import duckdb
from tests.bench.line import Line

ROWS, COLUMNS, REFERENCE, DAYS = 1_000_000, 20, 50_000, 30


def run() -> Iterator[Line]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "history.parquet"
        write_history(path, ROWS)
        command = [sys.executable, "-m", "tenure_agent", "backtest", str(path), "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["rows"] == ROWS, summary
    seconds = summary["seconds"]
    yield Line("backtest", f"{ROWS:,} rows x {COLUMNS}", seconds, "s", target="<= 30")
    yield Line("backtest", f"one of {summary['reviews']:,} reviews", seconds / summary["reviews"] * 1e3, "ms")


def write_history(path: Path, rows: int) -> None:
    """A binary model's month, or so much of it as `rows` are, after a reference; labels come an hour late."""
    step = DAYS * 86_400_000_000 // ROWS
    features = ", ".join(f"sqrt(-2 * ln(1 - random())) * cos(2 * pi() * random()) AS x{i}" for i in range(COLUMNS))
    connection = duckdb.connect(config={"threads": 1})
    connection.execute("SELECT setseed(0.5)")
    connection.execute(
        f"COPY (SELECT make_timestamp(1704067200000000 + i * {step}) AS time, 'row-' || i AS id, "
        f"if(i < {REFERENCE}, 'reference', 'live') AS split, p AS prediction, (random() < p)::INTEGER AS label, "
        f"make_timestamp(1704070800000000 + i * {step}) AS label_time, * EXCLUDE (i, p) "
        f"FROM (SELECT i, random() AS p, {features} FROM range({REFERENCE + rows}) t(i))) TO '{path}' (FORMAT parquet)"
    )
    connection.close()
