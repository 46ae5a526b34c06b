"""A stored history to check: rows of float columns in an agent's own database, and a reference of rows like them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tests.bench.durable import encoded

from tenure_agent.builder import Rows, build_reference
from tenure_agent.reference import Reference
from tenure_agent.store import Database, predictions
from tenure_agent.store.catalogue import Catalogue
from tenure_agent.store.database import Cursor
from tenure_agent.wire import decode_batch
from tenure_proto.v1 import monitoring_pb2 as pb

Array = np.ndarray[Any, Any]
MODEL, COLUMNS, REFERENCE_ROWS = "bench", 20, 50_000
START, EVERY = 1_767_225_600_000_000, 1000  # the first row, and microseconds between two: 1,000 rows/s
BATCH = 10_000


def values(rows: int, seed: int, columns: int = COLUMNS) -> dict[str, Array]:
    """Log-normal and normal columns in turn."""
    rng = np.random.default_rng(seed)
    draws = (rng.lognormal, rng.normal)
    return {f"n{i}": draws[i % 2](size=rows) for i in range(columns)}


def reference() -> Reference:
    rows = {("feature", name): column for name, column in values(REFERENCE_ROWS, 1).items()}
    return build_reference(MODEL, "1", Rows(rows), span=(START - REFERENCE_ROWS * EVERY, START))


def batches(rows: int) -> Iterator[pb.Batch]:
    """Reports of 10,000 rows."""
    for first in range(0, rows, BATCH):
        counters = np.arange(first, first + BATCH)
        batch = pb.Batch(model=MODEL, version="1", rows=BATCH, features=encoded(values(BATCH, 2 + first)))
        batch.times, batch.ids.counters = (START + counters * EVERY).tobytes(), counters.astype("<u8").tobytes()
        batch.ids.prefix = "p"
        yield batch


def store(path: Path, rows: int) -> None:
    """Write rows as the agent does."""
    database = Database(path)
    catalogue = database.read(Catalogue).result()
    for number, batch in enumerate(batches(rows), 1):

        def write(cursor: Cursor, number: int = number, batch: pb.Batch = batch) -> None:
            predictions.append(cursor, catalogue, [(number, decode_batch(batch))], START)

        database.write(write).result()
    database.close()
