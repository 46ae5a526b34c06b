"""References found or built, and windows that count every row once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pytest

from tenure.testing import ManualClock
from tenure_agent import profiles as profiles_module
from tenure_agent.builder import Rows, build_reference
from tenure_agent.config import Config, parse_config
from tenure_agent.past import Step
from tenure_agent.profiles import Profiles
from tenure_agent.records import MINUTE, Verdict
from tenure_agent.reference import Reference
from tenure_agent.store import Database, outcomes, summaries
from tenure_agent.store.catalogue import Catalogue, Column
from tenure_agent.store.predictions import CHAMPION
from tenure_agent.stored_rows import read_column
from tenure_agent.summary import Summary, merge
from tenure_agent.tally import summarise
from tenure_proto.v1 import monitoring_pb2 as pb

Array = npt.NDArray[Any]
Batch = Callable[..., pb.Batch]
Put = Callable[..., None]
SECOND = 1_000_000
LATER = 86_400 * SECOND


def config(**reference: Any) -> Config:
    columns = {"code": "categorical", "secret": "ignore"}
    return parse_config({"models": {"fraud": {"reference": {"first_rows": 200} | reference, "columns": columns}}}, "c")


class Seat:
    """Profiles of the model `fraud`, as a review asks them."""

    def __init__(self, database: Database, catalogue: Catalogue, config: Config) -> None:
        self.catalogue, self.database = catalogue, database
        self.profiles = Profiles(database, config, ManualClock())

    def reference(self, version: str = "1") -> Reference | None:
        model = self.catalogue.models["fraud"]
        return asyncio.run(self.profiles.reference(model, model.versions[version], LATER))

    def window(self, start: int, end: int, version: str = "1") -> tuple[Summary, int]:
        """Over [start, end) minutes."""
        model = self.catalogue.models["fraud"]

        number = model.versions[version]

        async def judged() -> Reference:
            reference = await self.profiles.reference(model, number, LATER)
            assert reference is not None
            newest = (await self.database.async_read(lambda cursor: outcomes.extent(cursor, model, -1))).newest
            assert await self.profiles.judge(model, number, reference, LATER, newest) is not None
            return reference

        reference = asyncio.run(judged())
        stored = self.database.read(
            lambda cursor: summaries.since(cursor, model.number, number, CHAMPION, reference.hash, start * MINUTE)
        ).result()
        found = [Summary.from_bytes(blob, reference.layout) for time, blob in stored if time < end * MINUTE]
        summary = merge(reference.layout, found)
        return summary, int(summary.seen.max(initial=0))


@pytest.fixture
def seat(database: Database, catalogue: Catalogue) -> Callable[..., Seat]:
    return lambda **reference: Seat(database, catalogue, config(**reference))


def normal(rows: int, seed: int = 0) -> list[float]:
    return [float(x) for x in np.random.default_rng(seed).normal(size=rows)]


def test_reference_is_taken_from_the_first_champion_rows(seat: Callable[..., Seat], batch: Batch, put: Put) -> None:
    put(batch({"x": normal(199)}, outputs={"prediction": normal(199, 1)}))
    put(batch({"x": normal(500, 9)}, role=pb.SHADOW))
    assert seat().reference() is None

    put(batch({"x": [1000.0, 2000.0]}, start=500 * SECOND))
    built = seat().reference()

    assert built is not None
    assert (built.rows, built.model, built.version, built.source) == (200, "fraud", "1", "the first 200 live rows")
    assert [column.name for column in built.columns] == ["x", "prediction"]
    assert built.summary.high[0] == 1000.0
    assert (built.summary.rows.tolist(), built.summary.missing.tolist()) == ([200, 199], [0, 1])
    assert built.span == (SECOND, 500 * SECOND)


def test_reference_stays_what_it_was(seat: Callable[..., Seat], batch: Batch, put: Put) -> None:
    put(batch({"x": normal(200)}))
    first = seat().reference()
    put(batch({"x": [50.0] * 500}, start=900 * SECOND))
    again, restarted = seat(), seat()
    assert again.reference() == restarted.reference() == first


def test_columns_as_declared_and_times_left_out(seat: Callable[..., Seat], batch: Batch, put: Put) -> None:
    one = batch({"code": [float(i % 3) for i in range(200)], "secret": normal(200), "country": ["NL", None] * 100})
    when = one.features.add(name="when", kind=pb.DATETIME)
    when.numbers = np.arange(200.0).tobytes()
    put(one)

    built = seat().reference()

    assert built is not None
    kinds = {column.name: column.kind for column in built.columns}
    assert kinds == {"code": "categorical", "country": "categorical"}
    assert built.columns[0].categories == ("0", "1", "2")
    assert built.columns[1].categories == ("NL",)
    assert built.summary.missing.tolist() == [0, 100]
    assert len(built.notices) == 2


def test_reference_from_a_file(seat: Callable[..., Seat], batch: Batch, put: Put, tmp_path: Path) -> None:
    put(batch({"x": normal(300)}))
    live = seat().reference()
    assert live is not None
    assert seat(file=str(tmp_path / "absent.reference")).reference() == live

    shipped = build_reference("fraud", "1", Rows({("feature", "x"): np.array(normal(1000, 5))}), told="trained")
    shipped.save(tmp_path / "fraud-1.reference")
    by_file = seat(file=str(tmp_path / "fraud-{version}.reference"))

    assert by_file.reference() == shipped
    assert seat().reference() == shipped  # it replaced what was stored
    summary, rows = by_file.window(0, 60)
    assert rows == 300
    assert len(summary.counts) == shipped.layout.bins


@pytest.mark.parametrize("version", ["../other", "/etc/passwd", "a\x00b"])
def test_a_version_by_any_name_reads_no_file_elsewhere(
    seat: Callable[..., Seat], batch: Batch, put: Put, tmp_path: Path, version: str
) -> None:
    shipped = build_reference("fraud", "1", Rows({("feature", "x"): np.array(normal(1000, 5))}))
    (tmp_path / "refs").mkdir()
    shipped.save(tmp_path / "other")
    put(batch({"x": normal(300)}, version=version))

    built = seat(file=str(tmp_path / "refs" / "{version}")).reference(version)

    assert built is not None
    assert built.source == "the first 200 live rows"


def expected(seat: Seat, values: dict[str, list[Any]]) -> Summary:
    reference = seat.reference()
    assert reference is not None
    columns = {("feature", name): np.array(one, float) for name, one in values.items()}
    rows = len(next(iter(values.values())))
    [made] = summarise(reference.layout, columns, np.zeros(rows, int), 1)
    return made


def test_a_window_counts_every_row_once_however_it_came(seat: Callable[..., Seat], batch: Batch, put: Put) -> None:
    asked = seat()
    values = normal(900, 3)
    put(batch({"x": values[:300]}))  # minutes 0 to 5
    assert asked.window(0, 60)[1] == 300
    put(batch({"x": values[300:600]}, start=301 * SECOND), batch({"x": values[:50]}, role=pb.SHADOW))
    put(batch({"x": values[600:]}, start=SECOND))  # late: the same minutes again
    for one in (asked, seat()):  # also after a restart
        for _ in range(2):
            summary, rows = one.window(0, 60)
            assert rows == 900
            assert summary.counts.tolist() == expected(one, {"x": values}).counts.tolist()


def test_a_window_is_of_its_minutes(seat: Callable[..., Seat], batch: Batch, put: Put) -> None:
    put(batch({"x": normal(600)}, start=0))
    asked = seat()
    assert [asked.window(start, end)[1] for start, end in ((0, 10), (0, 1), (3, 5), (9, 99), (10, 99))] == [
        600,
        60,
        120,
        60,
        0,
    ]


def test_missing_is_counted_and_a_text_where_a_number_was_too(
    seat: Callable[..., Seat], batch: Batch, put: Put
) -> None:
    put(batch({"x": normal(250), "y": normal(250)}))
    asked = seat()
    asked.reference()
    put(batch({"x": [None, "three", 1.5]}, start=6000 * SECOND))

    summary, rows = asked.window(100, 200)

    assert rows == 3
    assert summary.rows.tolist() == [1, 0]
    assert summary.missing.tolist() == [2, 3]


def test_missing_text_is_missing(seat: Callable[..., Seat], batch: Batch, put: Put) -> None:
    put(batch({"country": ["NL", "DE"] * 125}))
    asked = seat()
    asked.reference()
    put(batch({"country": ["NL", None, None]}, start=6000 * SECOND))

    summary, rows = asked.window(100, 200)

    assert (rows, summary.rows.tolist(), summary.missing.tolist()) == (3, [1], [2])
    assert summary.counts.tolist() == [0, 1, 0]  # DE, NL, others


def test_what_was_judged_is_said_once_its_steps_are_written(
    seat: Callable[..., Seat], database: Database, batch: Batch, put: Put
) -> None:
    put(batch({"x": normal(5000)}))
    one = seat()
    model = one.catalogue.models["fraud"]
    reference = one.reference()
    assert reference is not None

    def judge() -> list[tuple[Verdict, Step]] | None:
        return asyncio.run(one.profiles.judge(model, 1, reference, LATER, 99))

    def kept() -> int:
        return len(database.read(lambda c: c.execute("SELECT * FROM steps").fetchall()).result())

    database.write(lambda c: c.execute("ALTER TABLE steps RENAME TO away")).result()
    with pytest.raises(duckdb.Error):
        judge()
    database.write(lambda c: c.execute("ALTER TABLE away RENAME TO steps")).result()
    assert kept() == 0

    said = judge()

    assert said is not None
    steps = [step for _, step in said]
    served = [step for step in steps if step.judged or step.counts.any() or step is steps[-1]]  # else an outage
    assert len(served) == kept() > 10
    assert judge() == []


def test_chunks_without_a_row_of_this_version(
    seat: Callable[..., Seat], batch: Batch, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profiles_module, "CHUNK_VALUES", 300)
    for _ in range(5):
        put(batch({"x": normal(100)}, version="1"))
    for _ in range(3):
        put(batch({"x": normal(100)}, version="2"))
    assert seat().window(0, 60, version="2")[1] == 300
    assert seat().window(0, 60, version="1")[1] == 500


NUMBERS, TEXTS = np.array([1.0, 2.5, np.nan]), np.array(["a", None, "c"], object)


@pytest.mark.parametrize(
    ("stored", "kind", "read"),
    [
        ({"n1": NUMBERS}, None, [1.0, 2.5, None]),
        ({"n1": NUMBERS}, "categorical", ["1", "2.5", None]),
        ({"t1": TEXTS}, None, ["a", None, "c"]),
        ({"n1": np.array([np.nan, 2.5, np.nan]), "t1": TEXTS}, None, ["a", "2.5", "c"]),
        ({"n1": np.array([np.nan, 2.5, np.nan]), "t1": TEXTS}, "numeric", [None, 2.5, None]),
        ({"n1": np.array([1.0, 2.0, np.nan]), "t1": np.array([None, None, "c"], object)}, None, [1.0, 2.0, None]),
        (
            {"n1": np.array([1.0, 2.0, np.nan]), "t1": np.array([None, None, "c"], object)},
            "categorical",
            ["1", "2", "c"],
        ),
    ],
)
def test_reading_a_column(stored: dict[str, Array], kind: str | None, read: list[Any]) -> None:
    column = Column(1, "x", "feature", {"NUMBER"} if "n1" in stored else set())
    found = read_column(column, stored, kind)
    assert [None if value != value else value for value in found.tolist()] == read  # noqa: PLR0124
