"""The agent put together: predictions in, verdicts out, nothing lost over a stop."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import duckdb
import grpc
import numpy as np
import pytest

import tenure
from tenure_agent.asking import Asking, NoAnswer
from tenure_agent.daemon import Agent
from tenure_agent.store import Database, DatabaseLocked, StoreLost, jobs, predictions
from tenure_agent.store.catalogue import Catalogue
from tenure_agent.store.database import Cursor
from tenure_proto.v1 import monitoring_pb2 as pb
from tenure_proto.v1.monitoring_pb2_grpc import MonitoringStub

START = 1_700_000_000  # seconds
Running = Callable[..., AbstractContextManager[Agent]]


@contextmanager
def asking(address: str) -> Iterator[Callable[..., Any]]:
    connection = Asking(address)
    try:
        yield connection.ask
    finally:
        connection.close()


@contextmanager
def monitoring(agent: str, model: str = "fraud") -> Iterator[tenure.Monitor]:
    monitor = tenure.Monitor(model, version="3.2.1", agent=agent, settings=tenure.Settings(deadline=30.0))
    yield monitor
    assert monitor.close(timeout=60)


def record(monitor: tenure.Monitor, rows: int, start: int, *, step: int = 5, shift: float = 0.0) -> None:
    rng = np.random.default_rng(start)
    for i, (amount, score) in enumerate(zip(rng.normal(shift, 1, rows), rng.uniform(size=rows), strict=True)):
        monitor.record({"amount": amount, "country": "NL"}, score, id=f"{start}-{i}", time=start + i * step)
    assert monitor.flush(timeout=60)


def levels(answer: Any) -> dict[str, str]:
    return {one["check"]: one["level"] for one in answer["verdicts"]}


def test_ok_then_critical_then_the_same_after_a_restart(running: Running) -> None:
    shifted = START + 6000 * 5
    with running() as agent, monitoring(agent.addresses["grpc"]) as monitor:
        assert agent.addresses["grpc"].endswith("/tenure.sock")
        with asking(agent.addresses["grpc"]) as ask:
            assert ask("check") == {"verdicts": []}
            record(monitor, 6000, START)
            unknown = dict.fromkeys(("performance", "volume"), "INSUFFICIENT_DATA")
            assert levels(ask("check")) == {"drift": "OK"} | unknown

            said = []
            for more in range(2):  # five blocks of a window each
                record(monitor, 360, shifted + more * 360 * 5, shift=3.0)
                said.append(levels(ask("check", {"model": "fraud"}))["drift"])
            assert said == ["OK", "CRITICAL"]
            record(monitor, 180, shifted + 720 * 5, shift=3.0)
            before = ask("status")
        stats = monitor.stats()
        assert (stats.emitted, stats.acked, stats.queued, dict(stats.dropped)) == (6900, 6900, 0, {})

    with running() as agent, asking(agent.addresses["grpc"]) as ask:
        after = ask("status")
        assert after.keys() == before.keys()
        assert [k for k in after if after[k] != before[k] and k not in {"addresses", "store"}] == []
        assert after["stored"] == 6900
        assert after["models"]["fraud"]["predictions"] == [{"version": "3.2.1", "role": "champion", "rows": 6900}]
        assert levels(ask("check"))["drift"] == "CRITICAL"
        with monitoring(agent.addresses["grpc"]) as monitor:
            record(monitor, 10, shifted + 10_000)
        assert ask("status")["stored"] == 6910


def test_outcomes_become_quality(running: Running) -> None:
    with running() as agent, monitoring(agent.addresses["grpc"]) as monitor, asking(agent.addresses["grpc"]) as ask:
        for i in range(100):
            monitor.record({"x": 1.0}, 0.9 if i % 2 else 0.1, id=i, time=START + i)
        monitor.outcome(range(100), label=[i % 2 for i in range(100)], time=START + 200)
        assert monitor.flush(timeout=60)

        span = {"start": START * 10**6, "end": (START + 300) * 10**6}
        series = [{"version": "3.2.1", "role": "champion"}, {"role": "shadow"}]
        question = {"model": "fraud", "metrics": ["auc_roc", "brier"]} | span
        found = ask("quality", question | {"series": series[:1]})
        assert found == {"rows": 100, "measures": [{"auc_roc": 1.0, "brier": pytest.approx(0.01)}]}
        assert ask("quality", question | {"series": series}) == {
            "rows": 0,
            "measures": [{"auc_roc": None, "brier": None}] * 2,
        }
        exported = ask("export", {"model": "fraud"} | span)
        assert exported["rows"] == 100
        part = ask("export_part", {"name": exported["name"]})
        assert (len(base64.b64decode(part["data"])), part["last"]) == (exported["bytes"], True)
        for verb, wrong, told in (
            ("quality", {"series": [{"version": "9"}]}, "version: '9' is unknown. Try: 3.2.1"),
            ("quality", {"series": [{"role": "boss"}]}, "role: 'boss' is unknown"),
            ("check", {"model": "nobody"}, "model: 'nobody' is unknown. Try: fraud"),
        ):
            with pytest.raises(NoAnswer, match=told):
                ask(verb, question | wrong)


def test_answers_are_json_whoever_parses_them(running: Running) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    with running() as agent, monitoring(agent.addresses["grpc"]) as monitor, asking(agent.addresses["grpc"]) as ask:
        record(monitor, 10, START)
        for verb in ("status", "progress", "check", "decisions", "verdicts"):
            json.loads(json.dumps(ask(verb)), parse_constant=refuse)


def test_http(running: Running) -> None:
    with running() as agent:
        with monitoring(agent.addresses["grpc"]) as monitor:
            record(monitor, 10, START)

        def get(path: str) -> tuple[int, str]:
            with urlopen(f"http://{agent.addresses['http']}{path}", timeout=60) as answer:
                return answer.status, answer.read().decode()

        assert get("/healthz") == (200, "ok\n")
        assert get("/readyz") == (200, "ready\n")
        status, text = get("/metrics")
        assert status == 200
        assert 'tenure_predictions_total{model="fraud",role="champion",version="3.2.1"} 10.0' in text
        assert "tenure_build_info" in text


def test_a_second_agent_harms_nothing(running: Running) -> None:
    with running() as agent:
        with pytest.raises(DatabaseLocked), running({"listen": "127.0.0.1:0"}):
            pass
        with monitoring(agent.addresses["grpc"]) as monitor:
            record(monitor, 10, START)


def test_a_store_found_unreadable_in_service_is_replaced(running: Running) -> None:
    with running({"listen": "127.0.0.1:0"}) as agent, monitoring(agent.addresses["grpc"]) as monitor:
        before = dict(agent.addresses)
        record(monitor, 100, START)
        path, folder = agent._database.path, agent._database.path.parent
        with pytest.raises(StoreLost):
            agent._database.write(corrupt).result()
        record(monitor, 10, START + 10_000)  # the monitor tries until it is acked
        assert agent.addresses == before
        with asking(agent.addresses["grpc"]) as ask:
            status = ask("status")
        assert status["models"]["fraud"]["predictions"] == [{"version": "3.2.1", "role": "champion", "rows": 10}]
        aside = [file for file in folder.glob(f"{path.name}.unreadable-*") if file.suffix != ".wal"]
        assert status["store"]["set_aside"] == [str(file) for file in aside]
        assert agent.metrics.registry.get_sample_value("tenure_store_set_aside") == len(aside) == 1


def test_a_store_found_unreadable_at_the_start_is_replaced(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    real = jobs.last_runs

    def last_runs(cursor: Cursor) -> dict[str, int]:
        if not list(Path().glob("*.unreadable-*")):
            corrupt(cursor)
        return real(cursor)

    monkeypatch.setattr(jobs, "last_runs", last_runs)
    with running() as agent, monitoring(agent.addresses["grpc"]) as monitor:
        record(monitor, 10, START)
        assert agent.metrics.registry.get_sample_value("tenure_store_set_aside") == 1


def corrupt(_: Cursor) -> None:
    raise duckdb.Error("Corrupt database file: computed checksum 1 does not match stored checksum 2")


def test_event_time_drives_the_checks(running: Running) -> None:
    document = {"clock": "event", "models": {"fraud": {"reference": {"first_rows": 500}, "drift": {"window": "30m"}}}}
    with running(document) as agent, asking(agent.addresses["grpc"]) as ask:
        with monitoring(agent.addresses["grpc"]) as monitor:
            record(monitor, 1000, START)
        while not (progress := ask("progress"))["settled"]:
            time.sleep(0.01)  # the agent has no way to call back
        assert progress["event_time"] == (START + 999 * 5) * 10**6
        whole_checks = (START + 999 * 5) // 300 - START // 300
        counts = ask("status")["verdict_counts"]
        assert sum(counts.values()) >= 2 * whole_checks
        assert counts["OK"] > 0


class Child:
    """A real agent process in a folder."""

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        (folder / "tenure.yaml").write_text(json.dumps({"http": "127.0.0.1:0"} | dict(config)))
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TENURE_")}
        command = [sys.executable, "-m", "tenure_agent", "run", "--config", "tenure.yaml"]
        self.address = f"unix:{folder}/tenure.sock"
        self.process = subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE)
        log = []
        for line in self.process.stderr or ():
            log.append(line)
            if b"listening on" in line:
                return
        raise AssertionError(b"".join(log))

    def end(self, number: signal.Signals) -> float:
        """Seconds from the signal to the end."""
        started = time.monotonic()
        self.process.send_signal(number)
        assert self.process.stderr is not None
        self.process.stderr.read()
        self.process.stderr.close()
        self.process.wait(60)
        return time.monotonic() - started


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_with_what_it_acked(tmp_path: Path, number: signal.Signals) -> None:
    child = Child(tmp_path, {})
    monitor = tenure.Monitor("fraud", version="1", agent=child.address)
    busy, stop = threading.Event(), threading.Event()

    def serve() -> None:
        i = 0
        while not stop.is_set():
            monitor.record({"x": float(i)}, 0.5, id=i, time=START + i)
            i += 1
            if i == 5000:
                busy.set()
            if i % 500 == 0:
                stop.wait(0.002)

    thread = threading.Thread(target=serve)
    thread.start()
    assert busy.wait(60)
    while not monitor.stats().acked:
        monitor.flush(timeout=1)
    seconds = child.end(number)
    stop.set()
    thread.join()
    acked = monitor.stats().acked
    monitor.close(timeout=0)

    assert child.process.returncode == 0
    assert seconds < 5
    assert not (tmp_path / "tenure.sock").exists()
    database = Database(tmp_path / "tenure.duckdb")
    catalogue = database.read(Catalogue).result()
    [(_, _, rows)] = database.read(lambda c: predictions.stored_counts(c, catalogue.models["fraud"])).result()
    [(distinct,)] = database.read(lambda c: c.execute("SELECT count(DISTINCT id) FROM rows_1").fetchall()).result()
    database.close()
    assert acked > 0
    assert rows >= acked
    assert distinct == rows


def test_it_ends_while_a_client_holds_a_stream_open(tmp_path: Path) -> None:
    child = Child(tmp_path, {"clock": "event"})
    hold = threading.Event()

    def requests() -> Iterator[pb.ReportRequest]:
        yield pb.ReportRequest(producer_id="p", seq=1)
        hold.wait(60)

    with grpc.insecure_channel(child.address) as channel:
        call = MonitoringStub(channel).StreamReports(requests())
        assert next(iter(call)).acked_seq == 1
        child.end(signal.SIGTERM)
        hold.set()
    assert child.process.returncode == 0
