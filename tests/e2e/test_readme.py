"""README says what is true: its code runs, its tables name what exists."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import fields
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
import pytest
from prometheus_client import CollectorRegistry
from pydantic import BaseModel
from ruamel.yaml import YAML

import tenure
import tenure_agent.metrics
from tenure import Settings
from tenure.testing import MemoryTransport
from tenure_agent.cli import main
from tenure_agent.config import Config, parse_config
from tenure_agent.detectors import DETECTORS
from tenure_agent.model_config import ModelConfig
from tenure_agent.units import read_duration, show_size

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def _blocks(language: str) -> list[str]:
    return [text for found, text in BLOCKS if found == language]


def _table(header: str) -> list[list[str]]:
    lines = README[README.index(header) :].splitlines()[2:]
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return rows


def test_every_kind_of_block_is_tested_here() -> None:
    assert {language for language, _ in BLOCKS} == {"text", "console", "python", "yaml"}


def test_python_blocks_run_in_one_go_with_no_agent_at_all(tmp_path: Path) -> None:
    script = tmp_path / "readme.py"
    script.write_text("\n".join(_blocks("python")) + "\nmonitor.close(0)\n")
    done = subprocess.run(
        [sys.executable, "-W", "error", script], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def test_python_blocks_report_what_they_say(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fraud-3.2.1.reference").write_bytes(b"what it was judged fit on")
    transport, scope = MemoryTransport(), dict[str, Any]()
    original = tenure.Monitor
    monkeypatch.setattr(tenure, "Monitor", lambda *args, **kw: original(*args, **kw, transport=transport))
    exec(compile("\n".join(_blocks("python")), "README.md", "exec"), scope)
    [row] = transport.predictions("fraud_detector")
    assert (row["id"], row["version"], row["outputs"]) == ("A17", "3.2.1", {"prediction": 0.1})
    assert [truth["label"] for truth in transport.outcomes("fraud_detector")] == [0]
    scope["shipped"].record({"amount": 1.0}, 0.1)
    assert scope["shipped"].close(60)
    assert transport.references == {("fraud_detector", "3.2.1"): b"what it was judged fit on"}


def test_console_blocks_are_commands_that_exist() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    commands = [line.removeprefix("$ ").split() for block in _blocks("console") for line in block.splitlines()]
    assert commands
    for command in commands:
        if command[0] == "make":
            assert command[1] in targets
        else:
            assert command[0] == "tenure-agent"
            assert command[1] in main.commands


def test_the_configuration_example_is_accepted() -> None:
    [whole, relay] = [parse_config(YAML(typ="safe", pure=True).load(text), "README.md") for text in _blocks("yaml")]
    assert whole.model("fraud_detector").performance.minimum == 0.88
    assert relay.upstream.address == "tls://tenure-hub:50051"


def test_the_configuration_table_names_every_key_and_its_default() -> None:
    told = {row[0].strip("`"): row[1] for row in _table("| key | default | meaning |")}
    keys = dict(_keys(Config(), "")) | {f"models.*.{key}": value for key, value in _keys(ModelConfig(), "")}
    assert set(told) == set(keys)
    for key, value in keys.items():
        shown = told[key].strip("`")
        if key in {"store.memory", "store.max_size", "store.floor"}:
            assert shown == str(show_size(value)), key
        elif isinstance(value, timedelta):
            assert read_duration(shown) == value, key
        elif isinstance(value, str | int | float) and not isinstance(value, bool):
            assert shown == str(value), key


def test_the_settings_table_names_every_setting_and_its_default() -> None:
    told = {row[0].strip("`"): row[1].strip("`") for row in _table("| setting | default | meaning |")}
    made = {known.name: getattr(Settings(), known.name) for known in fields(Settings)}
    shown = {
        name: f"{value >> 20}MiB" if name.endswith("_bytes") else str(value).lower() or "none"
        for name, value in made.items()
    }
    assert told == shown


def _keys(section: BaseModel, prefix: str) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            found += _keys(value, f"{prefix}{name}.")
        elif name != "models":
            found.append((f"{prefix}{name}", value))
    return found


def test_the_metrics_table_names_every_metric_with_its_labels() -> None:
    told = {row[0].strip("`"): [label.strip() for label in row[1].split(",") if label] for row in _table("| metric |")}
    registry = CollectorRegistry()
    metrics = tenure_agent.metrics.Metrics(registry)
    made = {}
    for collector in vars(metrics).values():
        if hasattr(collector, "_labelnames"):
            name = collector._name + ("_total" if collector._type == "counter" else "")
            made[name] = list(collector._labelnames)
    assert told == made


def test_the_command_table_names_every_command() -> None:
    told = {row[0].strip("`") for row in _table("| command | does |")}
    assert told == set(_commands(main, "tenure-agent"))


def _commands(group: click.Group, prefix: str) -> list[str]:
    found = []
    for name, command in group.commands.items():
        path = f"{prefix} {name}"
        found += _commands(command, path) if isinstance(command, click.Group) else [path]
    return found


def test_the_detector_table_names_every_detector_and_its_floor() -> None:
    told = [(row[0].strip("`"), float(row[4])) for row in _table("| detector |")]
    assert told == [(name, detector.floor) for name, detector in DETECTORS.items()]


def test_the_loss_table_names_every_reason_the_sdk_has() -> None:
    told = {row[0].strip("`") for row in _table("| reason |")}
    source = "".join(path.read_text() for path in (ROOT / "sdk/tenure").glob("*.py"))
    assert all(f'"{reason}"' in source for reason in told)
    constants = re.findall(r'^([A-Z_]+(?:, [A-Z_]+)*) = ("[a-z_", ]+")$', source, re.MULTILINE)
    named = {text for names, texts in constants for text in re.findall(r'"([a-z_]+)"', texts)}
    assert told <= named | {"too_large", "encode_error"}


def test_the_changelog_has_an_unreleased_part() -> None:
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text()
