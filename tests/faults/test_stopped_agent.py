"""A hung agent: the host's threads call on, nothing waits for it, every row is accounted for, memory stays bounded."""

import os
import signal
import subprocess
import sys
import time
from typing import Any

import duckdb
import pytest

CALLS = 50_000

PROGRAM = """
import os, socket, sys, threading, time
import tenure

listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()  # it connects, and nobody ever answers
calls = int(sys.argv[2])
monitor = tenure.Monitor("m", settings=tenure.Settings(agent=f"unix:{sys.argv[1]}", queue_bytes=1 << 20))
predict = monitor.watch(lambda features: 0.5)


def serve():
    for number in range(calls):
        predict({"x": float(number)})


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def traffic():
    threads = [threading.Thread(target=serve) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stats = monitor.stats()
    assert stats.emitted == stats.acked + stats.queued + sum(stats.dropped.values())
    return stats


assert traffic().emitted == 4 * calls
before = resident()
stats = traffic()
assert stats.emitted == 8 * calls and stats.acked == 0, stats
assert set(stats.dropped) == {"queue_full"} and stats.dropped["queue_full"] == 8 * calls - stats.queued, stats
grown = resident() - before
assert grown < 64 << 20, grown
print(time.monotonic())
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads /proc")  # noqa: PTH110
def test_four_threads_against_a_hung_agent(tmp_path: os.PathLike[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, f"{tmp_path}/a.sock", str(CALLS)],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    ended = time.monotonic()
    assert done.returncode == 0, done.stderr
    assert ended - float(done.stdout) < 2.0  # the exit, with its queue full and nobody answering


def test_stopped_for_five_seconds_it_goes_on_and_nothing_is_lost_uncounted(started: Any, traffic: Any) -> None:
    agent = started()
    roomy, tight = traffic(agent, "roomy"), traffic(agent, "tight", queue_bytes=64 << 10, queue_rows=1000)
    for flow in (roomy, tight):
        flow.until_acked()
        flow.slowest = 0.0
    agent.signal(signal.SIGSTOP)
    time.sleep(5)
    for flow in (roomy, tight):
        assert flow.slowest < 2.0, "a call waited for the agent"
        flow.acked()
    agent.signal(signal.SIGCONT)
    for flow in (roomy, tight):
        flow.until_acked()
    acked = tight.end()
    dropped = tight.monitor.stats().dropped
    assert set(dropped) == {"queue_full"}
    roomy.stored_once()
    with duckdb.connect(str(agent.database), read_only=True) as connection:
        query = "SELECT count(*), count(DISTINCT id) FROM rows_{} WHERE id IS NOT NULL"
        (number,) = connection.execute("SELECT model FROM models WHERE name = 'tight'").fetchall()[0]
        assert connection.execute(query.format(number)).fetchone() == (acked, acked)
