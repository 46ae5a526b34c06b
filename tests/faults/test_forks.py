"""Forks under traffic against a real agent, every second one with the agent stopped: none hangs, none crashes."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

FORKS = int(os.environ.get("TENURE_FAULTS", "100"))

# Each child has an alarm: one that hangs dies of it, and its status says so.
PROGRAM = """
import os, signal, subprocess, sys, threading, time
import tenure
from tenure_agent.asking import NoAnswer, ask

folder, forks, batch_bytes = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
address = f"unix:{folder}/a.sock"
with open(f"{folder}/tenure.yaml", "w") as config:
    config.write(f"listen: {address}\\nhttp: 127.0.0.1:0\\nstore: {{path: {folder}/t.duckdb}}\\n")
command = [sys.executable, "-m", "tenure_agent", "run", "--config", f"{folder}/tenure.yaml", "--log-level", "error"]
agent = subprocess.Popen(command)
try:
    until = time.monotonic() + 60
    while True:
        try:
            ask(address, "progress", timeout=1)
            break
        except NoAnswer:
            assert agent.poll() is None and time.monotonic() < until
    settings = tenure.Settings(agent=address, flush_interval=0.005, batch_bytes=batch_bytes)
    monitor = tenure.Monitor("forked", settings=settings)
    stop = threading.Event()

    @monitor.watch
    def predict(features):
        return 0.5

    def serve():
        while not stop.wait(0.0005):
            predict({"x": 1.0})

    threads = [threading.Thread(target=serve, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    slowest = 0.0
    for number in range(forks):
        if number % 2:
            agent.send_signal(signal.SIGSTOP)
        before = time.monotonic()
        child = os.fork()
        if not child:
            signal.alarm(60)
            status = 1
            try:
                predict({"x": 2.0})
                if number % 2:
                    monitor.flush(0.02)
                    status = 0 if not monitor.close(0.02) else 2
                else:
                    status = 0 if monitor.flush(50) and monitor.close(1) else 3
            finally:
                os._exit(status)
        slowest = max(slowest, time.monotonic() - before)
        _, status = os.waitpid(child, 0)
        agent.send_signal(signal.SIGCONT)
        assert status == 0, (number, status)
    stop.set()
    for thread in threads:
        thread.join(60)
    assert monitor.flush(60), monitor.stats()
    stats = monitor.stats()
    assert stats.queued == 0 and stats.emitted == stats.acked + sum(stats.dropped.values()), stats
    ours = stats.acked + (forks + 1) // 2
    stored = ask(address, "status")["stored"]
    # a stopped agent may still find a child's one row in its socket when it goes on
    assert ours <= stored <= ours + forks // 2, (ours, stored)
    print(f"forks {forks} slowest {slowest:.3f}")
finally:
    agent.kill()
    agent.wait(60)
"""


@pytest.mark.parametrize(
    ("forks", "batch_bytes"), [(FORKS, 1 << 20), (FORKS // 2, 1000)], ids=["one report on its way", "several"]
)
def test_forks_under_traffic_with_the_agent_stopped_half_of_the_time(
    tmp_path: Path, forks: int, batch_bytes: int
) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "ignore::DeprecationWarning",
            "-c",
            PROGRAM,
            str(tmp_path),
            str(forks),
            str(batch_bytes),
        ],
        check=False,
        capture_output=True,
        text=True,
        timeout=300 + 3 * forks,
    )
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(rf"forks {forks} slowest [\d.]+\n", done.stdout)
    print(done.stdout)
