"""A replay says what the agent would have said: at event time, from what was known by then."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tenure.errors import SettingError
from tenure_agent.backtest import Backtest, Overrides
from tenure_agent.builder import Rows, build_reference
from tenure_agent.chronicle import Episode
from tenure_agent.config import Config, parse_config
from tenure_agent.records import Decision, Level, micros
from tenure_agent.store import Database, predictions
from tenure_agent.store.history import sorted_history

START = pd.Timestamp("2024-03-01", tz="UTC")
REFERENCE, LIVE, CHANGE = 3000, 4000, 2000
SETTINGS = {"performance": {"window": "12h", "min_labels": 100}, "retrain": {"cooldown": "6h"}}
AS_CONFIGURED = Overrides()
Said = list[Episode | Decision]


def history(*, shift: float = 0.0, flipped: float = 0.0, seed: int = 0) -> pd.DataFrame:
    """A row a minute: a reference, then a quiet part, then x moves by `shift` and a share of the truths flips."""
    rng = np.random.default_rng(seed)
    rows = REFERENCE + LIVE
    late = np.arange(rows) >= REFERENCE + CHANGE
    score = 1 / (1 + np.exp(-3 * rng.normal(size=rows)))
    true = (rng.uniform(size=rows) < score) ^ (late & (rng.uniform(size=rows) < flipped))
    time = START + pd.to_timedelta(np.arange(rows), unit="min")
    return pd.DataFrame(
        {
            "time": time,
            "id": [f"row {i}" for i in range(rows)],
            "split": np.where(np.arange(rows) < REFERENCE, "reference", "live"),
            "x": rng.normal(size=rows) + shift * late,
            "country": rng.choice(["NL", "DE"], rows),
            "prediction": score,
            "label": true.astype(float),
            "label_time": time + pd.Timedelta("1h"),
        }
    )


@pytest.fixture
def replay(tmp_path: Path) -> Callable[..., tuple[Said, Backtest]]:
    """Write a table as Parquet, replay it as model `fraud`."""

    def run(
        table: pd.DataFrame, overrides: Overrides = AS_CONFIGURED, *, name: str = "history.parquet", **model: Any
    ) -> tuple[Said, Backtest]:
        config: Config = parse_config({"models": {"fraud": SETTINGS | model}}, "a test")
        path = tmp_path / name
        table.to_csv(path, index=False) if path.suffix == ".csv" else table.to_parquet(path, index=False)
        folder = tmp_path / "scratch"
        folder.mkdir(exist_ok=True)
        found = sorted_history(path, {}, 0, folder, 1 << 28)
        database = Database(None, exports=folder, memory=1 << 28)
        test = Backtest(database, found, "fraud", config, overrides)

        async def collect() -> Said:
            return [event async for event in test.run()]

        said = asyncio.run(collect())
        stored = database.read(lambda c: predictions.stored_counts(c, test.model)).result()
        assert sum(rows for _, _, rows in stored) == found.live
        database.close()
        return said, test

    return run


Replay = Callable[..., tuple[Said, Backtest]]


def at(row: int) -> int:
    return micros((START + pd.Timedelta(minutes=REFERENCE + row)).to_pydatetime())


def test_quiet_says_nothing(replay: Replay) -> None:
    said, test = replay(history())
    assert said == []
    assert test.chronicle.document()["critical_share"] == 0
    assert test.chronicle.document()["verdicts"]["drift"]["OK"] > 50
    assert test.interval == timedelta(minutes=50)  # a tenth of the window that holds 500 rows


def test_drift_opens_an_episode_soon_and_retrains_nothing_that_has_labels(replay: Replay) -> None:
    said, _ = replay(history(shift=3.0))
    opened = said[0]
    assert isinstance(opened, Episode)
    assert (opened.check, opened.level, opened.closed, opened.columns) == ("drift", Level.CRITICAL, None, ("x",))
    assert at(CHANGE) < opened.opened <= at(CHANGE + 2 * 500)
    assert not [event for event in said if isinstance(event, Decision)]


def test_harm_is_decided_on_once(replay: Replay) -> None:
    said, test = replay(history(flipped=0.4))
    opened, decision = said
    assert isinstance(opened, Episode)
    assert isinstance(decision, Decision)
    assert (opened.check, decision.action, decision.trigger) == ("performance", "retrain", "performance_degraded")
    assert at(CHANGE) < decision.event_time == opened.opened
    assert test.chronicle.open == (opened,)
    assert test.chronicle.document()["decisions"] == {"retrain": 1}


@pytest.mark.parametrize("marked", [True, False], ids=["reference rows", "first rows"])
def test_nothing_of_the_future_shows(replay: Replay, marked: bool) -> None:
    table = history(shift=3.0, flipped=0.4)
    if not marked:
        table = table.drop(columns="split")
    end = table["time"].iloc[REFERENCE + 3500]
    later, unknown = table["time"] >= end, table["label_time"] >= end
    poisoned = table.copy()
    poisoned.loc[later, "x"] = -1e9
    poisoned.loc[later, "country"] = "XX"
    poisoned.loc[later, "prediction"] = 0.0
    poisoned.loc[unknown, "label"] = 1.0 - poisoned.loc[unknown, "label"]
    poisoned = pd.concat([poisoned[~later], poisoned[later].iloc[::-1]])  # and the file is not in order
    model = {"reference": {"first_rows": 2000}}

    def until(said: Said) -> Said:
        limit = micros(end.to_pydatetime())
        times = [event.event_time if isinstance(event, Decision) else event.closed or event.opened for event in said]
        return [event for event, time in zip(said, times, strict=True) if time <= limit]

    told = [until(replay(one, **model)[0]) for one in (table, poisoned)]
    assert told[0] == told[1]
    assert {type(event) for event in told[0]} == {Episode, Decision}


def test_the_file_need_not_be_in_order(replay: Replay) -> None:
    table = history(shift=3.0, flipped=0.4)
    shuffled = table.sample(frac=1, random_state=1)
    assert replay(table)[0] == replay(shuffled)[0]


def test_csv_says_the_same(replay: Replay) -> None:
    table = history(shift=3.0)
    assert replay(table, name="history.csv")[0] == replay(table)[0]


def test_only_time_and_prediction_are_needed(replay: Replay) -> None:
    table = history(shift=3.0)[["time", "prediction", "x"]]
    said, test = replay(table, reference={"first_rows": 2500})
    opened, decision = said[:2]
    assert isinstance(opened, Episode)
    assert isinstance(decision, Decision)
    assert (opened.version, opened.columns, decision.trigger) == ("1", ("x",), "data_drift")
    assert test.chronicle.document()["verdicts"]["performance"] == {"INSUFFICIENT_DATA": test.chronicle.reviews}


def test_a_reference_file_goes_before_marked_rows(replay: Replay, tmp_path: Path) -> None:
    table = history()
    values = {("feature", "x"): np.random.default_rng(9).normal(size=3000) + 5}
    path = tmp_path / "far.reference"
    build_reference("fraud", "1", Rows(values)).save(path)
    said, _ = replay(table, Overrides(reference=path))
    assert isinstance(said[0], Episode)
    assert said[0].columns == ("x",)
    assert replay(table, reference={"file": str(path)})[0] == []  # but marked rows before a configured one


def test_after_a_deploy_the_new_version_is_judged_by_itself(replay: Replay) -> None:
    table = history(shift=3.0)
    table["version"] = np.where(np.arange(len(table)) < REFERENCE + 3500, "1", "2")
    table["role"] = "champion"
    said, _ = replay(table)
    closed = said[-1]
    assert len(said) == 2
    assert isinstance(closed, Episode)
    assert (closed.version, closed.closed is not None and at(3500) <= closed.closed <= at(3550)) == ("1", True)


def test_a_change_in_one_segment_is_an_episode_of_that_segment(replay: Replay) -> None:
    table = history(seed=3)
    table.loc[np.arange(len(table)) % 8 == 0, "country"] = "LU"
    late = np.arange(len(table)) >= REFERENCE + CHANGE
    table["x"] += 3.0 * (late & (table["country"] == "LU"))
    assert replay(table)[0] == []
    said, test = replay(table, segments=["country"])
    opened = said[0]
    assert isinstance(opened, Episode)
    assert (opened.check, opened.segment, opened.level) == ("drift", "country=LU", Level.WARNING)
    assert opened.document()["segment"] == "country=LU"
    assert opened.reason.startswith("in country=LU: x: ")
    found = test.chronicle.document()
    assert found["episodes"] == [{"check": "drift", "segment": "country=LU", "level": "WARNING", "count": 1}]
    assert found["critical_share"] == 0


def test_every_and_window_as_asked(replay: Replay) -> None:
    _, test = replay(history(), Overrides(every=timedelta(hours=1), window=timedelta(hours=20)))
    assert test.interval == timedelta(hours=1)
    assert test.chronicle.reviews == 4000 // 60 + 1  # the rows after the last full hour too
    with pytest.raises(SettingError, match="--window"):
        replay(history(), Overrides(window=timedelta(seconds=1)))


def test_a_gap_of_years_is_passed_over(replay: Replay) -> None:
    table = history()
    late = np.arange(len(table)) >= REFERENCE + CHANGE
    for column in ("time", "label_time"):
        table.loc[late, column] += pd.Timedelta("4000D")
    said, test = replay(table)
    assert said == []
    assert test.chronicle.reviews < 10_000


def tiny(**columns: Any) -> pd.DataFrame:
    rows = len(next(iter(columns.values())))
    return pd.DataFrame({"time": START + pd.to_timedelta(np.arange(rows), unit="min"), "prediction": 0.5, **columns})


@pytest.mark.parametrize(
    ("columns", "distinct"),
    [
        ({"x": [1.0, 2.0]}, True),
        ({"id": ["a", "b", "c"]}, True),
        ({"id": ["a", "b", "a"]}, False),
        ({"id": ["a", "a", "b"], "split": ["reference", "live", "live"]}, True),
        ({"id": ["a", "a", "b"], "role": ["champion", "shadow", "champion"]}, True),
        ({"id": ["a", "a", "b"], "role": ["champion", "challenger", "champion"]}, False),
    ],
)
def test_whether_each_label_belongs_to_its_own_row(tmp_path: Path, columns: dict[str, Any], distinct: bool) -> None:
    path = tmp_path / "history.parquet"
    tiny(**columns).to_parquet(path)
    assert sorted_history(path, {}, 0, tmp_path, 1 << 28).distinct is distinct


def test_labels_that_belong_to_their_own_rows_say_the_same_as_when_nobody_knows(replay: Replay) -> None:
    table = history(flipped=0.4)
    known, _ = replay(table)
    last = table.iloc[[-1]].assign(time=table.time.iloc[-1] + pd.Timedelta("1s"), label=None)  # of an id that is there
    twice, _ = replay(pd.concat([table, last], ignore_index=True))
    assert known == twice


def test_rows_that_stop_coming_are_an_episode_of_no_column(replay: Replay) -> None:
    minutes = np.arange(30 * 24 * 60)
    outage = (minutes >= 25 * 1440 + 600) & (minutes < 25 * 1440 + 900)
    table = pd.DataFrame({"time": START + pd.to_timedelta(minutes[~outage], unit="min")})
    table["x"], table["prediction"] = np.random.default_rng(3).normal(size=(2, len(table)))
    said, test = replay(table)
    opened, closed = [episode for episode in said if isinstance(episode, Episode)]
    assert (opened.check, opened.level, opened.columns) == ("volume", Level.WARNING, ())
    assert opened.opened == micros((START + pd.Timedelta("25D") + pd.Timedelta("12h")).to_pydatetime())
    assert closed.closed == opened.opened + 6 * 3_600_000_000
    assert opened.reason.startswith("0 rows in the last hour; at this hour of the day it is usually ")
    assert test.chronicle.document()["episodes"] == [{"check": "volume", "level": "WARNING", "count": 1}]
