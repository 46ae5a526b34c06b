"""What most of the SDK's tests stand on: a monitor whose agent is a list in memory, and a clock that stands still."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from tests.sdk import offered

from tenure import Monitor, Settings
from tenure.batcher import Batcher
from tenure.testing import ManualClock, MemoryTransport
from tenure.transport import Transport

settings.register_profile("noisy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("noisy")  # a slow machine is no finding

NOON = 1_718_625_600_000_000  # 2024-06-17 12:00 UTC


@pytest.fixture(autouse=True)
def nothing_complained_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test hears the first complaint of each kind."""
    monkeypatch.setattr("tenure.complaints._said", {})


@pytest.fixture
def transport() -> MemoryTransport:
    return MemoryTransport()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


@pytest.fixture
def monitor(transport: MemoryTransport, clock: ManualClock) -> Iterator[Monitor]:
    with Monitor("fraud", "3.2", settings=Settings(flush_interval=0.001), transport=transport, clock=clock) as monitor:
        yield monitor


@pytest.fixture
def send(monitor: Monitor, transport: MemoryTransport) -> Callable[..., list[dict[str, Any]]]:
    """Call a watched function that returns `output`; the features of all rows that have reached the agent."""

    def call(given: Any, output: Any = None) -> list[dict[str, Any]]:
        monitor.watch(lambda features: output)(given)
        assert monitor.flush(60.0)
        return [found["features"] for found in transport.predictions(monitor.model)]

    return call


class ShortPauses(random.Random):
    """No time is lost between two attempts."""

    def uniform(self, a: float, b: float) -> float:
        return min(b, max(a, 0.001))


@pytest.fixture
def make() -> Iterator[Callable[..., Batcher]]:
    """A batcher that reports to a transport, with settings by name."""
    batchers = []

    def make(transport: Transport, **settings: Any) -> Batcher:
        chosen = Settings(**{"flush_interval": 0.001, "exit_timeout": 0.05, **settings})
        batchers.append(Batcher(chosen, lambda: transport, ShortPauses()))
        return batchers[-1]

    yield make
    for batcher in batchers:
        batcher.close(timeout=0)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """What a monitor may upload as its reference."""
    path = tmp_path / "fraud.reference"
    path.write_bytes(offered.CONTENT)
    return path


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between tries."""
    monkeypatch.setattr("tenure.backoff.MOST", 0.01)
