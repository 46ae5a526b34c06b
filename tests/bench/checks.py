"""What a drift check costs: summaries of 1 M stored rows, checks on them, the memory they take, the room they need.

20 float columns, 50,000 rows of reference. Tenure reads its rows from its own database on disk; peers have them in memory
and, but for whylogs and Evidently, do one or two of the fourteen detectors. Peers live in environments of their own, one
folder each in `$TENURE_PEERS` (`.venv/peers` unless set): what is not there is left out.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial, reduce
from operator import add
from pathlib import Path

import numpy as np
from tests.bench import history, peers
from tests.bench.line import Line

from tenure_agent.builder import Rows, build_reference
from tenure_agent.checks.drift import Settings
from tenure_agent.config import parse_config
from tenure_agent.detectors import DETECTORS
from tenure_agent.memory import give_back
from tenure_agent.profiles import Profiles
from tenure_agent.records import MINUTE
from tenure_agent.reference import Reference
from tenure_agent.store import Database, predictions, summaries
from tenure_agent.store.catalogue import Catalogue
from tenure_agent.store.database import Cursor
from tenure_agent.store.predictions import newest_batch
from tenure_agent.stored_rows import needed, summaries_of
from tenure_agent.summary import Summary, merge
from tenure_agent.tally import summarise
from tenure_agent.track import Track

ROWS, MANY, ROUNDS = 1_000_000, 5_000_000, 3
ALL_TIME = 10**15
SETTINGS = Settings(300, 2.5)
HOMES = {"nannyml": "nannyml", "alibi": "alibi-detect", "scouter": "scouter-ml"} | dict.fromkeys(
    ("evidently", "evidently_ks", "evidently_psi"), "evidently"
)
WINDOWS = {"10,000 rows": 1 / 60, "1 hour": 6, "1 day": 144, "30 days": 4320}  # minutes of 60,000 rows a block
MINUTES, FINE_MINUTES, HOURS = 12, 360, 18  # encoded; as kept of a day: six hours of minutes, the rest as hours


def run() -> Iterator[Line]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        reference = history.reference()
        reference.save(folder / "reference")
        history.store(folder / "t.duckdb", ROWS)
        yield from _summaries(folder, reference)
        yield from _checks(reference)
        yield from _memory(folder)
    yield from _storage(history.COLUMNS, 10)
    yield from _storage(200, 100)


def _line(name: str, value: float, unit: str, target: str = "", base: str = "", ratio: float | None = None) -> Line:
    return Line("checks", name, value, unit, base, ratio, target)


def _summaries(folder: Path, reference: Reference) -> Iterator[Line]:
    one, minutes = [], []
    for _ in range(ROUNDS):
        one.append(_one_window(folder, reference))
        minutes.append(_judged(folder))
    best = statistics.median(one)
    yield _line("1 M rows as one window, KS and PSI", best, "s", "<= 0.9")
    yield _line("1 M rows by minutes, written, all detectors", statistics.median(minutes), "s", "<= 2")
    for name, count in (("reference", history.REFERENCE_ROWS), ("current", ROWS)):
        drawn = history.values(count, 1 if name == "reference" else 2).values()
        np.save(folder / f"{name}.npy", np.column_stack(list(drawn)))
    for peer in peers.PEERS:
        taken = _peer(peer.__name__, folder)
        if taken is not None:
            yield _line(f"one window, against {peer.__name__}", best, "s", "", f"its {taken:.2f} s", best / taken)


def _one_window(folder: Path, reference: Reference) -> float:
    """Seconds to read the rows in chunks as the agent does, to summarise them as one, and to measure KS and PSI."""
    database = Database(folder / "t.duckdb")
    model = database.read(Catalogue).result().models[history.MODEL]
    columns, after, found = needed(model, reference), 0, list[Summary]()
    started = time.perf_counter()
    while True:

        def read(cursor: Cursor, after: int = after) -> tuple[int, dict[str, history.Array]]:
            upto = predictions.batch_bounds(cursor, model, after, history.BATCH * 2)
            rows = {} if upto == after else predictions.columns_after(cursor, model, 1, (after, upto), columns)
            return upto, rows

        upto, rows = database.read(read).result()
        if not rows:
            break
        found += [summary for _, summary in summaries_of(model, reference, rows, ALL_TIME)]
        after = upto
    window = merge(reference.layout, found)
    for name in ("ks", "psi"):
        DETECTORS[name].measure(reference, window)
    taken = time.perf_counter() - started
    assert window.rows.max() == ROWS
    database.close()
    return taken


def _judged(folder: Path) -> float:
    """Seconds of the drift part of a review that finds all rows new."""
    shutil.copy(folder / "t.duckdb", folder / "copy.duckdb")
    seat = Seat(folder, "copy.duckdb")
    started = time.perf_counter()
    judged = seat.judge()
    taken = time.perf_counter() - started
    seat.database.close()
    assert judged
    return taken


class Seat:
    """An agent's drift check on a stored history."""

    def __init__(self, folder: Path, name: str) -> None:
        self.database = Database(folder / name)
        config = parse_config({"models": {history.MODEL: {"reference": {"file": str(folder / "reference")}}}}, "bench")
        self.profiles = Profiles(self.database, config, lambda: history.START)
        self.catalogue = self.database.read(Catalogue).result()
        self.model = self.catalogue.models[history.MODEL]

    def judge(self) -> int:
        """Judge all there is; how many verdicts."""

        async def ask() -> int:
            now = history.START + ALL_TIME // 100
            reference = await self.profiles.reference(self.model, 1, now)
            assert reference is not None
            newest = self.database.read(lambda cursor: newest_batch(cursor, self.catalogue)).result()
            return len(await self.profiles.judge(self.model, 1, reference, now, newest) or ())

        return asyncio.run(ask())


def _peer(name: str, folder: Path) -> float | None:
    """Seconds a peer took; None where it is not installed, or does not run."""
    home = Path(os.environ.get("TENURE_PEERS", ".venv/peers"))
    python = home / HOMES[name] / "bin" / "python" if name in HOMES else Path(sys.executable)
    if not python.exists():
        return None
    alone = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [str(python), str(Path(peers.__file__)), name, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=alone)
    return float(json.loads(done.stdout.splitlines()[-1])["seconds"]) if done.returncode == 0 else None


def _minutes(reference: Reference, count: int, rows: int = 60_000, first: int = 100) -> list[Summary]:
    found = []
    for seed in range(first, first + count):
        drawn = history.values(rows, seed, len(reference.columns))
        columns = {("feature", name): column for name, column in drawn.items()}
        found += summarise(reference.layout, columns, np.zeros(rows, np.int64), 1)
    return found


def _checks(reference: Reference) -> Iterator[Line]:
    """Medians of one check on summaries already made, with all detectors."""
    small, large = _minutes(reference, 60, 1000), _minutes(reference, MINUTES)
    rng = np.random.default_rng(3)
    hundred = [reduce(add, small[i:] + small[:i], large[i]) for i in range(2)]  # summaries of replicas, added
    taken = {}
    for name, minutes in WINDOWS.items():
        blocks = small
        if minutes >= 1:
            drawn = rng.integers(0, MINUTES, (60, 36))  # as many rows, of fewer draws
            times = int(minutes) / 36
            blocks = [_scaled(merge(reference.layout, [large[i] for i in row]), times) for row in drawn]
        taken[name] = _per_check(reference, blocks)
        target = "<= 1" if name == "10,000 rows" else "<= 1.5" if taken.get("1 hour", 0) != taken[name] else "<= 5"
        base = "1 hour" if target == "<= 1.5" else ""
        yield _line(
            f"a check, window of {name}",
            1e3 * taken[name],
            "ms",
            target,
            base,
            taken[name] / taken["1 hour"] if base else None,
        )
    replicas = [hundred[i % 2] for i in range(60)]
    found = _per_check(reference, replicas)
    yield _line("a check, sum of replicas", 1e3 * found, "ms", "<= 1.5", "1 hour", found / taken["1 hour"])
    parts = (small * 2)[:100]
    started = time.perf_counter()
    reduce(add, parts)
    yield _line("adding the summaries of 100 replicas", 1e3 * (time.perf_counter() - started), "ms")


def _scaled(summary: Summary, times: float) -> Summary:
    """A summary of so many times as many rows."""
    whole = {
        name: np.round(getattr(summary, name) * times).astype(np.int64)
        for name in ("counts", "magnitudes", "missing", "mistyped", "below", "above", "zeros")
    }
    rows = np.array([part.sum() for part in np.split(whole["counts"], len(summary.rows))])
    return Summary(
        summary.hitters,
        rows=rows,
        total=summary.total * times,
        squares=summary.squares * times,
        low=summary.low,
        high=summary.high,
        **whole,
    )


def _per_check(reference: Reference, blocks: Sequence[Summary]) -> float:
    track, taken = Track(reference, MINUTE), []
    for number, summary in enumerate(blocks):
        track.add(number * MINUTE, summary)
        started = time.perf_counter()
        [(verdict, _)] = track.judge((number + 1) * MINUTE, SETTINGS)
        taken.append(time.perf_counter() - started)
        assert verdict.readings
    return statistics.median(taken[20:])


def _memory(folder: Path) -> Iterator[Line]:
    """MB that a check of new rows takes beyond what its process had before, at most."""
    history.store(folder / "many.duckdb", MANY)
    for name, rows in (("t", ROWS), ("many", MANY)):
        code = f"from pathlib import Path; from tests.bench.checks import peak; peak(Path({str(folder)!r}), {name!r})"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        yield _line(f"memory of a check, {rows // 1_000_000} M new rows", float(done.stdout), "MB", "<= 50")


def peak(folder: Path, name: str) -> None:
    """Print what a check took beyond an idle agent: one that has checked before, and whose DuckDB has its memory filled."""
    history.store(folder / "warm.duckdb", 100_000)
    before = Seat(folder, "warm.duckdb")
    before.judge()
    before.database.close()
    (folder / "warm.duckdb").unlink()
    seat = Seat(folder, f"{name}.duckdb")
    columns = ", ".join(f"sum(n{column.number})" for column in seat.model.columns.values())
    seat.database.read(lambda cursor: cursor.execute(f"SELECT {columns} FROM {seat.model.table}").fetchall()).result()
    give_back()
    idle = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # VmHWM begins anew
    assert seat.judge()
    print(_status("VmHWM") - idle)


def _status(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) * 1024 / 1e6


def _storage(columns: int, target: int) -> Iterator[Line]:
    """MB that a day's summaries take, as they are kept and rolled up."""
    rows = {("feature", name): v for name, v in history.values(history.REFERENCE_ROWS, 1, columns).items()}
    reference = build_reference(history.MODEL, "1", Rows(rows))
    minutes = _minutes(reference, MINUTES)
    minute, hour = _dealt(merge(reference.layout, minutes), 1 / MINUTES), _dealt(merge(reference.layout, minutes), 5)
    sizes = [statistics.mean(len(one.to_bytes()) for one in minutes), len(next(hour).to_bytes())]
    day = (FINE_MINUTES * sizes[0] + HOURS * sizes[1]) / 1e6
    yield _line(f"a minute's summary, {columns} columns", sizes[0] / 1e3, "kB")
    yield _line(f"an hour's summary, {columns} columns", sizes[1] / 1e3, "kB")
    yield _line(f"summaries of a day, {columns} columns", day, "MB", f"<= {target}")
    with tempfile.TemporaryDirectory() as name:
        database = Database(Path(name) / "t.duckdb")
        empty = database.path.stat().st_size
        for span, drawn, many in ((MINUTE, minute, FINE_MINUTES), (60 * MINUTE, hour, HOURS)):
            for i in range(many):
                kept = [(0, i * span, next(drawn))]
                append = partial(summaries.append, model=1, version=1, hash_="hash", span=span, upto=i, summaries=kept)
                database.write(append).result()
        database.close()
        size = database.path.stat().st_size - empty
        yield _line(f"the same, as DuckDB's file grows, {columns} columns", size / 1e6, "MB", f"<= {target}")


def _dealt(summary: Summary, times: float) -> Iterator[Summary]:
    """Summaries of so many times as many rows, as chance would deal them out."""
    rng, scaled = np.random.default_rng(5), _scaled(summary, times)
    while True:
        counts = {name: rng.poisson(getattr(summary, name) * times) for name in ("counts", "magnitudes")}
        yield replace(scaled, **counts)
