"""Four preloaded gunicorn workers under HTTP load, the agent killed and started in between: the account is exact."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from tenure_agent.asking import NoAnswer, ask

DEADLINE = 60.0
CLIENTS, REQUESTS = 4, 150
APP = """
import atexit, json, os, pathlib
import tenure

monitor = tenure.Monitor("served", settings=tenure.Settings.from_environment().replace(flush_interval=0.01))
predict = monitor.watch(lambda features: 0.5)
predict({"x": 0.0})  # the master's own: its sender runs while it forks


def told():
    if os.environ.get("TOLD"):
        monitor.close(1.0)
        stats = monitor.stats()
        row = [stats.emitted, stats.acked, stats.queued, dict(stats.dropped)]
        pathlib.Path(os.environ["TOLD"], f"{os.getpid()}.json").write_text(json.dumps(row))


atexit.register(told)


def app(environ, start_response):
    predict({"x": 1.0})
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""


def start_agent(folder: Path) -> subprocess.Popen[bytes]:
    config = folder / "tenure.yaml"
    config.write_text(f"listen: unix:{folder}/a.sock\nhttp: 127.0.0.1:0\nstore: {{path: {folder}/t.duckdb}}\n")
    agent = subprocess.Popen([sys.executable, "-m", "tenure_agent", "run", "--config", config, "--log-level", "error"])
    deadline = time.monotonic() + DEADLINE
    while True:
        try:
            ask(f"unix:{folder}/a.sock", "progress", timeout=1.0)
        except NoAnswer:
            assert agent.poll() is None
            assert time.monotonic() < deadline
        else:
            return agent


def listening_port(log: Path, server: subprocess.Popen[bytes]) -> int:
    deadline = time.monotonic() + DEADLINE
    while (found := re.search(r"Listening at: http://127.0.0.1:(\d+)", log.read_text())) is None:
        assert server.poll() is None, log.read_text()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return int(found[1])


def load(socket: int, answered: list[int], gate: threading.Barrier) -> None:
    for part in range(3):
        gate.wait(DEADLINE)
        for _ in range(REQUESTS // 3):
            connection = http.client.HTTPConnection("127.0.0.1", socket, timeout=DEADLINE)
            connection.request("GET", "/")
            assert connection.getresponse().read() == b"ok"
            connection.close()
            answered.append(part)


def test_preloaded_workers_account_for_every_request(tmp_path: Path) -> None:
    (tmp_path / "served.py").write_text(APP)
    (tmp_path / "told").mkdir()
    agent = start_agent(tmp_path)
    environment = {**os.environ, "TENURE_AGENT": f"unix:{tmp_path}/a.sock", "TOLD": str(tmp_path / "told")}
    command = [sys.executable, "-W", "ignore", "-m", "gunicorn", "--preload", "-w", "4", "-b", "127.0.0.1:0"]
    command += ["--no-control-socket", "served:app"]
    log = tmp_path / "gunicorn.log"
    with log.open("wb") as output:
        server = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=output)
    try:
        port = listening_port(log, server)
        answered: list[int] = []
        gate = threading.Barrier(CLIENTS + 1)
        clients = [threading.Thread(target=load, args=(port, answered, gate), daemon=True) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        gate.wait(DEADLINE)
        gate.wait(DEADLINE)  # a third is served; it is killed in the middle of the second
        agent.kill()
        agent.wait(DEADLINE)
        gate.wait(DEADLINE)
        agent = start_agent(tmp_path)
        for client in clients:
            client.join(DEADLINE)
        server.send_signal(signal.SIGTERM)
        server.wait(DEADLINE)

        told = [json.loads(path.read_text()) for path in (tmp_path / "told").iterdir()]
        emitted, acked, queued = (sum(row[i] for row in told) for i in range(3))
        dropped = sum(rows for row in told for rows in row[3].values())
        assert len(told) == 5
        assert emitted == CLIENTS * (REQUESTS // 3) * 3 + 1 == len(answered) + 1
        assert emitted == acked + queued + dropped
        stored = ask(f"unix:{tmp_path}/a.sock", "status")["stored"]
        assert acked <= stored <= acked + dropped + queued  # what was on its way at the end may be stored too
        assert acked > 0
    finally:
        server.kill()
        server.wait(DEADLINE)
        agent.kill()
        agent.wait(DEADLINE)
