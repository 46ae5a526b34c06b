"""Forks under traffic: a child starts afresh, the parent loses nothing."""

import subprocess
import sys

# Each child has an alarm: one that hangs dies of it, and its status says so.
PROGRAM = """
import os, signal, sys, threading, traceback
from tenure.backlog import Stats
from tenure.batcher import Batcher
from tenure.capture import Row, Stream
from tenure.settings import Settings
from tenure.testing import MemoryTransport

agent = MemoryTransport()
batcher = Batcher(Settings(flush_interval=0.001), lambda: agent)
stop = threading.Event()
put = [0] * 3
enough = threading.Semaphore(0)


def row(counter):
    return Row(Stream("m", "1"), {"x": 1.0}, 0.5, 1000, counter)


def serve(thread):
    while not stop.is_set():
        batcher.put(row(put[thread]))
        put[thread] += 1
        if put[thread] % 100 == 0:
            enough.release()


def live_as_child(parent):
    assert batcher.stats("m") == Stats(0, 0, 0, {}), batcher.stats("m")
    assert batcher.prefix != parent
    agent.reports.clear()
    for i in range(3):
        batcher.put(row(i))
    assert batcher.flush(60)
    assert batcher.stats("m") == Stats(3, 3, 0, {}), batcher.stats("m")
    assert {report.producer_id for report in agent.reports} == {batcher.prefix}
    assert [report.seq for report in agent.reports] == list(range(1, len(agent.reports) + 1))
    assert [found["id"] for found in agent.predictions("m")] == [f"{batcher.prefix}-{i}" for i in range(3)]


threads = [threading.Thread(target=serve, args=(i,), daemon=True) for i in range(len(put))]
for thread in threads:
    thread.start()
prefix = batcher.prefix
for _ in range(20):
    assert enough.acquire(timeout=60)
    child = os.fork()
    if not child:
        status = 1
        signal.alarm(60)
        try:
            live_as_child(prefix)
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
assert batcher.flush(60)
stats = batcher.stats("m")
dropped = sum(stats.dropped.values())
assert stats == Stats(sum(put), sum(put) - dropped, 0, stats.dropped), stats
assert batcher.prefix == prefix
assert [report.seq for report in agent.reports] == list(range(1, len(agent.reports) + 1))
assert len(agent.predictions("m")) == stats.acked
print("20 forks")
"""


def test_fork_under_traffic() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", PROGRAM],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )

    assert done.stderr == ""
    assert (done.returncode, done.stdout) == (0, "20 forks\n")
