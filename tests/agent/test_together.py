"""The multivariate check on a real store: once per stretch of time, on some of its rows, also after a restart."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tenure.testing import ManualClock
from tenure_agent import together as together_module
from tenure_agent.config import Config, parse_config
from tenure_agent.metrics import Metrics
from tenure_agent.records import Level, Verdict
from tenure_agent.reference import Reference
from tenure_agent.review import Reviewer
from tenure_agent.store import Database, verdicts
from tenure_agent.store.catalogue import Catalogue
from tenure_agent.together import Together
from tenure_proto.v1 import monitoring_pb2 as pb

SECOND = 1_000_000
HOUR, DAY = 3600 * SECOND, 86_400 * SECOND
START, STEP = 19_000 * DAY, 60 * SECOND
ROWS = 1440  # a day
Batch = Callable[..., pb.Batch]
Put = Callable[..., None]
OK, WARNING, UNKNOWN = Level.OK, Level.WARNING, Level.INSUFFICIENT_DATA


def configured(multivariate: str | None, min_rows: int = 100) -> Config:
    drift = {"multivariate": multivariate, "min_rows": min_rows}
    model = {"reference": {"first": "2d"}, "drift": drift}
    return parse_config({"clock": "event", "models": {"fraud": model}}, "c")


class Desk:
    """A reviewer of the model `fraud`, its reference the first two days."""

    def __init__(self, database: Database, catalogue: Catalogue, metrics: Metrics, multivariate: str | None) -> None:
        self.database, self.catalogue = database, catalogue
        self.reviewer = Reviewer(database, catalogue, configured(multivariate), metrics, ManualClock())
        self.together = Together(database, configured(multivariate), 0)

    def review(self, *times: int) -> list[Verdict]:
        """What the check says at each time."""

        async def run() -> list[Verdict]:
            reviews = [await self.reviewer.review("fraud", time) for time in times]
            return [verdict for review in reviews if review for verdict in review.said]

        return [verdict for verdict in asyncio.run(run()) if verdict.check == "multivariate"]

    def reference(self) -> Reference:
        model = self.catalogue.models["fraud"]
        found = asyncio.run(self.reviewer.profiles.reference(model, 1, START + 3 * DAY))
        assert found is not None
        return found

    def look(self, reference: Reference | None, now: int) -> list[Verdict]:
        model = self.catalogue.models["fraud"]
        found = asyncio.run(self.together.look(model, 1, reference, now))
        self.together.saved(model, 1)
        return found


@pytest.fixture
def desk(database: Database, catalogue: Catalogue, metrics: Metrics) -> Callable[..., Desk]:
    def seated(multivariate: str | None = "1d") -> Desk:
        return Desk(database, catalogue, metrics, multivariate)

    return seated


@pytest.fixture
def serve(batch: Batch, put: Put) -> Callable[..., None]:
    """Days of rows; `broken` deals one column out anew, `without` leaves columns out."""

    def feed(first: int, days: int, *, broken: bool = False, without: tuple[str, ...] = ()) -> None:
        for day in range(first, first + days):
            rng = np.random.default_rng(day)
            x = rng.normal(size=(ROWS, 1)) @ np.ones((1, 4)) + 0.3 * rng.normal(size=(ROWS, 4))
            if broken:
                x[:, 3] = rng.permutation(x[:, 3])
            features = {name: x[:, i].tolist() for i, name in enumerate("abcd") if name not in without}
            for half in (slice(0, 720), slice(720, None)):
                start = START + day * DAY + (half.start or 0) * STEP
                put(batch({name: v[half] for name, v in features.items()}, start=start, step=STEP))

    return feed


Make = Callable[..., Desk]
Serve = Callable[..., None]


def test_it_is_off_unless_asked_for(desk: Make, serve: Serve) -> None:
    serve(0, 4)
    assert desk(None).review(START + 4 * DAY) == []


def test_it_stands_until_the_next(desk: Make, serve: Serve) -> None:
    serve(0, 5)

    def standing(of: Desk, now: int) -> tuple[Level, int]:
        review = asyncio.run(of.reviewer.review("fraud", now))
        assert review is not None
        assert review.multivariate is not None
        return review.multivariate.level, review.multivariate.window.end

    one = desk()
    assert standing(one, START + DAY) == (UNKNOWN, START + DAY)
    for of in (one, one, desk()):  # said, not said again, after a restart
        assert standing(of, START + 4 * DAY + HOUR) == (OK, START + 4 * DAY)


def test_once_per_stretch_of_time_and_again_after_a_restart(
    desk: Make, serve: Serve, value: Callable[..., float], database: Database, catalogue: Catalogue
) -> None:
    serve(0, 6)
    serve(6, 3, broken=True)
    one = desk()
    assert one.review(START + DAY) == []  # no reference yet
    times = [START + 2 * DAY + hours * HOUR for hours in (1, 5, 24, 25)]
    first = one.review(*times)
    assert [(verdict.level, verdict.rows) for verdict in first] == [(OK, ROWS), (OK, ROWS)]
    assert [verdict.window.end for verdict in first] == [START + 2 * DAY, START + 3 * DAY]
    assert one.review(START + 6 * DAY, START + 6 * DAY + 1)[0].window.start == START + 5 * DAY

    again = desk()
    [found] = again.review(START + 6 * DAY + HOUR, START + 7 * DAY)
    assert (found.level, found.version, found.window.start) == (WARNING, "1", START + 6 * DAY)
    assert found.reason.startswith("d")
    assert value("verdict_level", model="fraud", version="1", check="multivariate") == 1
    error = value("reconstruction_error", model="fraud", version="1", of="window")
    assert error > 1.2 * value("reconstruction_error", model="fraud", version="1", of="reference") > 0
    assert value("drift_threshold", model="fraud", version="1", column="all features", detector="reconstruction") > 0

    model = catalogue.models["fraud"]
    kept = database.read(lambda cursor: verdicts.measured(cursor, model, 1, "multivariate", 3)).result()
    assert [verdict.level for verdict in kept] == [OK, OK, WARNING]
    assert kept[-1].measures == pytest.approx(found.measures)


def test_too_few_rows_or_no_covariance_is_insufficient(desk: Make, serve: Serve, batch: Batch, put: Put) -> None:
    serve(0, 3)
    put(batch({"a": [0.0] * 50}, start=START + 3 * DAY + HOUR, step=STEP))
    put(batch({"other": [0.0] * 500}, start=START + 4 * DAY + HOUR, step=STEP))
    one = desk()
    reference = one.reference()
    assert one.look(None, START + 4 * DAY) == []
    [few] = one.look(reference, START + 4 * DAY)
    assert (few.level, few.reason) == (UNKNOWN, "50 rows in the window, fewer than the 100 needed")
    [none] = one.look(reference, START + 6 * DAY)
    assert (none.level, none.reason) == (UNKNOWN, "0 rows in the window, fewer than the 100 needed")
    [older] = one.look(replace(reference, covariance=None), START + 7 * DAY)
    assert (older.level, older.reason) == (UNKNOWN, "the reference does not tell how two numeric features go together")


def test_a_large_window_is_looked_at_in_part(desk: Make, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(0, 4)
    one = desk()
    reference = one.reference()
    monkeypatch.setattr(together_module, "MOST_ROWS", 700)
    one.together = Together(one.database, configured("1d", min_rows=1200), 0)  # more than are read
    [found] = one.look(reference, START + 4 * DAY)
    assert (found.level, found.rows) == (OK, ROWS)
    assert 300 < found.readings[0].n < 1100


def test_a_check_that_fails_says_so(desk: Make, serve: Serve) -> None:
    serve(0, 4)
    one = desk()
    covariance = one.reference().covariance
    assert covariance is not None
    wrong = replace(one.reference(), covariance=replace(covariance, mean=np.zeros(1)))
    [broken] = one.look(wrong, START + 4 * DAY)
    assert broken.level is Level.ERROR
    assert broken.reason.startswith("the check failed: ")


def test_of_another_reference_nothing_is_learnt(desk: Make, serve: Serve) -> None:
    serve(0, 5)
    one = desk()
    reference = one.reference()
    one.look(reference, START + 4 * DAY)
    covariance = reference.covariance
    assert covariance is not None
    other: Any = replace(covariance, errors=covariance.errors * 2)
    [found] = one.look(replace(reference, covariance=other), START + 5 * DAY)
    assert found.level is WARNING
    assert found.readings[0].statistic == pytest.approx(np.log(2), abs=0.1)


def test_an_error_that_is_no_number_is_not_learnt_from(
    desk: Make, serve: Serve, database: Database, catalogue: Catalogue
) -> None:
    serve(0, 6)
    desk().review(START + 4 * DAY)
    database.write(
        lambda cursor: cursor.execute(
            "UPDATE verdicts SET detail = replace(detail, '\"reconstruction_error\"', '\"gone\"') WHERE \"check\" = 'multivariate'"
        )
    ).result()
    [found] = desk().review(START + 5 * DAY)
    assert found.level is OK


def test_where_the_past_cannot_be_read_the_review_goes_on(
    desk: Make, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(0, 5)
    one = desk()

    def unread(*_: object) -> list[Verdict]:
        raise OSError("a page of the store cannot be read")

    with monkeypatch.context() as during:
        during.setattr(verdicts, "measured", unread)
        [found] = one.review(START + 4 * DAY)
    assert (found.level, found.window.end) == (Level.ERROR, START + 4 * DAY)
    [later] = one.review(START + 4 * DAY + HOUR, START + 5 * DAY)
    assert (later.level, later.window.end) == (OK, START + 5 * DAY)


def test_a_verdict_that_was_not_written_is_said_again(
    desk: Make, serve: Serve, database: Database, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(0, 4)
    serve(4, 1, broken=True)
    one = desk()
    one.review(START + 4 * DAY)

    def full(*_: object) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as during:
        during.setattr(verdicts, "append", full)
        with pytest.raises(OSError, match="no space"):
            one.review(START + 5 * DAY)
    [found] = one.review(START + 5 * DAY + HOUR, START + 5 * DAY + 2 * HOUR)
    assert (found.level, found.window.end) == (WARNING, START + 5 * DAY)
    model = catalogue.models["fraud"]
    kept = database.read(lambda cursor: verdicts.measured(cursor, model, 1, "multivariate", 9)).result()
    assert [verdict.level for verdict in kept] == [OK, WARNING]
