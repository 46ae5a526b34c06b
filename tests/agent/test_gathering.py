"""References from live rows: which rows they are taken from, how far it is, and that they are read in pieces."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tenure.testing import ManualClock
from tenure_agent import gathering, live_rows
from tenure_agent.builder import Rows, build_reference
from tenure_agent.config import parse_config
from tenure_agent.gathering import Gathered, gather
from tenure_agent.profiles import Profiles
from tenure_agent.records import iso
from tenure_agent.reference import Reference
from tenure_agent.store import Database, stretches
from tenure_agent.store.catalogue import Catalogue
from tenure_proto.v1 import monitoring_pb2 as pb

SECOND = 1_000_000
HOUR, DAY = 3600 * SECOND, 86_400 * SECOND
START = 19_000 * DAY  # 2022-01-08
ALL = 1 << 40
Batch = Callable[..., pb.Batch]
Put = Callable[..., None]


class Desk:
    """References of the model `fraud`, by one configuration, as a review asks for them."""

    def __init__(self, database: Database, catalogue: Catalogue, clock: str, reference: dict[str, Any]) -> None:
        document = {"clock": clock, "store": {"retain": "90d"}, "models": {"fraud": {"reference": reference}}}
        self.config = parse_config(document, "c")
        self.database, self.catalogue = database, catalogue
        self.profiles = Profiles(database, self.config, ManualClock())

    def ask(self, now: int, version: str = "1") -> Reference | str:
        """The reference at an event time, or what it waits for."""
        model = self.catalogue.models["fraud"]
        number = model.versions[version]
        found = asyncio.run(self.profiles.reference(model, number, now))
        return self.profiles.awaited(model, number) if found is None else found

    def built(self, now: int, version: str = "1") -> Reference:
        found = self.ask(now, version)
        assert isinstance(found, Reference), found
        return found

    def gather(self, now: int, max_size: int = ALL, version: str = "1") -> Gathered | str:
        model, settings = self.catalogue.models["fraud"], self.config.model("fraud").reference
        return self.database.read(
            lambda cursor: gather(cursor, model, model.versions[version], settings, now, max_size)
        ).result()


@pytest.fixture
def desk(database: Database, catalogue: Catalogue) -> Callable[..., Desk]:
    return lambda clock="event", **reference: Desk(database, catalogue, clock, reference)


@pytest.fixture
def serve(batch: Batch, put: Put) -> Callable[..., None]:
    """Rows of `x`, one an hour from a day after START on; the value is the hour since then."""

    def feed(first_day: float, days: float, *, version: str = "1", role: pb.Role = pb.CHAMPION) -> None:
        hours = np.arange(round(first_day * 24), round((first_day + days) * 24))
        start = START + int(hours[0]) * HOUR
        put(batch({"x": hours.astype(float).tolist()}, version=version, role=role, start=start, step=HOUR))

    return feed


Serve = Callable[..., None]
Make = Callable[..., Desk]


def test_the_first_days_are_counted_until_they_are_over(desk: Make, serve: Serve) -> None:
    serve(0, 3.25)
    one = desk(first="14d")
    assert one.ask(START + 4 * DAY) == "no reference yet: 3.2 of 14 days"
    assert one.ask(START + 2 * DAY) == "no reference yet: 1.9 of 14 days"  # as of then

    serve(3.25, 12)
    assert one.ask(START + 14 * DAY) == "no reference yet: 13.9 of 14 days"
    built = one.built(START + 30 * DAY)

    assert (built.rows, built.source) == (14 * 24, "the first 14d of live rows")
    assert [iso(time) for time in built.span] == ["2022-01-08T00:00:00Z", "2022-01-21T23:00:00Z"]
    assert (built.summary.low[0], built.notices) == (0, ())
    assert one.built(START + 60 * DAY) == desk(first="14d").built(START + 60 * DAY) == built  # it stays what it was


def test_by_the_wall_late_rows_are_waited_for(desk: Make, serve: Serve) -> None:
    serve(0, 14)
    serve(14, 1 / 24)
    asked = desk("wall", first="14d")
    assert asked.ask(START + 14 * DAY + 9 * SECOND) == "no reference yet: 13.9 of 14 days"
    assert asked.built(START + 14 * DAY + 11 * SECOND).rows == 14 * 24


def test_a_version_has_first_days_of_its_own(desk: Make, serve: Serve) -> None:
    serve(0, 20)
    serve(20, 3, version="2", role=pb.SHADOW)
    serve(20, 5, version="2")
    assert desk(first="14d").ask(START + 99 * DAY, "2") == "no reference yet: 4.9 of 14 days"
    serve(0, 5, role=pb.SHADOW)
    assert desk(first="14d").built(START + 99 * DAY, "1").rows == 14 * 24


def test_rows_of_a_clock_that_was_not_set_are_no_beginning(desk: Make, serve: Serve, batch: Batch, put: Put) -> None:
    put(batch({"x": [0.0] * 9}, start=5 * DAY))
    put(batch({"x": [0.0] * 9}, start=900 * DAY))
    serve(0, 6)
    built = desk(first="5d").built(START + 9 * DAY)
    assert (built.rows, built.span[0]) == (5 * 24, START)


def test_too_few_rows_are_no_reference_however_long(desk: Make, serve: Serve) -> None:
    serve(0, 30)
    assert str(desk(first="1d").ask(START + 30 * DAY)).startswith("no reference yet: ")
    assert str(desk(first="4h").ask(START + 30 * DAY)).startswith("no reference yet: ")  # more stretches than are tried


def test_until_a_day_and_since_another(desk: Make, serve: Serve) -> None:
    serve(0, 10)
    own = desk(until="2022-01-14")
    assert (
        own.ask(START + 4 * DAY) == "no reference yet: it is taken from live rows before 2022-01-14, 2.0 days from now"
    )
    built = own.built(START + 9 * DAY)
    assert (built.rows, built.source, built.summary.high[0]) == (6 * 24, "live rows before 2022-01-14", 150)


def test_another_versions_rows(desk: Make, serve: Serve) -> None:
    serve(0, 10, version="old")
    serve(10, 3, version="new")
    built = desk(version="old", since="2022-01-10", until="2022-01-15T12:00:00Z").built(START + 11 * DAY, "new")
    assert (built.version, built.rows, built.span) == ("new", 132, (START + 2 * DAY, START + 7 * DAY + 11 * HOUR))
    assert built.source == "live rows of version old from 2022-01-10 to 2022-01-15T12:00:00Z"


@pytest.mark.parametrize(
    ("reference", "told"),
    [
        (
            {"version": "none", "until": "2022-01-09"},
            "no reference: the store knows no version 'none'. Try: models.*.reference.file, built from",
        ),
        (
            {"version": "old", "since": "2021-01-01", "until": "2021-02-01"},
            "no reference: the store holds 0 live rows of version old from 2021-01-01 to 2021-02-01, and 100 are needed. Try",
        ),
        (
            {"until": "2022-01-10T06:00:00Z"},
            "no reference: the store holds 54 live rows before 2022-01-10T06:00:00Z, and 100 are needed. Try",
        ),
    ],
)
def test_what_can_no_longer_come_is_said(desk: Make, serve: Serve, reference: dict[str, Any], told: str) -> None:
    serve(0, 10, version="old")
    assert str(desk(**reference).ask(START + 10 * DAY, "old")).startswith(told)


def test_what_is_about_to_go_for_room_must_do(desk: Make, serve: Serve, batch: Batch, put: Put) -> None:
    put(batch({"x": [0.0] * 50}, version="before", start=START - DAY))
    serve(0, 9)
    one, until, now = desk(first="14d"), desk(until="2022-02-01"), START + 9 * DAY
    one.database.checkpoint().result()
    assert isinstance(one.gather(now), str)
    for asked, told in ((one, "the first 8.9 of 14 days of live rows"), (until, "live rows before 2022-02-01")):
        assert isinstance(asked.gather(now), str)
        found = asked.gather(now, max_size=1)
        assert isinstance(found, Gathered)
        assert found.told == told
        assert found.notices == ("fewer rows than were asked for: store.max_size holds no more",)
        assert sum(piece.rows for piece in found.pieces) == 9 * 24
    put(batch({"x": [0.0] * 5000}, version="2", start=START))
    put(batch({"x": [0.0] * 150}, version="3", start=START))
    assert isinstance(one.gather(now, max_size=1, version="3"), str)  # older rows go first


def columns(rows: int) -> dict[str, list[Any]]:
    rng = np.random.default_rng(3)
    return {
        "x": np.cumsum(rng.normal(size=rows)).tolist(),
        "flag": (rng.uniform(size=rows) < 0.3).astype(float).tolist(),
        "country": [("NL", "DE", None)[i] for i in rng.integers(0, 3, rows)],
    }


@pytest.mark.parametrize("reference", [{"first": "1h"}, {"first_rows": 3600}])
def test_read_in_pieces_it_is_the_same_reference(
    desk: Make, batch: Batch, put: Put, monkeypatch: pytest.MonkeyPatch, reference: dict[str, Any]
) -> None:
    values = columns(4000)
    for start in range(0, 4000, 70):
        part = {name: column[start : start + 70] for name, column in values.items()}
        put(batch(part, start=START + start * SECOND), batch({"x": [9.0]}, version="2", start=START + start * SECOND))
    monkeypatch.setattr(gathering, "CHUNK_VALUES", 1200)  # 240 rows

    built = desk(**reference).built(START + DAY)

    whole = {
        ("feature", name): np.array(column[:3600], None if name != "country" else object)
        for name, column in values.items()
    }
    alike = build_reference("fraud", "1", Rows(whole), told=built.source, span=(START, START + 3599 * SECOND))
    assert (built.columns, built.span, built.source) == (alike.columns, alike.span, alike.source)
    assert np.array_equal(built.blocks, alike.blocks)
    assert np.allclose(built.summary.squares, alike.summary.squares)  # summed in another order
    for name in ("counts", "magnitudes", "missing", "low", "high"):
        assert np.array_equal(getattr(built.summary, name), getattr(alike.summary, name)), name


@pytest.mark.parametrize("size", [500, 7])
def test_pieces_are_in_the_order_of_event_time(
    desk: Make, batch: Batch, put: Put, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    for hour in [0, *(np.random.default_rng(0).permutation(99) + 1).tolist()]:
        put(batch({"x": [float(hour)] * 10}, start=START + hour * HOUR))
    monkeypatch.setattr(gathering, "CHUNK_VALUES", size * 3)
    one = desk(first="99h")
    found = one.gather(START + 200 * HOUR)
    assert isinstance(found, Gathered)
    model = one.catalogue.models["fraud"]
    rows = live_rows.LiveRows(lambda work: one.database.read(work).result(), model, found.stretch, found.pieces)
    read = [chunk["feature", "x"] for chunk in rows.chunks({("feature", "x")})]
    assert max(map(len, read)) <= max(size, 10)
    assert np.concatenate(read).tolist() == np.repeat(np.arange(99.0), 10).tolist()
    assert list(rows.chunks(())) == []


def test_bins_of_many_rows_are_chosen_by_a_sample_of_all_of_them(
    desk: Make, batch: Batch, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    for start in range(0, 100_000, 5000):
        put(batch({"x": np.sqrt(np.arange(start, start + 5000)).tolist()}, start=START + start * SECOND))
    monkeypatch.setattr(live_rows, "SAMPLE", 20_000)
    built = desk(first="1d").built(START + 2 * DAY)
    assert built.rows == 86_400
    counts = built.summary.counts[built.layout.stretch(0)]
    assert 500 < len(counts) < 1100
    assert counts.max() < 20 * 86_400 / 1024


def test_bins_of_the_first_rows_are_chosen_by_none_that_came_later(
    desk: Make, batch: Batch, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    for start in range(0, 40_000, 1000):
        moved = 100.0 * (start >= 20_000)
        put(batch({"x": (moved + np.sqrt(np.arange(start, start + 1000))).tolist()}, start=START + start * SECOND))
    monkeypatch.setattr(live_rows, "SAMPLE", 10_000)
    one = desk(first_rows=20_000)
    found, model = one.gather(START + DAY), one.catalogue.models["fraud"]
    assert isinstance(found, Gathered)
    rows = live_rows.LiveRows(lambda work: one.database.read(work).result(), model, found.stretch, found.pieces)
    assert 8000 < len(rows.sample()["feature", "x"]) < 12_000
    edges = np.array(one.built(START + DAY).columns[0].edges)
    assert len(edges) > 500
    assert edges.max() < 200


def test_a_column_of_numbers_and_texts_is_read_as_one_of_them_in_every_piece(
    desk: Make, batch: Batch, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(batch({"code": [7.0] * 60}, start=START))
    put(batch({"code": ["a", "b"] * 70}, start=START + 60 * SECOND))
    monkeypatch.setattr(gathering, "CHUNK_VALUES", 150)
    built = desk(first_rows=200).built(START + DAY)
    assert built.columns[0].categories == ("a", "b", "7")
    assert built.summary.counts.tolist() == [70, 70, 60, 0]


def test_a_stretch_tells_what_it_holds(database: Database, catalogue: Catalogue, batch: Batch, put: Put) -> None:
    put(batch({"x": [0.0] * 5}), batch({"x": [0.0]}, version="2"))
    put(batch({"x": [0.0] * 5}, start=9 * SECOND))
    model = catalogue.models["fraud"]

    def extent(**of: int) -> list[int]:
        of = {"start": 0, "end": DAY} | of
        found = database.read(lambda c: stretches.extent(c, model, stretches.Stretch(1, **of))).result()
        return [found.rows, found.first // SECOND, found.last // SECOND, found.lowest, found.highest]

    assert extent() == [10, 1, 13, 1, 3]
    assert extent(start=3 * SECOND, end=10 * SECOND) == [4, 3, 9, 1, 3]
    assert extent(after=1) == [5, 9, 13, 3, 3]
    assert extent(upto=2, rows=3) == [3, 1, 3, 1, 1]
    assert extent(start=DAY - 1) == [0, 0, 0, 0, 0]
    assert database.read(lambda c: stretches.older_share(c, 3)).result() == pytest.approx(6 / 11)
