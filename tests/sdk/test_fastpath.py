"""The fast path records what the long way records, and hands over whatever is not for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from tenure import Monitor, Settings, prediction_id
from tenure.testing import MemoryTransport
from tenure.watch import CAREFUL_CALLS, Watch

DEADLINE = 60.0
ROW = {"amount": 12.5, "country": "NL", "new": True, "age": None, "count": 3}
Predict = Callable[..., Any]


@pytest.fixture
def monitor(transport: MemoryTransport) -> Iterator[Monitor]:
    """By the wall clock: a clock of the host's own is for the long way."""
    with Monitor("fraud", "1", settings=Settings(flush_interval=0.001), transport=transport) as monitor:
        yield monitor


@pytest.fixture
def long_way(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The arguments of the calls that took it."""
    taken: list[Any] = []
    slowly = Watch.slowly

    def noted(self: Watch, function: Predict, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        taken.append((args, kwargs))
        return slowly(self, function, args, kwargs)

    monkeypatch.setattr(Watch, "slowly", noted)
    return taken


def trust(monitor: Monitor, watched: Predict) -> None:
    """Make the calls that are looked at value by value."""
    for _ in range(CAREFUL_CALLS):
        watched({"amount": 0.0, "order": "first"})
    assert monitor.flush(DEADLINE)


def sent(monitor: Monitor, transport: MemoryTransport) -> list[dict[str, Any]]:
    assert monitor.flush(DEADLINE)
    return transport.predictions(monitor.model)[CAREFUL_CALLS:]


OUTPUTS = [0.25, 1, "late", True, None, {"a": 0.9, "b": 0.1}, [0.1, 0.9], np.array([0.1, 0.9]), np.float64(0.5)]


@pytest.mark.parametrize("output", OUTPUTS, ids=repr)
def test_it_records_what_the_long_way_records(
    monitor: Monitor, transport: MemoryTransport, long_way: list[Any], output: Any
) -> None:
    @monitor.watch
    def predict(features: dict[str, Any]) -> Any:
        return output

    trust(monitor, predict)
    long_way.clear()
    before = time.time_ns() // 1000
    assert predict(ROW) is output
    assert predict(features=ROW) is output
    fast, long = sent(monitor, transport)

    assert long_way == [((), {"features": ROW})]
    assert before - 1_000_000 < fast.pop("time") < before + 60_000_000
    assert long.pop("time")
    assert fast.pop("id") != long.pop("id")
    assert fast == long
    assert fast["features"]["amount"] == 12.5


HANDED_OVER: list[Any] = [
    pytest.param(({"a": [1]},), {}, id="a list inside"),
    pytest.param(({"a": {"b": 1}},), {}, id="a dict inside"),
    pytest.param((ROW, 1), {}, id="another argument"),
    pytest.param((ROW,), {"extra": 1}, id="a named argument"),
    pytest.param(((1.0, 2.0),), {}, id="no dict"),
    pytest.param((), {}, id="nothing"),
]


@pytest.mark.parametrize(("args", "kwargs"), HANDED_OVER)
def test_it_hands_over_what_is_not_for_it(
    monitor: Monitor, transport: MemoryTransport, long_way: list[Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    @monitor.watch
    def predict(features: Any = None, /, *more: Any, extra: Any = None) -> tuple[Any, ...]:
        return (features, more, extra)

    trust(monitor, predict)
    long_way.clear()
    assert predict(*args, **kwargs) == ((args or (None,))[0], args[1:], kwargs.get("extra"))
    assert long_way == [(args, kwargs)]
    assert len(sent(monitor, transport)) == 1


@pytest.mark.parametrize("value", [bytearray(b"x"), np.array(1.5)], ids=repr)
def test_the_first_calls_tell_whether_values_are_plain(
    monitor: Monitor, transport: MemoryTransport, long_way: list[Any], value: Any
) -> None:
    @monitor.watch
    def predict(features: dict[str, Any]) -> float:
        return 0.5

    for _ in range(CAREFUL_CALLS + 10):
        predict({"value": value})
    assert len(long_way) == CAREFUL_CALLS + 10


def test_what_the_call_changes_is_not_what_was_given(monitor: Monitor, transport: MemoryTransport) -> None:
    @monitor.watch
    def predict(features: dict[str, float]) -> float:
        features["amount"] = -1.0
        return 0.5

    trust(monitor, predict)
    predict({"amount": 2.0})
    assert [row["features"] for row in sent(monitor, transport)] == [{"amount": 2.0}]


@pytest.mark.parametrize("kind", [KeyError, SystemExit])
def test_an_error_is_recorded_by_its_type_and_goes_on(
    monitor: Monitor, transport: MemoryTransport, kind: type[BaseException]
) -> None:
    @monitor.watch
    def predict(features: dict[str, float]) -> float:
        if features["amount"] > 0:
            raise kind("secret")
        return 0.5

    trust(monitor, predict)
    with pytest.raises(kind, match="secret"):
        predict({"amount": 1.0})
    [row] = sent(monitor, transport)
    assert row["error"] == kind.__name__
    assert row["features"] == {"amount": 1.0}
    assert predict({"amount": 0.0}) == 0.5  # the call is not taken for one still under way
    assert len(sent(monitor, transport)) == 2


@pytest.mark.parametrize(
    ("given", "kept", "taken"),
    [("A17", "A17", 0), ("", None, 0), (17, "17", 1), (None, None, 1)],
    ids=["text", "empty", "number", "missing"],
)
def test_the_id_is_taken_from_its_feature(
    monitor: Monitor, transport: MemoryTransport, long_way: list[Any], given: Any, kept: str | None, taken: int
) -> None:
    @monitor.watch(id="order")
    def predict(features: dict[str, Any]) -> str | None:
        return prediction_id()

    trust(monitor, predict)
    long_way.clear()
    features = {"amount": 1.0, "order": given}

    inside = predict(features)
    assert inside == prediction_id()
    assert features["order"] == given
    [row] = sent(monitor, transport)
    assert row["id"] == inside
    assert row["features"] == {"amount": 1.0}
    assert kept is None or inside == kept
    assert len(long_way) == taken


def test_with_no_room_the_loss_is_counted(transport: MemoryTransport) -> None:
    monitor = Monitor("fraud", "1", settings=Settings(queue_rows=2, flush_interval=3600.0), transport=transport)
    predict = monitor.watch(lambda features: 0.5)
    for _ in range(CAREFUL_CALLS * 2):
        predict({"amount": 1.0})
    stats = monitor.stats()
    assert stats.emitted == CAREFUL_CALLS * 2 == stats.acked + stats.queued + sum(stats.dropped.values())
    assert set(stats.dropped) <= {"queue_full"}
    monitor.close()
