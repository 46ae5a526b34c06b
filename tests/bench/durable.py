"""Rows per second from producers to the agent's disk, acked; against DuckDB's own bulk insert of the same batches.

Batches of 4,096 rows. A producer keeps four reports on their way, each sent when the agent has queued the one before it, as
the SDK does and through its own transport; beside it one that waits for each ack, as the SDK does with a spool. A hundred
producers, each with one on its way, send from four processes of their own. DuckDB inserts in this process and commits each
batch, with its own defaults and into a new file each round, which is where it is fastest; the agent's file grows.
"""

from __future__ import annotations

import itertools
import multiprocessing
import statistics
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import grpc
import numpy as np
from tests.bench.line import Line
from tests.bench.running import agent

from tenure.producer import Producer
from tenure.transport import CHANNEL_OPTIONS, REPORT, GrpcTransport, Sent
from tenure_proto.v1 import monitoring_pb2 as pb

ROWS, REPORTS, ROUNDS = 4_096, 60, 5
PROCESSES, PRODUCERS = 4, 100
ON_THEIR_WAY = Producer.most_sent

Array = np.ndarray[Any, Any]
Columns = Mapping[str, Array]  # floats with NaN, or objects with None, where missing


def run() -> Iterator[Line]:
    numbers, mixed = floats(20), _mixed()
    with (
        tempfile.TemporaryDirectory() as folder,
        agent(Path(folder)) as address,
        ProcessPoolExecutor(PROCESSES, multiprocessing.get_context("spawn")) as pool,
    ):
        inserted = {
            "bulk insert": partial(_bulk_insert, numbers),
            "bulk insert, mixed": partial(_bulk_insert, mixed),
        }
        reported: dict[str, tuple[Callable[[], float], str, str]] = {
            "one producer": (partial(report, address, numbers, ON_THEIR_WAY), "bulk insert", ">= 0.7"),
            "one producer, one report on its way": (partial(report, address, numbers, 1), "bulk insert", ""),
            "100 producers in 4 processes": (partial(_crowd, pool, address, numbers), "bulk insert", ">= 0.5"),
            "one producer, mixed columns": (
                partial(report, address, mixed, ON_THEIR_WAY),
                "bulk insert, mixed",
                ">= 0.5",
            ),
        }
        sides = inserted | {name: side for name, (side, _, _) in reported.items()}
        taken: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(ROUNDS):
            for name, side in sides.items():
                taken[name].append(side())
    rates = {name: statistics.median(rounds) for name, rounds in taken.items()}
    for name in inserted:
        yield Line("durable", f"DuckDB {name}, a commit per batch", rates[name], "rows/s")
    for name, (_, base, target) in reported.items():
        yield Line("durable", f"agent, {name}", rates[name], "rows/s", base, rates[name] / rates[base], target)


def floats(count: int, rows: int = ROWS) -> Columns:
    rng = np.random.default_rng(7)
    return {f"n{i}": rng.normal(size=rows) for i in range(count)}


def _mixed() -> Columns:
    """Ten floats, five texts, five booleans, and one value in twenty missing."""
    rng = np.random.default_rng(7)
    words = np.array([f"category {i}" for i in range(20)], object)
    texts = {f"t{i}": words[rng.integers(0, len(words), ROWS)] for i in range(5)}
    booleans = {f"b{i}": rng.integers(0, 2, ROWS).astype(float) for i in range(5)}
    columns = {**floats(10), **texts, **booleans}
    for values in columns.values():
        values[rng.random(ROWS) < 0.05] = None if values.dtype == object else np.nan
    return columns


def _bulk_insert(columns: Columns) -> float:
    kinds = {name: "VARCHAR" if values.dtype == object else "DOUBLE" for name, values in columns.items()}
    declared = ", ".join(f"{name} {kind}" for name, kind in kinds.items())
    names = ", ".join(["time", "id", *columns])
    ids = np.empty(ROWS, object)
    shown = {n: np.ma.masked_invalid(v) if kinds[n] == "DOUBLE" else v for n, v in columns.items()}
    with tempfile.TemporaryDirectory() as folder, duckdb.connect(f"{folder}/plain.duckdb") as connection:
        connection.execute(f"CREATE TABLE rows (time BIGINT, id VARCHAR, {declared})")
        started = time.perf_counter()
        for number in range(REPORTS):
            ids[:] = [f"p-{number}-{row}" for row in range(ROWS)]
            connection.register("incoming", {"time": np.arange(ROWS), "id": ids, **shown})
            connection.execute(f"INSERT INTO rows ({names}) SELECT {names} FROM incoming")
            connection.unregister("incoming")
        return ROWS * REPORTS / (time.perf_counter() - started)


_names = itertools.count()


def report(address: str, columns: Columns, on_their_way: int) -> float:
    """One producer's, from this thread."""
    model = "mixed" if any(values.dtype == object for values in columns.values()) else "floats"
    payloads = _payloads(f"one-{next(_names)}", model, columns, REPORTS)
    transport, sent = GrpcTransport(address), deque[Sent]()
    started = time.perf_counter()
    for seq, payload in enumerate(payloads, 1):
        if sent and not sent[-1].queued():
            raise AssertionError(f"report {seq - 1} was not queued")
        sent.append(transport.send(payload, 60.0))
        if len(sent) == on_their_way:
            sent.popleft().reply()
    while sent:
        sent.popleft().reply()
    taken = time.perf_counter() - started
    transport.close()
    return ROWS * REPORTS / taken


def _crowd(pool: ProcessPoolExecutor, address: str, columns: Columns) -> float:
    """Every producer sends the same number of reports; the clock runs from the first that starts to the last that ends."""
    each, reports = PRODUCERS // PROCESSES, 2
    tasks = [pool.submit(_producers, address, columns, each, reports, next(_names)) for _ in range(PROCESSES)]
    times = [task.result() for task in tasks]
    taken = max(ended for _, ended in times) - min(started for started, _ in times)
    return ROWS * PRODUCERS * reports / taken


def _producers(address: str, columns: Columns, count: int, reports: int, number: int) -> tuple[float, float]:
    """Producers with a connection and a thread each; when they began and ended."""
    lanes = [_payloads(f"crowd-{number}-{i}", "floats", columns, reports) for i in range(count)]

    def send(lane: Sequence[bytes]) -> None:
        with grpc.insecure_channel(address, options=CHANNEL_OPTIONS) as channel:
            call: Any = channel.unary_unary(REPORT, response_deserializer=pb.ReportReply.FromString)
            for payload in lane:
                _send(call, payload)

    with ThreadPoolExecutor(count) as threads:
        started = time.monotonic()
        list(threads.map(send, lanes))
        return started, time.monotonic()


def _send(call: Callable[..., object], payload: bytes) -> None:
    """As the agent asks: a little later where its queue is full."""
    while True:
        try:
            call(payload, timeout=60)
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                raise
            told = {item.key: item.value for item in error.trailing_metadata()}
            time.sleep(int(told["retry-after-ms"]) / 1000)
        else:
            return


def payload(producer: str, seq: int, model: str, features: Sequence[pb.Column], rows: int, start: int = 0) -> bytes:
    """A report of one batch, encoded; its first row's time is `start`, in microseconds since 1970 UTC."""
    counters = np.arange((seq - 1) * rows, seq * rows)
    batch = pb.Batch(model=model, version="1", rows=rows, features=features)
    batch.times, batch.ids.counters = (start + counters).astype("<i8").tobytes(), counters.astype("<u8").tobytes()
    batch.ids.prefix = producer
    return pb.ReportRequest(producer_id=producer, seq=seq, batches=[batch]).SerializeToString()


def _payloads(producer: str, model: str, columns: Columns, reports: int) -> list[bytes]:
    features = encoded(columns)
    return [payload(producer, report + 1, model, features, ROWS) for report in range(reports)]


def encoded(columns: Columns) -> list[pb.Column]:
    return [_column(name, values) for name, values in columns.items()]


def _column(name: str, values: Array) -> pb.Column:
    if values.dtype != object:
        kind = pb.BOOLEAN if name.startswith("b") else pb.NUMBER
        return pb.Column(name=name, kind=kind, numbers=values.astype("<f8").tobytes())
    present = np.array([text is not None for text in values])
    words, codes = np.unique(np.where(present, values, "").astype(str), return_inverse=True)
    validity = np.packbits(present, bitorder="little").tobytes()
    return pb.Column(
        name=name, kind=pb.TEXT, texts=words.tolist(), codes=codes.astype("<u4").tobytes(), validity=validity
    )
