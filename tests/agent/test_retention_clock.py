"""A clock that is wrong for a while makes no row old."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import numpy as np
import pytest

from tenure_agent.builder import Rows, build_reference
from tenure_agent.config import parse_config
from tenure_agent.metrics import Metrics
from tenure_agent.retention import Retention, TrustedClock
from tenure_agent.store import Database, expiry, references
from tenure_agent.store.catalogue import Catalogue
from tenure_proto.v1 import monitoring_pb2 as pb

SECOND, HOUR, DAY = 10**6, 3_600 * 10**6, 86_400 * 10**6
Batch = Callable[..., pb.Batch]
Put = Callable[..., None]


@pytest.mark.parametrize("jump", [3650 * DAY, HOUR + SECOND, -SECOND, -3650 * DAY])
def test_a_jump_of_the_clock_counts_once_it_has_lasted(jump: int) -> None:
    start, minute = 9000 * DAY, 60 * SECOND
    clock = TrustedClock(start)
    assert clock.time(start + minute) == start + minute
    there = start + minute + jump
    assert {clock.time(there + i * minute) for i in range(60)} == {start + minute}
    assert clock.time(there + HOUR) == there + HOUR
    assert clock.time(there + HOUR + minute) == there + HOUR + minute


def test_a_jump_that_is_taken_back_leaves_no_trace() -> None:
    start = 9000 * DAY
    clock = TrustedClock(None)
    assert clock.time(start) == start
    assert clock.time(start + 3650 * DAY) == start
    assert [clock.time(start + i * HOUR) for i in (1, 2, 3)] == [start, start + 2 * HOUR, start + 3 * HOUR]


def test_no_row_expires_for_a_clock_that_was_wrong(
    put: Put, batch: Batch, database: Database, catalogue: Catalogue, metrics: Metrics
) -> None:
    settings = parse_config({"clock": "wall", "store": {"retain": "3d"}}, "a test")
    put(batch({"x": [0.5] * 10}, start=DAY))
    of = build_reference("fraud", "1", Rows({("feature", "x"): np.arange(10.0)}))
    database.write(lambda cursor: references.save(cursor, 1, catalogue.models["fraud"].versions["1"], of, 0)).result()
    for now in (DAY, DAY + HOUR, 4000 * DAY, 4000 * DAY + HOUR // 2, DAY + 2 * HOUR):  # each a restart
        asyncio.run(Retention(database, catalogue, settings, metrics).run(now))
    assert database.read(lambda cursor: cursor.execute("SELECT count(*) FROM rows_1").fetchall()).result() == [(10,)]


def test_notes_of_a_clock_that_was_wrong_are_forgotten(
    database: Database, catalogue: Catalogue, put: Put, batch: Batch
) -> None:
    for now in (4000 * DAY, DAY, 2 * DAY):
        put(batch({"x": [1.0]}))
        database.write(lambda cursor: expiry.note(cursor, catalogue, DAY, now)).result()  # noqa: B023
    found = database.read(lambda cursor: cursor.execute("SELECT * FROM ages ORDER BY 1").fetchall()).result()
    assert found == [(2, DAY), (3, 2 * DAY)]


def test_by_event_time_it_runs_less_often(database: Database, catalogue: Catalogue, metrics: Metrics) -> None:
    settings = [parse_config({"clock": clock, "store": {"retain": "48d"}}, "c") for clock in ("wall", "event")]
    seconds = [Retention(database, catalogue, c, metrics).interval.total_seconds() for c in settings]
    assert seconds == [60, 86_400]
