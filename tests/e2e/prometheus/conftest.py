"""One real agent with a history, and one real Prometheus that scraped it: started once, asked by every test here."""

from __future__ import annotations

import json
import random
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, TypeVar

import pytest
from ruamel.yaml import YAML

import tenure
from tenure.settings import Settings
from tenure.transport import GrpcTransport
from tenure_agent.asking import NoAnswer, ask
from tenure_agent.control.webhook import new_secret
from tenure_proto.v1 import monitoring_pb2 as pb

T = TypeVar("T")
Series = list[dict[str, Any]]
PROMETHEUS = Path(__file__).parents[3] / "deploy" / "prometheus"
DEADLINE = 60.0  # for anything to happen; usually it takes a second or two
REVIEW = {"every": "1s", "window": "10s", "min_rows": 100}
QUALITY = {"metric": "accuracy", "minimum": 0.9, "min_labels": 100, "open_after": 1, "close_after": 1}


def until(what: str, found: Callable[[], T | None]) -> T:
    """The first answer that is not None; fails the test once the deadline has passed."""
    deadline = time.monotonic() + DEADLINE
    while (answer := found()) is None:
        if time.monotonic() > deadline:
            pytest.fail(f"waited {DEADLINE:g} s in vain for {what}")
        time.sleep(0.1)
    return answer


@pytest.fixture
def eventually() -> Callable[[str, Callable[[], T | None]], T]:
    """`until`, for tests."""
    return until


@pytest.fixture(scope="session")
def program() -> Callable[[str], str]:
    """Path of a program of Debian's package; the tests fail without it, they are not skipped."""

    def find(name: str) -> str:
        path = shutil.which(name)
        if path is None:
            pytest.fail(f"{name} is not installed. Try: apt-get install prometheus (the package holds promtool too)")
        return path

    return find


@pytest.fixture(scope="session")
def story(tmp_path_factory: pytest.TempPathFactory, program: Callable[[str], str]) -> Iterator[dict[str, str]]:
    """The base URLs of an agent and a Prometheus, after everything the dashboard shows has happened.

    And what the alert on drift said while there was some: it ends.
    """
    home = tmp_path_factory.mktemp("agent")
    with ExitStack() as stack:
        endpoint = stack.enter_context(HTTPServer(("127.0.0.1", 0), _Gone, bind_and_activate=False))
        endpoint.server_bind()  # bound, and not listening yet: connections are refused
        absent = stack.enter_context(socket.socket())
        absent.bind(("127.0.0.1", 0))
        (home / "tenure.yaml").write_text(json.dumps(_configuration(endpoint.server_port)))  # JSON is YAML
        (home / "control.secret").write_text(new_secret())
        command = [str(Path(sys.executable).with_name("tenure-agent")), "run", "--config", "tenure.yaml"]
        stack.enter_context(_running(command, home))
        address = f"unix:{home / 'tenure.sock'}"
        scraped = until("the agent to answer", lambda: _http_address(address))
        targets = [scraped, f"127.0.0.1:{absent.getsockname()[1]}"]
        base = stack.enter_context(_prometheus(program("prometheus"), home, targets))
        seen = _watcher(base)
        seen("tenure_missed_reports_total == 0")
        monitor, alerts = _tell(address, base)
        stack.callback(monitor.close)
        seen('ALERTS{alertname="TenureDecisionPending"}')
        endpoint.server_activate()
        threading.Thread(target=endpoint.serve_forever, args=(0.05,), daemon=True).start()
        stack.callback(endpoint.shutdown)
        yield {"agent": f"http://{scraped}", "prometheus": base, "drift": alerts}


@pytest.fixture
def seen(story: dict[str, str]) -> Callable[[str], Series]:
    """The series of a PromQL expression, waited for until there are any."""
    return _watcher(story["prometheus"])


@pytest.fixture
def api(story: dict[str, str]) -> Callable[..., Any]:
    """The data of one call of Prometheus' HTTP API."""
    return lambda path, **parameters: _api(story["prometheus"], path, parameters)


def _configuration(endpoint: int) -> dict[str, Any]:
    return {
        "listen": "unix:./tenure.sock",
        "http": "127.0.0.1:0",
        "store": {"path": "./tenure.duckdb"},
        "control": {"url": f"http://127.0.0.1:{endpoint}/", "secret_file": "control.secret"},
        "models": {
            "fraud": {
                "task": "binary",
                "reference": {"first_rows": 6000},
                "segments": ["country"],
                "drift": REVIEW | {"multivariate": "5s"},
                "performance": QUALITY,
            },
            "muddled": {"task": "binary", "drift": REVIEW, "performance": {"metric": "brier"}},
            "hurried": {"drift": REVIEW | {"every": "10ms"}},
        },
    }


def _tell(address: str, base: str) -> tuple[tenure.Monitor, str]:
    """Predictions and outcomes, calm at first, then everything that can go wrong; and what the alert on drift said."""
    seen = _watcher(base)
    rng = random.Random(7)
    monitor = tenure.Monitor("fraud", version="1", settings=Settings(agent=address, queue_rows=1000))

    def features(scale: float) -> dict[str, Any]:
        country = None if scale > 1 and rng.random() < 0.3 else rng.choice(["NL", "DE"])
        return {"amount": scale * rng.lognormvariate(0, 1), "hour": rng.random(), "country": country}

    def wave(rows: int, scale: float, *, right: bool, ago: float = 0.0, lasts: float = 0.0) -> None:
        start = time.time() - ago
        for number in range(rows):
            label, at = rng.random() < 0.5, start + lasts * number / rows
            row, said = features(scale), float(label if right else not label)
            monitor.outcome(monitor.record(row, said, time=at), label=int(label))
            monitor.record(row, said, version="2", role=("shadow", "challenger")[number % 2], time=at)
            if number % 100 == 99:
                assert monitor.flush(DEADLINE)
        assert monitor.flush(DEADLINE)

    # The reference: rows of some hours ago, so that they are in no window of now.
    start = time.time() - 4 * 3600
    for thousand in range(6):
        times = [start + 1000 * thousand + number for number in range(1000)]
        monitor.record([features(1.0) for _ in times], [float(rng.random() < 0.5) for _ in times], time=times)
        assert monitor.flush(DEADLINE)
    wave(120, 1.0, right=True, ago=60.0)
    seen('tenure_predictions_total{role="champion"} >= 6120')
    seen('tenure_verdict_level{model="fraud", check="drift"}')
    # The world changes: inputs drift, a third of a column goes missing, and the model is wrong. Blocks of a second are
    # judged once they are ten seconds old: those that are no older yet, and some still to come.
    wave(2400, 20.0, right=False, ago=8.0, lasts=40.0)
    told = until("the alert on drift", lambda: _description(base, "TenureDriftCritical"))
    # More rows at once than the queue holds; a report refused, sent twice, and five in its sequence never sent.
    monitor.record([{"amount": 1.0, "country": "NL"}] * 2000, [0.0] * 2000)
    wave(1, 20.0, right=False)
    _report(address, pb.ReportRequest(producer_id="odd", seq=6, batches=[pb.Batch(model="fraud", version="1", rows=3)]))
    # A model whose labels no metric of its task can read, and one whose reviews come due faster than they run.
    for name, said in (("muddled", "perhaps"), ("hurried", 1.0)):
        other = tenure.Monitor(name, settings=Settings(agent=address, queue_rows=1000))
        other.outcome(other.record({"amount": 1.0}, said), label=said)
        assert other.flush(DEADLINE)
        seen(f'tenure_predictions_total{{model="{name}"}}')
    return monitor, told


def _description(base: str, alert: str) -> str | None:
    alerts = _api(base, "alerts", {})["alerts"]
    found = (one for one in alerts if one["labels"]["alertname"] == alert and one["state"] == "firing")
    return next((str(one["annotations"]["description"]) for one in found), None)


def _report(address: str, request: pb.ReportRequest) -> None:
    transport = GrpcTransport(address)
    for _ in range(2):
        transport.report(request.SerializeToString(), DEADLINE)
    transport.close()


def _http_address(address: str) -> str | None:
    try:
        return str(ask(address, "status", timeout=5.0)["addresses"]["http"])
    except NoAnswer:
        return None


class _Gone(BaseHTTPRequestHandler):
    """A control endpoint that will never take a decision."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(410)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def _running(command: list[str], directory: Path) -> Iterator[Path]:
    """A child process and the file that holds what it prints; ended by SIGTERM, which it must take well."""
    log = directory / f"{Path(command[0]).name}.log"
    with log.open("w") as file, subprocess.Popen(command, cwd=directory, stdout=file, stderr=file) as process:
        try:
            yield log
        finally:
            process.terminate()
            assert process.wait(DEADLINE) == 0, log.read_text()


@contextmanager
def _prometheus(program: str, home: Path, targets: list[str]) -> Iterator[str]:
    """A Prometheus with the committed configuration, but for its targets and its pace; yields its base URL."""
    yaml = YAML()
    settings = yaml.load((PROMETHEUS / "prometheus.yaml").read_text())
    settings["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    settings["rule_files"] = [str(PROMETHEUS / name) for name in settings["rule_files"]]
    settings["scrape_configs"][0]["static_configs"] = [{"targets": targets}]
    with (home / "prometheus.yaml").open("w") as file:
        yaml.dump(settings, file)
    options = ["--config.file=prometheus.yaml", "--storage.tsdb.path=tsdb", "--web.listen-address=127.0.0.1:0"]
    with _running([program, *options], home) as log:
        listening = re.compile(r'"Listening on".* address=(\S+)')
        found = until("Prometheus to listen", lambda: listening.search(log.read_text()))
        base = f"http://{found[1]}"
        until("Prometheus to be ready", lambda: _ready(base))  # it listens before it answers
        yield base


def _ready(base: str) -> bool | None:
    try:
        with urllib.request.urlopen(f"{base}/-/ready", timeout=DEADLINE):
            return True
    except urllib.error.HTTPError as error:
        error.close()
        return None


def _api(base: str, path: str, parameters: dict[str, str]) -> Any:
    url = f"{base}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
    with urllib.request.urlopen(url, timeout=DEADLINE) as reply:
        return json.load(reply)["data"]


def _watcher(base: str) -> Callable[[str], Series]:
    def series(expression: str) -> Series:
        def ask_once() -> Series | None:
            found: Series = _api(base, "query", {"query": expression})["result"]
            return [one for one in found if one["value"][1] != "NaN"] or None

        return until(f"data for {expression}", ask_once)

    return series
