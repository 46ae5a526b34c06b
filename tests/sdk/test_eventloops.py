"""Hosts that run on an event loop: every task has its own ids, all is acked, and a hung agent does not stop the loop.

A call may take longer than the test (`deadline`): a loop that waited for one would never wake the agent again.
"""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from tenure_agent.asking import NoAnswer, ask

DEADLINE = 60.0
TASKS = 100

ASYNCIO = """
import asyncio, json, os, signal, sys
import tenure

address, agent, tasks = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
settings = tenure.Settings(agent=address, flush_interval=0.001, deadline=100.0)
monitor = tenure.Monitor("m", settings=settings)
gate = asyncio.Event()
ids = {}


@monitor.watch
async def predict(features):
    before = tenure.prediction_id()
    await gate.wait()  # all of them are under way at once
    assert tenure.prediction_id() == before
    return features["x"]


async def serve(number):
    assert await predict({"x": number}) == number
    ids[tenure.prediction_id()] = number


async def main():
    assert LOOP in type(asyncio.get_running_loop()).__module__
    os.kill(agent, signal.SIGSTOP)
    serving = [asyncio.create_task(serve(float(number))) for number in range(tasks)]
    await asyncio.sleep(0.01)
    gate.set()
    await asyncio.gather(*serving)
    while not monitor._batcher._backlog.sent:
        await asyncio.sleep(0.001)
    flushing = asyncio.create_task(asyncio.to_thread(monitor.flush, 50.0))
    await asyncio.sleep(0.01)
    os.kill(agent, signal.SIGCONT)
    assert await flushing


RUN
stats = monitor.stats()
assert stats.emitted == stats.acked == tasks and not stats.dropped, stats
print(json.dumps(ids))
"""

GEVENT = """
import sys
EARLY
import gevent.monkey
gevent.monkey.patch_all()
import gevent, gevent.event, json, os, signal, threading
import tenure

address, agent, tasks = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
if "monitor" not in globals():
    monitor = tenure.Monitor("m", settings=tenure.Settings(agent=address, flush_interval=0.001, deadline=100.0))
gate = gevent.event.Event()
ids = {}


@monitor.watch
def predict(features):
    before = tenure.prediction_id()
    gate.wait()
    assert tenure.prediction_id() == before
    return features["x"]


def serve(number):
    assert predict({"x": number}) == number
    ids[tenure.prediction_id()] = number


os.kill(agent, signal.SIGSTOP)
serving = [gevent.spawn(serve, float(number)) for number in range(tasks)]
gevent.sleep(0.01)
gate.set()
gevent.joinall(serving, raise_error=True)
while not monitor._batcher._backlog.sent:
    gevent.sleep(0.001)
flushing = gevent.spawn(monitor.flush, 50.0)
gevent.sleep(0.01)  # it waits in a thread of its own
os.kill(agent, signal.SIGCONT)
assert flushing.get()
child = os.fork()
if not child:
    signal.alarm(60)
    predict({"x": -1.0})
    os._exit(0 if monitor.flush(50.0) and monitor.close() else 1)
while (ended := os.waitpid(child, os.WNOHANG))[0] == 0:
    gevent.sleep(0.01)
assert ended == (child, 0), ended
stats = monitor.stats()
assert stats.emitted == stats.acked == tasks and not stats.dropped, stats
print(json.dumps(ids))
"""
EARLY = """
import tenure
settings = tenure.Settings(agent=sys.argv[1], flush_interval=0.001, deadline=100.0)
monitor = tenure.Monitor("m", settings=settings)  # as where gunicorn loads the application before it forks its workers
"""

# However the host ran, it ends with rows in its queue and an agent that hangs.
HUNG = """
os.kill(agent, signal.SIGSTOP)
monitor.record({"x": -2.0}, 0.5)
"""

PROGRAMS = {
    "asyncio": ASYNCIO.replace("LOOP", "'asyncio'").replace("RUN", "asyncio.run(main())"),
    "uvloop": ASYNCIO.replace("LOOP", "'uvloop'").replace("RUN", "import uvloop\nuvloop.run(main())"),
    "gevent": GEVENT.replace("EARLY", ""),
    "gevent, late": GEVENT.replace("EARLY", EARLY),
}


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    config = tmp_path / "tenure.yaml"
    config.write_text(f"listen: unix:{tmp_path}/a.sock\nhttp: 127.0.0.1:0\nstore: {{path: {tmp_path}/t.duckdb}}\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "tenure_agent", "run", "--config", config, "--log-level", "error"]
    )
    deadline = time.monotonic() + DEADLINE
    try:
        while True:
            try:
                ask(f"unix:{tmp_path}/a.sock", "progress", timeout=1.0)
                break
            except NoAnswer:
                assert process.poll() is None
                assert time.monotonic() < deadline
        yield process
    finally:
        process.kill()
        process.wait(DEADLINE)


@pytest.mark.parametrize("host", PROGRAMS)
def test_a_loop_is_not_held_up_and_loses_nothing(agent: subprocess.Popen[bytes], tmp_path: Path, host: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAMS[host] + HUNG, f"unix:{tmp_path}/a.sock", str(agent.pid), str(TASKS)],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    agent.send_signal(signal.SIGCONT)
    agent.terminate()
    assert agent.wait(DEADLINE) == 0
    told = json.loads(done.stdout)
    assert len(told) == TASKS
    with duckdb.connect(str(tmp_path / "t.duckdb"), read_only=True) as connection:
        rows = connection.execute("SELECT id, n1 FROM rows_1 WHERE n1 >= 0").fetchall()
    assert len(rows) == TASKS
    assert dict(rows) == told
