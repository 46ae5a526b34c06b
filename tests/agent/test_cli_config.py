"""`tenure-agent config`: what would run, every fault of it, and no secret."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from ruamel.yaml import YAML

from tenure_agent.cli import main
from tenure_agent.config import Config, load_config, parse_config

SECRET = "whsec_" + "A" * 44
TOKEN = "a-token-of-thirty-two-characters"
FILE = """
listen: 0.0.0.0:50051
log: json
access: {{token_file: {0}/token, cert_file: {1}/server.pem, key_file: {1}/server.key, socket_mode: "0660"}}
control: {{url: "https://control.example/decisions?key={2}", secret_file: {0}/secret}}
store: {{memory: 1536MiB}}
models:
  fraud: {{task: binary, columns: {{order_id: ignore}}, drift: {{every: 90s, window: 1.5h}}, performance: {{minimum: 0.9}}}}
"""


def tell(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["config", *(str(argument) for argument in arguments)], catch_exceptions=False)


@pytest.fixture
def file(tmp_path: Path, certificates: Path) -> Path:
    """A configuration with everything secret in it, and the files it names."""
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "secret").write_text(SECRET)
    path = tmp_path / "tenure.yaml"
    path.write_text(FILE.format(tmp_path, certificates, TOKEN))
    return path


def test_what_is_shown_says_the_same_without_its_secrets(file: Path, certificates: Path) -> None:
    told, parsed = tell("show", "--config", file), tell("show", "--config", file, "--json")
    assert told.exit_code == parsed.exit_code == 0
    document = YAML(typ="safe", pure=True).load(told.output)
    assert document == json.loads(parsed.output)

    assert document["control"]["url"] == "https://control.example/decisions?redacted"
    key = (certificates / "server.key").read_text().splitlines()[1]
    assert not any(secret in told.output for secret in (TOKEN, SECRET, key))
    document["control"]["url"] = load_config(file).control.url
    assert parse_config(document, "shown") == load_config(file)
    drift = document["models"]["fraud"]["drift"]
    assert (drift["every"], drift["window"], document["store"]["memory"]) == ("90s", "90m", "1536MiB")


def test_defaults_are_shown() -> None:
    told = tell("show")
    assert told.exit_code == 0
    assert parse_config(YAML(typ="safe", pure=True).load(told.output), "shown") == Config()
    assert "\nlisten: unix:./tenure.sock\n" in told.output


@pytest.mark.parametrize(("model", "every"), [("fraud", "90s"), ("never named", "5m")])
def test_what_holds_for_one_model(file: Path, model: str, every: str) -> None:
    shown = json.loads(tell("show", "--config", file, "--model", model, "--json").output)
    assert shown["drift"]["every"] == every


def test_no_fault(file: Path) -> None:
    told, parsed = tell("validate", "--config", file), tell("validate", "--config", file, "--json")
    assert told.exit_code == parsed.exit_code == 0
    assert told.output == f"{file}: no fault\n"
    assert json.loads(parsed.output) == {"path": str(file), "faults": []}


def test_every_fault_is_told(tmp_path: Path) -> None:
    file = tmp_path / "tenure.yaml"
    file.write_text("clock: sundial\nlisten: 10.0.0.1:1\nstore: {memory: lots}\n")
    told, parsed = tell("validate", "--config", file), tell("validate", "--config", file, "--json")
    assert told.exit_code == parsed.exit_code == 2
    assert told.stdout == ""
    assert len(told.stderr.splitlines()) == 3
    assert f"{file}: clock: 'sundial' cannot be used. Try: 'wall' or 'event'\n" in told.stderr
    faults: list[dict[str, Any]] = json.loads(parsed.stdout)["faults"]
    assert [fault["field"] for fault in faults] == ["listen", "clock", "store.memory"]
    assert faults[2] == {
        "field": "store.memory",
        "told": "'lots' cannot be used",
        "try": "a size such as 256MiB or 2GiB",
    }
    assert tell("show", "--config", file).exit_code == 2


def test_faults_of_the_files_it_names(file: Path, tmp_path: Path, certificates: Path) -> None:
    file.write_text(file.read_text().replace("server.key", "client.key"))
    (tmp_path / "token").write_text("s3cret")
    (tmp_path / "secret").unlink()
    told = tell("validate", "--config", file)
    assert told.exit_code == 2
    assert [line.split(": ")[1] for line in told.stderr.splitlines()] == [
        "access.token_file",
        "access.cert_file",
        "control.secret_file",
    ]
    assert all(" cannot be used. Try: " in line for line in told.stderr.splitlines())
    assert "s3cret" not in told.stderr
    assert tell("validate", "--config", file, "--no-files").exit_code == 0


def test_a_file_is_needed(tmp_path: Path) -> None:
    assert tell("validate").exit_code == 2
    absent = tell("validate", "--config", tmp_path / "absent.yaml")
    assert absent.exit_code == 2
    assert "cannot be read (No such file or directory)" in absent.stderr


def test_an_archive_in_s3_needs_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "tenure.yaml"
    path.write_text("archive: {url: s3://rows/fraud, endpoint_url: http://127.0.0.1:9000}")
    assert tell("validate", "--config", path).exit_code == 0
    assert json.loads(tell("show", "--config", path, "--json").stdout)["archive"]["url"] == "s3://rows/fraud"
    monkeypatch.setattr(sys.modules["tenure_agent.cli.config"], "find_spec", lambda name: None)
    refused = tell("validate", "--config", path)
    assert refused.exit_code == 2
    assert "archive.url: 's3://rows/fraud' cannot be used. Try: pip install 'tenure[s3]'" in refused.stderr
