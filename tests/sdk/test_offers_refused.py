"""References that cannot be read, or are refused: one complaint, and predictions go on."""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.sdk.offered import DEADLINE, Agent, row

from tenure import Monitor, SettingError, Settings, TenureError
from tenure.batcher import Batcher
from tenure.offers import MOST_BYTES

Make = Callable[..., Batcher]
pytestmark = pytest.mark.usefixtures("short_pauses")


def unusable(tmp_path: Path) -> dict[str, tuple[Path, str]]:
    (tmp_path / "empty").touch()
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "large").open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    return {
        "missing": (tmp_path / "missing", "missing (No such file or directory)"),
        "folder": (tmp_path, "cannot be used"),
        "pipe": (tmp_path / "pipe", "cannot be used"),
        "empty": (tmp_path / "empty", "empty (empty)"),
        "large": (tmp_path / "large", "Try: at most 32 MiB, with fewer columns or segments."),
        "zero": (tmp_path / "a\0b", "could not be offered"),
    }


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe", "empty", "large", "zero"])
def test_a_file_that_cannot_be_used_is_one_complaint(
    make: Make, tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tenure.complaints.INTERVAL", -1.0)  # it is no matter of time
    path, told = unusable(tmp_path)[kind]
    agent = Agent()
    batcher = make(agent, deadline=DEADLINE)
    batcher.offer("m", "1", str(path))
    for i in range(3):
        batcher.put(row(i))
        assert batcher.flush(DEADLINE)
        batcher.before_fork()  # so that the next connection is another
        batcher.after_fork_in_parent()
    assert batcher.stats("m").acked == 3
    assert set(agent.calls) == {"report"}
    [said] = [record.getMessage() for record in caplog.records]
    assert told in said
    assert said.endswith("Predictions go on without it.")


@pytest.mark.parametrize("reason", ["malformed", "unknown"])
def test_a_refusal_is_one_complaint(make: Make, file: Path, reason: str, caplog: pytest.LogCaptureFixture) -> None:
    agent = Agent(f"refuse {reason}")
    batcher = make(agent, deadline=DEADLINE)
    batcher.offer("m", "1", str(file))
    for i in range(3):
        batcher.put(row(i))
        assert batcher.flush(DEADLINE)
    assert agent.calls == ["known?", "report", "report", "report"]
    [said] = [record.getMessage() for record in caplog.records]
    assert said.startswith(f"tenure: the agent refuses the reference {file} of m 1: so it is. Predictions go on")


def test_what_is_configured_there_is_told_once_and_is_no_complaint(
    make: Make, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    agent = Agent("refuse configured", "refuse configured")
    batcher = make(agent, strict=True, deadline=DEADLINE)
    batcher.offer("m", "1", str(file))
    for i in range(2):
        batcher.put(row(i))
        assert batcher.flush(DEADLINE)
        batcher.before_fork()
        batcher.after_fork_in_parent()
    assert agent.calls == ["known?", "report"] * 2
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "tenure: the reference of m 1 was not sent: so it is")
    ]


def test_what_nobody_foresaw_keeps_no_report_back(make: Make, file: Path, caplog: pytest.LogCaptureFixture) -> None:
    batcher = make(agent := Agent("crash"), deadline=DEADLINE)
    batcher.offer("m", "1", str(file))
    batcher.put(row())
    assert batcher.flush(DEADLINE)
    assert agent.calls == ["known?", "report"]
    assert "could not be offered" in caplog.text


@pytest.mark.parametrize(
    ("script", "path", "error"), [([], "missing", SettingError), (["refuse malformed"], "fraud.reference", TenureError)]
)
def test_in_tests_it_is_raised(file: Path, script: list[str], path: str, error: type[Exception]) -> None:
    given = file.with_name(path)
    monitor = Monitor("m", transport=Agent(*script), settings=Settings(deadline=DEADLINE), reference=given)
    monitor.record({"x": 1.0}, 0.5)
    with pytest.raises(error, match=path):
        monitor.flush(DEADLINE)
    assert monitor.close(DEADLINE)
    assert monitor.stats().acked == 1


@pytest.mark.parametrize("given", [3, b"fraud.reference"])
def test_what_is_no_path_is_refused_at_once(given: Any) -> None:
    with pytest.raises(SettingError, match=r"reference: .* Try: a path"):
        Monitor("m", reference=given)
