"""A hung agent: four threads call on, nothing waits for it, every row is accounted for, memory stays bounded."""

import os
import subprocess
import sys
import time

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
