"""Rows go by age and for room, the oldest first; labels that come later still find what they need, or are counted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tenure_agent.builder import Rows, build_reference
from tenure_agent.config import Config, parse_config
from tenure_agent.evidence import Evidence, Labelled
from tenure_agent.measures import measure
from tenure_agent.metrics import Metrics
from tenure_agent.retention import Retention
from tenure_agent.store import Database, expiry, outcomes, predictions, producers, question, references
from tenure_agent.store.catalogue import Catalogue
from tenure_agent.store.database import Cursor
from tenure_agent.store.expiry import Limits
from tenure_proto.v1 import monitoring_pb2 as pb

SECOND, HOUR, DAY = 10**6, 3_600 * 10**6, 86_400 * 10**6
Batch = Callable[..., pb.Batch]
Put = Callable[..., None]
Value = Callable[..., float]


def config(**store: Any) -> Config:
    waits = {"performance": {"label_delay": "1d", "window": "1d"}}
    return parse_config({"clock": "event", "store": store, "models": {"fraud": waits}}, "a test")


@pytest.fixture
def run(database: Database, catalogue: Catalogue, metrics: Metrics) -> Callable[..., None]:
    """The job at one time after another, counted in days."""
    kept: dict[int, Retention] = {}

    def at(settings: Config, *days: float) -> None:
        job = kept.setdefault(id(settings), Retention(database, catalogue, settings, metrics))
        for day in days:
            asyncio.run(job.run(round(day * DAY)))

    return at


@pytest.fixture
def ids(database: Database) -> Callable[..., list[str]]:
    def read(table: str = "rows_1") -> list[str]:
        return [
            id_
            for (id_,) in database.read(lambda c: c.execute(f"SELECT id FROM {table} ORDER BY 1").fetchall()).result()
        ]

    return read


@pytest.fixture
def day(put: Put, batch: Batch, database: Database, catalogue: Catalogue) -> Callable[[int], None]:
    """Store ten predictions of a day, under a version that has its reference."""

    def store(number: int, version: str = "1", referenced: bool = True) -> None:
        names = [f"d{number}-{i}" for i in range(10)]
        scores = {"prediction": [i / 10 for i in range(10)]}
        put(batch({"x": [0.5] * 10}, ids=names, start=number * DAY, outputs=scores, version=version))
        if referenced:
            of = build_reference("fraud", version, Rows({("feature", "x"): np.arange(10.0)}))
            at = catalogue.models["fraud"].versions[version]
            database.write(lambda cursor: references.save(cursor, 1, at, of, 0)).result()

    return store


def labelled(database: Database, catalogue: Catalogue, known: int) -> list[tuple[float, float]]:
    def read(cursor: Cursor) -> Labelled:
        return outcomes.labelled(cursor, catalogue.models["fraud"], 1, since=0)

    said, true = Evidence(database.read(read).result()).look(0, known, 100).first(100)
    return list(zip(said.tolist(), true.tolist(), strict=True))


def test_age_is_told_by_when_rows_came(run: Any, ids: Any, day: Any, value: Value) -> None:
    settings = config(retain="3d")
    day(1)
    run(settings, 11)  # late by ten days: that makes them no older
    day(2)
    run(settings, 12, 13.9)
    assert len(ids()) == 20
    run(settings, 14)
    assert {name.split("-")[0] for name in ids()} == {"d2"}
    run(settings, 15)
    assert ids() == []
    assert value("expired_predictions_total") == 20


def test_ingest_numbers_go_on_where_everything_has_expired(
    run: Any, day: Any, database: Database, catalogue: Catalogue
) -> None:
    day(1)
    run(config(retain="1d"), 1, 2)
    assert database.read(lambda cursor: predictions.newest_batch(cursor, catalogue)).result() == 1


def test_a_label_finds_its_prediction_after_the_row_is_gone(
    run: Any, ids: Any, day: Any, put: Put, truths: Any, database: Database, catalogue: Catalogue, value: Value
) -> None:
    settings = config(retain="1d")
    for number in (1, 2):
        day(number)
        run(settings, number)
    run(settings, 2.5)
    put(truths=[truths({"d1-3": 1.0, "d2-4": 0.0}, known=round(2.6 * DAY))])
    before = labelled(database, catalogue, 3 * DAY)
    assert sorted(before) == [(0.3, 1.0), (0.4, 0.0)]

    run(settings, 2.7)
    assert {name.split("-")[0] for name in ids()} == {"d2"}
    assert labelled(database, catalogue, 3 * DAY) == before
    assert labelled(database, catalogue, round(2.5 * DAY)) == []

    run(settings, 4.5)  # three days after the first day's rows were made: nobody waits any more
    assert ids() == []
    assert labelled(database, catalogue, 3 * DAY) == [(0.4, 0.0)]
    assert value("unmatched_outcomes_total", model="fraud") == 0
    put(truths=[truths({"d1-5": 1.0, "d2-5": 1.0}, known=round(4.6 * DAY))])
    run(settings, 4.7, 4.8)
    assert value("unmatched_outcomes_total", model="fraud") == 1
    assert sorted(labelled(database, catalogue, 5 * DAY)) == [(0.4, 0.0), (0.5, 1.0)]
    run(settings, 10)
    assert (ids("outcomes"), ids("pending")) == ([], [])


@pytest.mark.parametrize("texts", [False, True])
def test_what_quality_is_measured_on_outlives_the_rows(
    run: Any,
    ids: Any,
    put: Put,
    batch: Batch,
    truths: Any,
    day: Any,
    database: Database,
    catalogue: Catalogue,
    texts: bool,
) -> None:
    rng = np.random.default_rng(3)
    scores, labels = rng.random(200), rng.integers(0, 2, 200)
    said = [f"class {score > 0.5:d}" for score in scores] if texts else scores.tolist()
    true = [f"class {label:d}" for label in labels] if texts else labels.astype(float).tolist()
    names = [f"id{i}" for i in range(200)]
    day(1)
    put(batch({"x": [0.5] * 200}, ids=names, start=DAY, outputs={"prediction": said, "score": scores.tolist()}))
    put(truths=[truths(dict(zip(names, true, strict=True)), known=round(1.5 * DAY))])

    def measured() -> dict[str, float]:
        model = catalogue.models["fraud"]
        read = database.read(lambda c: outcomes.labelled(c, model, 1, since=0, newest=999)).result()
        assert len(read) == 200
        metrics = ("accuracy",) if texts else ("auc_roc", "brier", "precision", "accuracy")
        return {name: measure(name, read.predictions, read.labels) for name in metrics}

    before = measured()
    run(config(retain="1d"), 1.4, 2.5)
    assert ids() == []
    assert measured() == pytest.approx(before)
    assert before["accuracy"] == pytest.approx(float(np.mean((scores > 0.5) == labels)))


def test_slim_rows_keep_their_segments(run: Any, put: Put, batch: Batch, day: Any, database: Database) -> None:
    document = {
        "clock": "event",
        "store": {"retain": "1d"},
        "models": {"fraud": {"segments": ["country", "no such", "device", "a \"b' c"]}},
    }
    day(1)
    features = {"country": ["NL", None, "DE"], "device": [1.0, 2.5, float("nan")], "a \"b' c": [True, False, True]}
    put(batch(features, ids=["a", "b", "c"], start=DAY, outputs={"prediction": [0.1, 0.2, 0.3]}))
    put(batch({"device": ["phone"]}, ids=["d"], start=DAY, outputs={"prediction": [0.4]}))
    run(parse_config(document, "a test"), 1, 2.5)

    query = "SELECT prediction, segments FROM pending WHERE prediction IN ('0.1', '0.2', '0.3', '0.4') AND segments['x'] IS NULL"
    answer = database.ask(
        lambda c: question.ask(c, query + " ORDER BY segments['device'], 1", rows=20, seconds=30)
    ).result()
    kept = [
        {key: value for key, value in row[1].items() if value is not None}
        for row in answer.rows
        if any(row[1].values())
    ]
    assert kept == [
        {"country": "NL", "device": "1", "a \"b' c": "1"},
        {"a \"b' c": "0", "device": "2.5"},
        {"device": "phone"},
        {"country": "DE", "a \"b' c": "1"},
    ]


def test_the_version_in_service_keeps_its_rows_while_it_has_no_reference(
    run: Any, ids: Any, day: Any, put: Put, batch: Batch
) -> None:
    day(1)
    day(2, "new", referenced=False)
    put(batch({"x": [0.5]}, ids=["s-0"], start=3 * DAY, version="aside", role=pb.SHADOW))
    run(config(retain="1d"), 3, 9)
    assert {name.split("-")[0] for name in ids()} == {"d2"}
    day(10, "newer", referenced=False)
    run(config(retain="1d"), 11, 12)
    assert {name.split("-")[0] for name in ids()} == {"d10"}


def test_size_is_kept_and_room_used_again(
    run: Any, put: Put, batch: Batch, database: Database, catalogue: Catalogue
) -> None:
    settings = config(retain="9d", max_size="24MiB")
    put(batch({"text": ["a"]}, ids=["first"], outputs={"prediction": [0.5]}))
    text, number = (
        catalogue.models["fraud"].columns["feature", "text"],
        catalogue.models["fraud"].columns["output", "prediction"],
    )
    fill = (
        f"INSERT INTO rows_1 (batch, time, version, role, id, t{text.number}, n{number.number}) "
        "SELECT ?, ?, 1, 0, range, md5(range || ?), 0.5 FROM range(60000)"
    )
    sizes = []
    for made in range(2, 50):
        database.write(lambda cursor: cursor.execute(fill, [made, made * SECOND, str(made)])).result()  # noqa: B023
        if made % 12 == 0:
            run(settings, 5, 5.1)
            sizes.append(database.path.stat().st_size)
    kept = database.read(
        lambda cursor: cursor.execute("SELECT DISTINCT batch FROM rows_1 ORDER BY 1").fetchall()
    ).result()
    assert [batch for (batch,) in kept] == list(range(50 - len(kept), 50))  # the newest
    assert 8 <= len(kept) < 20
    assert sizes[-1] <= 1.3 * sizes[1]  # the room of the oldest is used again


def test_where_whole_rows_are_no_help_the_rest_goes(
    database: Database, catalogue: Catalogue, put: Put, batch: Batch, truths: Any
) -> None:
    put(batch({"x": [1.0]}, ids=["a"], outputs={"prediction": [0.5]}))
    for number in range(20):
        put(truths=[truths({f"{number}-{i}": 1.0 for i in range(10)})])
    limits = Limits(9 * DAY, 50, {"fraud": 9 * DAY})

    done = database.write(lambda cursor: expiry.expire(cursor, catalogue, limits, 2 * SECOND, used=100)).result()
    assert (done.rows, done.slimmed) == (1, 0)
    assert 100 <= done.outcomes <= 140  # the oldest, to 80 % of the room
    left = database.read(lambda cursor: cursor.execute("SELECT min(batch) FROM outcomes").fetchall()).result()
    assert left[0][0] > 10
    assert (
        database.write(lambda c: expiry.expire(c, catalogue, limits, 2 * SECOND, used=50)).result() == expiry.Expired()
    )


def test_summaries_are_kept_for_what_checks_read_and_while_there_is_room(
    run: Any, day: Any, database: Database
) -> None:
    def keep(*hours: int) -> None:
        rows = [[1, 1, 0, hour * 3600 * SECOND, "h", b"s"] for hour in hours]
        database.write(
            lambda c: c.executemany("INSERT INTO summaries VALUES (?, ?, ?, ?, ?, ?, 60000000, '')", rows)
        ).result()

    def kept() -> list[int]:
        found = database.read(lambda c: c.execute("SELECT bucket FROM summaries ORDER BY 1").fetchall()).result()
        return [bucket // 3600 // SECOND for (bucket,) in found]

    day(1)
    keep(0, 1, 20, 47, 48, 50, 999)  # one from the future does not make the others old
    run(config(retain="1d"), 50 / 24)
    assert kept() == [47, 48, 50, 999]
    run(config(retain="1d"), 900 / 24)  # nothing has come since: what the last checks read stays
    assert kept() == [47, 48, 50, 999]
    tight = parse_config({"clock": "event", "store": {"retain": "9d", "max_size": "16MiB"}}, "a test")
    keep(43, 44)
    run(tight, 51 / 24)
    assert 43 in kept()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(expiry, "used_bytes", lambda _: 17 << 20)
        run(tight, 53 / 24)
    assert kept() == [44, 47, 48, 50, 999]


def test_what_grows_slowly_is_seen_to_once_an_hour(run: Any, day: Any, database: Database) -> None:
    def lines() -> int:
        return int(database.read(lambda c: c.execute("SELECT count(*) FROM producers").fetchall()).result()[0][0])

    day(1)
    told = [producers.Producer("p", seq) for seq in range(10)]
    settings = config(retain="3d")
    for at, expected in ((1.0, 1), (1.02, 11), (1.05, 1)):
        database.write(lambda c: producers.append(c, told)).result()
        run(settings, at)
        assert lines() == expected
