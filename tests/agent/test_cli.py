"""`tenure-agent`: every verb documented, its JSON readable, its exit code told, its refusals with a way out."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner, Result

import tenure
from tenure_agent import __version__
from tenure_agent.cli import main
from tenure_agent.control.webhook import read_secret
from tenure_agent.daemon import Agent

START = 1_700_000_000
Running = Callable[..., AbstractContextManager[Agent]]


def tell(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)


def commands(group: click.Group, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, *path, name)
        else:
            yield (*path, name), command


VERBS = dict(commands(main))


@pytest.mark.parametrize("path", VERBS, ids=" ".join)
def test_help_shows_an_example_that_parses(path: tuple[str, ...]) -> None:
    shown = tell(*path, "--help")
    assert shown.exit_code == 0
    text = " ".join(shown.output.split())
    example = f"Example: tenure-agent {' '.join(path)}"
    assert example in text
    assert len(VERBS[path].help or "") > 20

    options = {option for parameter in VERBS[path].params for option in parameter.opts}
    words = text[text.index(example) :].split()
    assert {word.partition("=")[0] for word in words if word.startswith("--")} <= options


@pytest.mark.parametrize("path", [path for path in VERBS if path[0] != "control"], ids=" ".join)
def test_every_verb_has_json(path: tuple[str, ...]) -> None:
    assert "--json" in {option for parameter in VERBS[path].params for option in parameter.opts}


def test_version_and_unknown_verb() -> None:
    assert tell("--version").output == f"tenure-agent, version {__version__}\n"
    assert tell("fly").exit_code == 2
    assert tell("-h").exit_code == 0


ASKING = ["status", "check", "decisions", "archive", "export --since 2024-01-01 --out rows.csv"]


@pytest.mark.parametrize("verb", ASKING)
def test_no_agent_answers(verb: str, tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/nobody.sock"
    found = tell(*verb.split(), "--agent", address)
    assert found.exit_code == 1
    assert found.output == f"Error: no agent answers at {address}. Try: tenure-agent run, or --agent ADDRESS\n"


@pytest.mark.parametrize("verb", ASKING)
def test_bad_ways_to_find_an_agent(verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tenure.yaml").write_text("listne: x")
    found = tell(*verb.split(), "--config", tmp_path / "tenure.yaml")
    assert found.exit_code == 2
    assert "listne: unknown key. Try: listen" in found.output
    assert tell(*verb.split(), "--config", tmp_path / "absent.yaml").exit_code == 2

    monkeypatch.setenv("TENURE_QUEUE_ROWS", "many")
    found = tell(*verb.split())
    assert found.exit_code == 2
    assert "TENURE_QUEUE_ROWS: 'many' cannot be used. Try: " in found.output


def record(address: str, *, shift: float = 0.0, rows: int = 3000, start: int = START, model: str = "fraud") -> None:
    monitor = tenure.Monitor(model, agent=address, settings=tenure.Settings(deadline=30.0))
    rng = np.random.default_rng(start)
    for i, (x, score) in enumerate(zip(rng.normal(shift, 1, rows), rng.uniform(size=rows), strict=True)):
        monitor.record({"x": x}, score, id=f"{start}-{i}", time=start + i * 5)
        monitor.outcome(f"{start}-{i}", label=int(score > 0.5), time=start + i * 5)
    assert monitor.flush(timeout=60)
    assert monitor.close(timeout=60)


MODEL = {"reference": {"first_rows": 1500}, "drift": {"window": "15m", "min_rows": 100}}


def test_status_shows_names_as_they_are(running: Running) -> None:
    name = "[/bold] fraud [red]"
    with running({"models": {name: MODEL}}) as agent:
        address = agent.addresses["grpc"]
        record(address, rows=200, model=name)
        tell("check", "--agent", address)
        told = tell("status", "--agent", address)
    assert told.exit_code == 0, told.output
    assert told.output.count(name) >= 2
    assert f"INSUFFICIENT_DATA {name} 1 drift, 2023-" in told.output


def test_verbs_of_a_running_agent(running: Running, tmp_path: Path) -> None:
    with running({"models": {"fraud": MODEL}}) as agent:
        address = agent.addresses["grpc"]

        def ask(*arguments: str, code: int = 0) -> Any:
            told = tell(*arguments, "--agent", address)
            parsed = tell(*arguments, "--agent", address, "--json")
            assert told.exit_code == parsed.exit_code == code, told.output
            return told.output, json.loads(parsed.output)

        assert ask("check")[0] == "no model has sent a prediction yet\n"
        assert ask("decisions") == ("nothing has been decided\n", {"decisions": []})
        assert "nothing stored yet" in ask("status")[0]

        record(address)
        text, found = ask("check", "--model", "fraud")
        assert "fraud 1 drift: OK: " in text
        assert {one["level"] for one in found["verdicts"]} == {"OK", "INSUFFICIENT_DATA"}
        record(address, shift=3.0, rows=300, start=START + 3000 * 5)
        text, found = ask("check", code=1)
        assert "CRITICAL: x: " in text
        text, found = ask("status")
        assert found["models"]["fraud"]["predictions"][0]["rows"] == 3300
        assert "3,300" in text

        refused = tell("check", "--model", "nobody", "--agent", address)
        assert refused.exit_code == 1
        assert refused.output == "Error: model: 'nobody' is unknown. Try: fraud\n"

        (tmp_path / "tenure.yaml").write_text("listen: unix:./tenure.sock")
        assert tell("status", "--config", "tenure.yaml").exit_code == 0
        assert tell("status").exit_code == 0  # as the SDK finds it: the socket in this folder


def test_decisions_are_listed(running: Running) -> None:
    with running({"models": {"fraud": MODEL | {"mode": "act", "retrain": {"new_rows": 100}}}}) as agent:
        record(agent.addresses["grpc"], rows=200)
        assert tell("check").exit_code == 0
        assert "fraud 1: retrain (routine, recorded)\n  200 new rows have come" in tell("decisions").output
        [decision] = json.loads(tell("decisions", "--json").output)["decisions"]
        assert (decision["trigger"], decision["delivered"]) == ("new_data_volume", False)


def test_a_secret_is_private_and_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "control.secret"
    assert tell("control", "secret", "--out", path).exit_code == 0
    secret = read_secret(path)
    assert path.stat().st_mode & 0o777 == 0o600

    again = tell("control", "secret", "--out", path)
    assert again.exit_code == 1
    assert "is there already. Try: " in again.output
    assert read_secret(path) == secret
    assert tell("control", "secret", "--out", tmp_path / "absent" / "s").exit_code == 2


@pytest.mark.parametrize(
    "arguments", [["--listen", "nowhere"], ["--listen", ":1"], ["--on", "retrain"], ["--secret-file", "absent"]]
)
def test_control_serve_refuses(arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tell("control", "secret", "--out", "control.secret")
    given = arguments if "--secret-file" in arguments else ["--secret-file", "control.secret", *arguments]
    assert tell("control", "serve", *given).exit_code == 2


def agent_process(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`tenure-agent run` in a folder, until it ends by itself."""
    command = [sys.executable, "-m", "tenure_agent", "run", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def test_run_refuses_a_bad_file(tmp_path: Path) -> None:
    (tmp_path / "tenure.yaml").write_text("clock: sundial\nhttp: nowhere\n")
    found = agent_process(tmp_path, "--config", "tenure.yaml")
    assert found.returncode == 2
    assert len(found.stderr.splitlines()) == 2
    assert "clock: 'sundial' cannot be used. Try: 'wall' or 'event'" in found.stderr
    assert not (tmp_path / "tenure.duckdb").exists()


def test_run_says_what_is_taken(running: Running, tmp_path: Path) -> None:
    with running():
        (tmp_path / "same.yaml").write_text("http: 127.0.0.1:0")
        found = agent_process(tmp_path, "--config", "same.yaml")
        assert found.returncode == 1
        assert found.stderr.startswith("tenure-agent: store.path: ")
        assert "Traceback" not in found.stderr

        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            (tmp_path / "port.yaml").write_text(f"http: 127.0.0.1:{port}\nstore: {{path: other.duckdb}}")
            found = agent_process(tmp_path, "--config", "port.yaml")
        assert found.returncode == 1
        assert f"http: '127.0.0.1:{port}' cannot be used. Try: another address" in found.stderr
        assert "Traceback" not in found.stderr


def test_run_logs_json_lines(tmp_path: Path) -> None:
    (tmp_path / "tenure.yaml").write_text("http: 127.0.0.1:0")
    command = [sys.executable, "-m", "tenure_agent", "run", "--config", "tenure.yaml", "--json"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        entry = json.loads(process.stderr.readline())
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert entry["level"] == "info"
    assert "listening on unix:" in entry["message"]
    assert process.returncode == 0
