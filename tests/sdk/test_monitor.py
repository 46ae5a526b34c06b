"""What a host writes beside its predict: record, outcome; and what it never sees: our errors."""

import datetime as dt
from collections.abc import Callable
from typing import Any, NoReturn
from uuid import UUID

import numpy as np
import pandas as pd
import polars as pl
import pytest

from tenure import Monitor, SettingError, Settings, Stats
from tenure.sharing import Shared
from tenure.testing import MemoryTransport

DEADLINE = 60.0
NOON = 1_718_625_600_000_000
LATER = dt.datetime(2024, 6, 17, 13, tzinfo=dt.UTC)
HOUR = 3_600_000_000

ROWS = [{"amount": 1.5, "country": "NL"}, {"amount": 2.5, "country": "DE"}]


KEYED = [{"order": "A", "at": LATER, **ROWS[0]}, {"order": "B", "at": LATER, **ROWS[1]}]


def sent(monitor: Monitor, transport: MemoryTransport, key: str = "features") -> list[Any]:
    """One value of every prediction the agent has."""
    assert monitor.flush(DEADLINE)
    return [found[key] for found in transport.predictions(monitor.model)]


@pytest.mark.parametrize("time", [LATER, LATER.replace(tzinfo=None), LATER.timestamp(), pd.Timestamp(LATER)])
def test_record(monitor: Monitor, transport: MemoryTransport, time: Any) -> None:
    generated = monitor.record(ROWS[0], 0.9)
    given = monitor.record(ROWS[1], 0.1, id=18, time=time, version="4", role="shadow")

    assert given == "18"
    assert sent(monitor, transport, "id") == [generated, "18"]
    assert sent(monitor, transport, "time") == [NOON, NOON + HOUR]
    assert sent(monitor, transport, "version") == ["3.2", "4"]
    assert sent(monitor, transport, "role") == ["champion", "shadow"]
    assert sent(monitor, transport, "outputs") == [{"prediction": 0.9}, {"prediction": 0.1}]


@pytest.mark.parametrize("table", [KEYED, pd.DataFrame(KEYED), pl.DataFrame(KEYED)], ids=["list", "pandas", "polars"])
@pytest.mark.parametrize("how", [{"id": "order", "time": "at"}, {"id": ["A", "B"], "time": LATER}], ids=str)
def test_record_a_table(monitor: Monitor, transport: MemoryTransport, table: Any, how: dict[str, Any]) -> None:
    assert monitor.record(table, [0.9, 0.1], **how) is None

    assert sent(monitor, transport, "id") == ["A", "B"]
    assert sent(monitor, transport, "time") == [NOON + HOUR] * 2
    assert [found["amount"] for found in sent(monitor, transport)] == [1.5, 2.5]
    assert all(("order" in found) == ("id" in how and how["id"] != "order") for found in sent(monitor, transport))


@pytest.mark.parametrize("empty", [pd.DataFrame(), pd.DataFrame({"x": []}), np.empty((0, 3)), pl.DataFrame()])
def test_a_table_without_rows_is_nothing(monitor: Monitor, transport: MemoryTransport, empty: Any) -> None:
    monitor.record(empty, [])

    assert sent(monitor, transport) == []
    assert monitor.stats() == Stats(0, 0, 0, {})


@pytest.mark.parametrize("id", ["A17", 17, 1.5, b"raw", UUID(int=7), np.int64(17)], ids=repr)
def test_outcome_of_one(monitor: Monitor, transport: MemoryTransport, id: Any) -> None:
    monitor.outcome(id, label="fraud", value=12.5, time=LATER)
    assert monitor.flush(DEADLINE)

    assert transport.outcomes("fraud") == [{"id": str(id), "time": NOON + HOUR, "label": "fraud", "value": 12.5}]


@pytest.mark.parametrize("many", [list, tuple, np.array, pd.Series, pl.Series, iter])
def test_outcomes_of_many(monitor: Monitor, transport: MemoryTransport, many: Callable[[Any], Any]) -> None:
    labels = [1, 0] if many is iter else many([1, 0])
    monitor.outcome(many(["A", "B"]), label=labels, value=2.5)
    assert monitor.flush(DEADLINE)

    assert transport.outcomes("fraud") == [
        {"id": "A", "time": NOON, "label": 1.0, "value": 2.5},
        {"id": "B", "time": NOON, "label": 0.0, "value": 2.5},
    ]
    assert monitor.stats() == Stats(2, 2, 0, {})


@pytest.fixture
def production(transport: MemoryTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a host sees us: not strict, one shared sender, and `transport` in the agent's place."""
    monkeypatch.setattr("tenure.monitor.shared", Shared())
    monkeypatch.setattr("tenure.sharing.GrpcTransport", lambda _: transport)


@pytest.mark.usefixtures("production")
def test_ids_of_a_process_are_unique(transport: MemoryTransport) -> None:
    settings = Settings(flush_interval=0.001)
    with Monitor("fraud", "1", settings=settings) as one, Monitor("fraud", "2", settings=settings) as other:
        ids = [monitor.record(ROWS[0], 0.5) for monitor in (one, other, one)]
        for monitor in (one, other):
            monitor.record(ROWS, [0.5, 0.5])

        stored = sent(one, transport, "id")
        assert set(ids) < set(stored)
        assert len(set(stored)) == len(stored) == 7


class Unreadable(dict[str, Any]):
    def items(self) -> NoReturn:
        raise LookupError("detached session")

    def __iter__(self) -> NoReturn:
        raise LookupError("detached session")


@pytest.mark.usefixtures("production")
def test_the_host_never_sees_our_errors(caplog: pytest.LogCaptureFixture) -> None:
    with Monitor("fraud", settings=Settings(flush_interval=0.001)) as monitor:
        watched = monitor.watch(time="at")(lambda features: 0.5)

        assert watched(Unreadable(x=1)) == 0.5
        assert watched({"at": "tomorrow"}) == 0.5
        assert monitor.record(Unreadable(x=1), 0.5) is None
        assert monitor.record({}, 0.5, time="tomorrow") is None
        monitor.outcome("A", time="tomorrow")

        assert monitor.flush(DEADLINE)
        assert monitor.stats() == Stats(5, 0, 0, {"capture_error": 5})
    assert "detached session" in caplog.text


@pytest.mark.usefixtures("production")
def test_every_row_of_what_fails_is_counted() -> None:
    with Monitor("fraud", settings=Settings(flush_interval=0.001)) as monitor:
        monitor.record(ROWS * 2, [0.5] * 4, id=["one id for all"])
        monitor.outcome(["A", "B", "C"], label=1, time=[NOON / 1e6, "tomorrow", NOON / 1e6])
        assert monitor.flush(DEADLINE)
        assert monitor.stats() == Stats(7, 1, 0, {"capture_error": 6})


def test_in_tests_our_errors_are_raised(monitor: Monitor, transport: MemoryTransport) -> None:
    with pytest.raises(LookupError, match="detached session"):
        monitor.watch(lambda features: 0.5)(Unreadable(x=1))
    with pytest.raises(ValueError, match="tomorrow"):
        monitor.watch(time="at")(lambda features: 0.5)({"at": "tomorrow"})
    with pytest.raises(ValueError, match="tomorrow"):
        monitor.record({}, 0.5, time="tomorrow")
    with pytest.raises(ValueError, match="tomorrow"):
        monitor.outcome("A", time="tomorrow")
    assert sent(monitor, transport) == []


def test_disabled_is_as_if_we_were_not_there(transport: MemoryTransport) -> None:
    monitor = Monitor("fraud", settings=Settings(disabled=True), transport=transport)

    def predict(features: dict[str, Any]) -> float:
        return 0.5

    assert monitor.watch(predict) is predict
    assert monitor.watch(id="order")(predict) is predict
    assert monitor.record(ROWS[0], 0.5) is None
    monitor.outcome("A", label=1)
    assert monitor.close()
    assert monitor.stats() == Stats(0, 0, 0, {})
    assert transport.reports == []


@pytest.mark.parametrize("model", ["", None, 7])
def test_a_model_has_a_name(model: Any) -> None:
    with pytest.raises(SettingError, match='Try: the model\'s name, such as Monitor\\("fraud_detector"\\)'):
        Monitor(model)


@pytest.mark.parametrize("name", ["drop table; --", "a\0b", "a\ud800", "🐟" * 300])
def test_a_model_may_have_any_name(transport: MemoryTransport, name: str) -> None:
    with Monitor(name, name, transport=transport) as monitor:
        monitor.record({name: name}, name, id=name)
        monitor.outcome(name, name)

        assert monitor.flush(DEADLINE)
        assert monitor.stats() == Stats(2, 2, 0, {})
        assert len(transport.predictions(monitor.model)) == len(transport.outcomes(monitor.model)) == 1


def test_an_unknown_role_is_refused_where_it_is_written(monitor: Monitor) -> None:
    with pytest.raises(SettingError, match="role: 'boss' cannot be used"):
        monitor.watch(role="boss")(lambda features: 0.5)
