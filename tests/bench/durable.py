"""Rows per second from a producer to the agent's disk, acked; against DuckDB's own bulk insert of the same batches.

20 float columns, batches of 4,096 rows, one producer that sends the next report when the last is acked (as the SDK
does) and one that keeps a few on their way (as relays do).
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import grpc
import numpy as np
from tests.bench.line import Line
from tests.bench.running import agent

from tenure.transport import CHANNEL_OPTIONS, REPORT
from tenure_proto.v1 import monitoring_pb2 as pb

ROWS, REPORTS, ROUNDS, COLUMNS = 4_096, 60, 5, 20


def run() -> Iterator[Line]:
    rng = np.random.default_rng(7)
    blocks = [rng.normal(size=ROWS) for _ in range(COLUMNS)]
    inserted, one, several = [], [], []
    with tempfile.TemporaryDirectory() as folder, agent(Path(folder)) as address:
        for turn in range(ROUNDS):
            inserted.append(_bulk_insert(Path(folder) / f"plain{turn}.duckdb", blocks))
            one.append(_report(address, f"one-{turn}", blocks, 1))
            several.append(_report(address, f"several-{turn}", blocks, 4))
    base = statistics.median(inserted)
    yield Line("durable", "DuckDB bulk insert, a commit per batch", base, "rows/s")
    for name, taken in (("agent, one report on its way", one), ("agent, four reports on their way", several)):
        rate = statistics.median(taken)
        yield Line("durable", name, rate, "rows/s", "bulk insert", rate / base, ">= 0.7")


def _bulk_insert(path: Path, blocks: list[np.ndarray[tuple[int], np.dtype[np.float64]]]) -> float:
    connection = duckdb.connect(str(path), config={"threads": 2})
    columns = ", ".join(f"n{i} DOUBLE" for i in range(COLUMNS))
    connection.execute(f"CREATE TABLE rows (time BIGINT, id VARCHAR, {columns})")
    names = ", ".join(["time", "id", *(f"n{i}" for i in range(COLUMNS))])
    ids = np.empty(ROWS, object)
    started = time.perf_counter()
    for report in range(REPORTS):
        ids[:] = [f"p-{report}-{row}" for row in range(ROWS)]
        arrays = {"time": np.arange(ROWS), "id": ids, **{f"n{i}": block for i, block in enumerate(blocks)}}
        connection.register("incoming", arrays)
        connection.execute(f"INSERT INTO rows ({names}) SELECT {names} FROM incoming")
        connection.unregister("incoming")
    taken = time.perf_counter() - started
    connection.close()
    return ROWS * REPORTS / taken


def _report(
    address: str, producer: str, blocks: list[np.ndarray[tuple[int], np.dtype[np.float64]]], width: int
) -> float:
    features = [pb.Column(name=f"f{i}", numbers=block.astype("<f8").tobytes()) for i, block in enumerate(blocks)]
    payloads = []
    for report in range(REPORTS):
        start = report * ROWS
        batch = pb.Batch(model="bench", version="1", rows=ROWS, features=features)
        batch.times = np.arange(start, start + ROWS).astype("<i8").tobytes()
        batch.ids.prefix = producer
        batch.ids.counters = np.arange(start, start + ROWS).astype("<u8").tobytes()
        name = f"{producer}-{report % width}"
        payloads.append(
            pb.ReportRequest(producer_id=name, seq=report // width + 1, batches=[batch]).SerializeToString()
        )
    with grpc.insecure_channel(address, options=CHANNEL_OPTIONS) as channel, ThreadPoolExecutor(width) as pool:
        call: Any = channel.unary_unary(
            REPORT, request_serializer=None, response_deserializer=pb.ReportReply.FromString
        )
        started = time.perf_counter()
        lanes = [payloads[lane::width] for lane in range(width)]
        list(pool.map(lambda lane: [call(payload, timeout=60) for payload in lane], lanes))
        return ROWS * REPORTS / (time.perf_counter() - started)
