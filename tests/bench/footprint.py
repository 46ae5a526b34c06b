"""What an agent takes of its machine: memory, time to start, processor time, and how long an ack takes.

Rows of 20 floats. Memory is the process's resident set, libraries included.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import grpc
from tests.bench.durable import ROWS, encoded, floats, payload
from tests.bench.in_path import FEATURES
from tests.bench.line import Line
from tests.bench.running import memory, processor_time, running, started_in

import tenure
from tenure.transport import CHANNEL_OPTIONS, REPORT
from tenure_agent.asking import ask
from tenure_proto.v1 import monitoring_pb2 as pb

STARTS = 3
FIRST, LOAD, LANES = 5, 10_000_000, 4  # reports before the first check; rows under full load, reports on their way
IDLE = 10.0  # seconds of quiet before memory is read
LOG = 24 << 20  # bytes not yet moved into the file when the agent is killed: it moves them at 32 MB
STEADY = 30.0  # seconds
PRODUCERS, BATCH, EVERY = 10, 100, 0.1  # each sends so many rows each so many seconds: what the SDK does by itself


def run() -> Iterator[Line]:
    yield _line("cold start to ready", _starts(fresh=True), "s", "<= 2")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        yield from _loaded(folder)
        size = (folder / "t.duckdb").stat().st_size / 1e6
        yield _line(f"start after kill -9, {size:,.0f} MB and a log", started_in(folder), "s", "<= 3")
        yield _line(f"restart with {size:,.0f} MB", _starts(folder), "s", "<= 3")
    with tempfile.TemporaryDirectory() as name, running(Path(name)) as (address, process):
        yield _line("processor, 1,000 rows/s", 100 * _steady(address, partial(processor_time, process)), "%", "<= 3")
    with tempfile.TemporaryDirectory() as name, running(Path(name)) as (address, _):
        taken = sorted(_acks(address))
        yield _line("ack, 10,000 rows/s, median", 1e3 * statistics.median(taken), "ms")
        yield _line("ack, 10,000 rows/s, p99", 1e3 * taken[len(taken) * 99 // 100], "ms", "<= 150")


def _line(name: str, value: float, unit: str, target: str = "") -> Line:
    return Line("footprint", name, value, unit, target=target)


def _starts(folder: Path | None = None, *, fresh: bool = False) -> float:
    times = []
    for _ in range(STARTS):
        with tempfile.TemporaryDirectory() as empty:
            times.append(started_in(Path(empty) if fresh or folder is None else folder))
    return statistics.median(times)


def _loaded(folder: Path) -> Iterator[Line]:
    """Memory through an agent's life, which ends with kill -9 and a log to replay."""
    features = encoded(floats(20))
    with running(folder) as (address, process), grpc.insecure_channel(address, options=CHANNEL_OPTIONS) as channel:
        call: Any = channel.unary_unary(REPORT, response_deserializer=pb.ReportReply.FromString)

        def send(producer: str, reports: int) -> None:
            for seq in range(1, reports + 1):
                call(payload(producer, seq, "floats", features, ROWS, time.time_ns() // 1000), timeout=60)

        send("first", FIRST)
        ask(address, "check")
        time.sleep(IDLE)
        yield _line("memory, idle after a first check", memory(process), "MB", "<= 170")
        started = time.perf_counter()
        with ThreadPoolExecutor(LANES) as threads:
            list(threads.map(send, [f"lane-{i}" for i in range(LANES)], [LOAD // ROWS // LANES] * LANES))
        yield _line("rows under full load", LOAD / (time.perf_counter() - started), "rows/s")
        yield _line("memory, most under full load", memory(process, "VmHWM"), "MB", "<= 300")
        ask(address, "check", timeout=300.0)
        yield _line("memory, most until their check has ended", memory(process, "VmHWM"), "MB", "<= 300")
        time.sleep(IDLE)
        yield _line(f"memory, idle after {LOAD // 1_000_000} M rows", memory(process), "MB", "<= 300")
        log, last = folder / "t.duckdb.wal", 0
        while not log.exists() or log.stat().st_size < LOG:
            send(f"last-{(last := last + 1)}", 1)
        process.kill()


def _steady(address: str, used: Callable[[], float]) -> float:
    """Share of a core the agent takes while one process predicts 1,000 times a second."""
    monitor = tenure.Monitor("bench", agent=address)

    @monitor.watch
    def predict(features: dict[str, float]) -> float:
        return features["feature_3"]

    def pace(seconds: float) -> None:
        began = time.monotonic()
        for step in range(round(seconds * 100)):
            for _ in range(10):
                predict(FEATURES)
            time.sleep(max(0.0, began + step / 100 - time.monotonic()))

    pace(2.0)
    before, began = used(), time.monotonic()
    pace(STEADY)
    share = (used() - before) / (time.monotonic() - began)
    monitor.close()
    return share


def _acks(address: str) -> Sequence[float]:
    """Seconds from when each report was due to its ack. Reports are due evenly, whether or not others were answered."""
    features, taken = encoded(floats(20, BATCH)), list[float]()
    own = (*CHANNEL_OPTIONS, ("grpc.use_local_subchannel_pool", 1))  # a connection each, as processes have
    channels = [grpc.insecure_channel(address, options=own) for _ in range(PRODUCERS)]
    calls: list[Any] = [c.unary_unary(REPORT, response_deserializer=pb.ReportReply.FromString) for c in channels]
    futures = []
    due = time.monotonic() + EVERY
    for i in range(round(STEADY / EVERY) * PRODUCERS):
        due += EVERY / PRODUCERS
        producer, seq = i % PRODUCERS, i // PRODUCERS + 1
        report = payload(f"steady-{producer}", seq, "floats", features, BATCH, time.time_ns() // 1000)
        time.sleep(max(0.0, due - time.monotonic()))
        future = calls[producer].future(report, timeout=60)
        future.add_done_callback(lambda _, due=due: taken.append(time.monotonic() - due))
        futures.append(future)
    for future in futures:
        future.result()
    for channel in channels:
        channel.close()
    return taken
