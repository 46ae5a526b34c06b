"""Settings: from arguments or the environment, refused with a way out."""

import math
import socket
from pathlib import Path
from typing import Any

import pytest

from tenure import SettingError, Settings, TenureError
from tenure.settings import DEFAULT_TCP

POSITIVE = ["queue_rows", "queue_bytes", "flush_interval", "batch_bytes", "deadline"]


def test_an_empty_environment_gives_the_defaults() -> None:
    assert Settings.from_environment({}) == Settings.from_environment({"TENURE_AGENT": ""}) == Settings()


def test_every_field_has_its_variable() -> None:
    chosen = Settings.from_environment(
        {
            "TENURE_AGENT": "unix:/tmp/a.sock",
            "TENURE_QUEUE_ROWS": "10",
            "TENURE_QUEUE_BYTES": "2000",
            "TENURE_FLUSH_INTERVAL": "0.5",
            "TENURE_BATCH_BYTES": "1000",
            "TENURE_DEADLINE": "2",
            "TENURE_EXIT_TIMEOUT": "0",
            "TENURE_STRICT": "yes",
            "TENURE_DISABLED": "TRUE",
            "TENURE_UNKNOWN": "ignored",
        }
    )

    assert chosen == Settings(
        agent="unix:/tmp/a.sock",
        queue_rows=10,
        queue_bytes=2000,
        flush_interval=0.5,
        batch_bytes=1000,
        deadline=2.0,
        exit_timeout=0.0,
        strict=True,
        disabled=True,
    )


@pytest.mark.parametrize("text", ["0", "no", "False"])
def test_a_switch_may_be_written_off(text: str) -> None:
    assert not Settings.from_environment({"TENURE_STRICT": text}).strict


@pytest.mark.parametrize(
    ("variable", "text", "remedy"),
    [
        ("TENURE_STRICT", "maybe", "1 or 0"),
        ("TENURE_QUEUE_ROWS", "many", "a number such as 16384"),
        ("TENURE_QUEUE_ROWS", "1.5", "a number such as 16384"),
        ("TENURE_DEADLINE", "1s", "a number such as 1.0"),
    ],
)
def test_what_cannot_be_read_is_refused_by_its_variable(variable: str, text: str, remedy: str) -> None:
    with pytest.raises(SettingError) as refused:
        Settings.from_environment({variable: text})

    assert str(refused.value) == f"{variable}: {text!r} cannot be used. Try: {remedy}."
    assert (refused.value.field, refused.value.value, refused.value.remedy) == (variable, text, remedy)


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf])
@pytest.mark.parametrize("name", POSITIVE)
def test_limits_are_above_nothing_and_below_infinity(name: str, value: Any) -> None:
    with pytest.raises(SettingError, match=f"{name}: .* Try: a number above 0"):
        Settings(**{name: value})


def test_no_larger_report_than_the_agent_takes() -> None:
    assert Settings(batch_bytes=2 << 20).batch_bytes == 2 << 20
    with pytest.raises(SettingError, match="batch_bytes"):
        Settings(batch_bytes=(2 << 20) + 1)


def test_replace_checks_too() -> None:
    settings = Settings(deadline=2.0)

    assert settings.replace(queue_rows=5) == Settings(deadline=2.0, queue_rows=5)
    with pytest.raises(TenureError, match="queue_rows"):
        settings.replace(queue_rows=0)


def test_equal_settings_are_one_key() -> None:
    assert {Settings(): 1, Settings(agent=""): 2} == {Settings(): 2}


@pytest.fixture
def sockets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Where an agent's socket is looked for; nobody listens yet."""
    here, system = tmp_path / "tenure.sock", tmp_path / "run" / "agent.sock"
    system.parent.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tenure.settings.DEFAULT_SOCKETS", ("./tenure.sock", str(system)))
    return here, system


def bind(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


def test_the_address_given_is_the_address() -> None:
    assert Settings(agent="host:1").address() == "host:1"


def test_the_address_is_looked_up_each_time(sockets: tuple[Path, Path]) -> None:
    here, system = sockets
    settings = Settings()

    assert settings.address() == DEFAULT_TCP
    here.touch()  # a file is no socket
    assert settings.address() == DEFAULT_TCP
    bind(system)
    assert settings.address() == f"unix:{system}"
    here.unlink()
    bind(here)
    assert settings.address() == f"unix:{here}"


def test_a_directory_we_may_not_enter_holds_no_agent(
    sockets: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, system = sockets
    bind(system)
    is_socket = Path.is_socket

    def refuse(path: Path) -> bool:
        if path.name == "tenure.sock":
            raise PermissionError(13, "Permission denied", str(path))
        return is_socket(path)

    monkeypatch.setattr(Path, "is_socket", refuse)

    assert Settings().address() == f"unix:{system}"
