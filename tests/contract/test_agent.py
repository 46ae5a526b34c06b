"""A monitor and a real agent, with nothing faked between them: stored is what was acked."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import grpc
import pandas as pd
import polars as pl
import pytest

from tenure import Monitor, Settings, Stats
from tenure_proto.v1 import monitoring_pb2 as pb
from tenure_proto.v1 import monitoring_pb2_grpc as wire

DEADLINE = 60.0


@pytest.fixture
def address(agent: tuple[str, int]) -> str:
    return agent[0]


@pytest.fixture
def monitor(address: str) -> Iterator[Monitor]:
    """A monitor of a model of the test's own, as a host makes it."""
    with Monitor(f"model {uuid4()}", agent=address, settings=Settings(flush_interval=0.001)) as monitor:
        yield monitor


def stored(address: str, model: str) -> tuple[int, int]:
    """Predictions and outcomes."""
    with grpc.insecure_channel(address) as channel:
        reply = wire.OperatorStub(channel).Ask(pb.AskRequest(verb="status"), timeout=DEADLINE)
    held = json.loads(reply.answer)["models"].get(model, {"predictions": [], "outcomes": 0})
    return sum(rows["rows"] for rows in held["predictions"]), held["outcomes"]


ROWS = [{"order": "A", "amount": 12.5, "country": "NL"}, {"order": "B", "amount": None, "country": None}]


@pytest.mark.parametrize("table", [ROWS, pd.DataFrame(ROWS), pl.DataFrame(ROWS)], ids=["list", "pandas", "polars"])
def test_predictions_and_outcomes(monitor: Monitor, address: str, table: Any) -> None:
    watched = monitor.watch(id="order")(lambda given: [0.5] * len(given))
    watched(table)
    watched({"order": "C\0", "amount": "much", "\ud800": float("inf"), "\0": True})
    monitor.record({}, {"a": 0.9, "b": 0.1}, version="2", role="shadow")
    monitor.outcome(["A", "B", "C\0"], label=[1, "fraud", None], value=2.5)

    assert monitor.flush(DEADLINE)
    assert monitor.stats() == Stats(emitted=7, acked=7, queued=0, dropped={})
    assert stored(address, monitor.model) == (4, 3)


def test_a_refused_batch_is_counted_by_its_monitor(monitor: Monitor, address: str) -> None:
    monitor.record({"x": 1}, 0.5, version="")
    monitor.outcome("A", label=1)

    assert monitor.flush(DEADLINE)
    assert monitor.stats() == Stats(emitted=2, acked=1, queued=0, dropped={"rejected": 1})
    assert stored(address, monitor.model) == (0, 1)


FORKS, CHILD_ROWS = 15, 5
# Each child has an alarm: one that hangs dies of it, and its status says so.
PROGRAM = f"""
import os, signal, sys, threading, traceback
from tenure import Monitor, Settings, Stats

monitor = Monitor(sys.argv[2], agent=sys.argv[1], settings=Settings(flush_interval=0.001))
predict = monitor.watch(lambda features: 0.5)
stop, enough = threading.Event(), threading.Semaphore(0)
served = [0] * 2


def serve(thread):
    while not stop.is_set():
        predict({{"x": served[thread]}})
        served[thread] += 1
        if served[thread] % 200 == 0:
            enough.release()


threads = [threading.Thread(target=serve, args=(i,), daemon=True) for i in range(len(served))]
for thread in threads:
    thread.start()
for _ in range({FORKS}):
    assert enough.acquire(timeout=60)
    child = os.fork()
    if not child:
        status = 1
        signal.alarm(60)
        try:
            assert monitor.stats() == Stats(0, 0, 0, {{}}), monitor.stats()
            for i in range({CHILD_ROWS}):
                predict({{"x": i}})
            assert monitor.flush(60)
            assert monitor.stats() == Stats({CHILD_ROWS}, {CHILD_ROWS}, 0, {{}}), monitor.stats()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)
    _, status = os.waitpid(child, 0)
    assert status == 0, status
stop.set()
for thread in threads:
    thread.join(60)
assert monitor.flush(60)
stats = monitor.stats()
assert stats.emitted == sum(served) == stats.acked + sum(stats.dropped.values()), (stats, served)
print(stats.acked)
"""


def test_forks_under_traffic(address: str) -> None:
    model = f"model {uuid4()}"

    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", PROGRAM, address, model],
        check=False,
        capture_output=True,
        text=True,
        timeout=600,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert stored(address, model) == (int(done.stdout) + FORKS * CHILD_ROWS, 0)
