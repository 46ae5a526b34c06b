"""Rows of predictions: appended in bulk, read by window."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tenure_agent.store import Database, predictions
from tenure_agent.store.catalogue import Catalogue, Model
from tenure_agent.store.database import Cursor
from tenure_proto.v1 import monitoring_pb2 as pb

SECOND = 1_000_000
DAY = 86_400 * SECOND
Batch = Callable[..., pb.Batch]
Truths = Callable[..., pb.Outcomes]
Put = Callable[..., None]


def everything(database: Database, model: Model, version: int = 1) -> dict[str, list[Any]]:
    """All rows of a version, by column name, None where missing."""
    columns = list(model.columns.values())
    found = database.read(lambda cursor: predictions.columns_after(cursor, model, version, (0, 99), columns)).result()
    named = {f"{kind}{column.number}": f"{kind}:{column.name}" for column in columns for kind in "nt"}
    return {
        named.get(name, name): [None if value != value else value for value in values.tolist()]  # noqa: PLR0124
        for name, values in found.items()
    }


def test_batches_with_different_columns_in_one_append(
    database: Database, catalogue: Catalogue, batch: Batch, put: Put
) -> None:
    put(
        batch({"amount": [1.0, 2.0], "country": ["NL", None]}, outputs={"prediction": [0.1, 0.2]}),
        batch({"amount": [3.0]}, start=10 * SECOND),
        batch({"country": ["DE"], "new": [7]}, start=20 * SECOND, outputs={"prediction": [0.4]}),
    )

    rows = everything(database, catalogue.models["fraud"])

    assert rows["time"] == [1 * SECOND, 2 * SECOND, 10 * SECOND, 20 * SECOND]
    assert rows["n:amount"] == [1.0, 2.0, 3.0, None]
    assert rows["t:country"] == ["NL", None, None, "DE"]
    assert rows["n:new"] == [None, None, None, 7.0]
    assert rows["n:prediction"] == [0.1, 0.2, None, 0.4]


@pytest.mark.parametrize("together", [True, False])
def test_missing_is_missing_however_rows_come(
    database: Database, catalogue: Catalogue, batch: Batch, put: Put, together: bool
) -> None:
    batches = [
        batch({"x": [None, 1.0], "t": ["a", None]}),
        batch({"x": [None, None], "t": [None, "b"]}),
        batch({"x": [float("inf"), float("nan")], "t": ["", "?"]}),
    ]
    if together:
        put(*batches)
    else:
        for one in batches:
            put(one)

    rows = everything(database, catalogue.models["fraud"])

    assert rows["n:x"] == [None, 1.0, None, None, float("inf"), None]
    assert rows["t:t"] == ["a", None, None, "b", "", "?"]


def test_rows_of_a_version_by_ingest_number(database: Database, catalogue: Catalogue, batch: Batch, put: Put) -> None:
    put(batch({"x": [1.0]}, version="1"))
    put(batch({"x": [2.0, 3.0]}, version="2"))
    put(batch({"x": [4.0]}, version="1"), batch({"x": [5.0]}, version="1", role=pb.SHADOW))
    model = catalogue.models["fraud"]
    column = [model.columns["feature", "x"]]

    def after(version: int, first: int, last: int) -> list[float]:
        found = database.read(
            lambda cursor: predictions.columns_after(cursor, model, version, (first, last), column)
        ).result()
        return sorted(found["n1"].tolist())

    assert after(1, 0, 9) == [1.0, 4.0, 5.0]
    assert after(1, 1, 9) == [4.0, 5.0]
    assert after(1, 1, 3) == [4.0]
    assert after(2, 0, 9) == [2.0, 3.0]
    assert after(2, 2, 9) == []


@pytest.mark.parametrize(
    ("after", "rows", "upto"), [(0, 1, 1), (0, 2, 2), (0, 3, 2), (0, 4, 3), (0, 99, 3), (2, 1, 3), (3, 9, 3)]
)
def test_ingest_numbers_in_chunks(
    database: Database, catalogue: Catalogue, batch: Batch, put: Put, after: int, rows: int, upto: int
) -> None:
    for count in (1, 2, 1):
        put(batch({"x": [0.0] * count}))
    model = catalogue.models["fraud"]
    assert database.read(lambda cursor: predictions.batch_bounds(cursor, model, after, rows)).result() == upto


def test_champion_is_who_made_the_newest_champion_row(
    database: Database, catalogue: Catalogue, batch: Batch, put: Put
) -> None:
    put(batch({"x": [0.0]}, version="old", start=DAY), batch({"x": [0.0]}, version="new", start=5 * DAY))
    put(batch({"x": [0.0]}, version="shadow", start=9 * DAY, role=pb.SHADOW))
    model = catalogue.models["fraud"]

    def champion(before: int) -> int | None:
        return database.read(lambda cursor: predictions.champion(cursor, model, before)).result()

    assert champion(DAY) is None
    assert champion(DAY + 1) == champion(5 * DAY) == model.versions["old"]
    assert champion(5 * DAY + 1) == champion(99 * DAY) == model.versions["new"]


def test_counts_and_bounds(database: Database, catalogue: Catalogue, batch: Batch, put: Put) -> None:
    def read(work: Callable[[Cursor], Any]) -> Any:
        return database.read(work).result()

    assert read(lambda c: predictions.newest_batch(c, catalogue)) == 0
    assert read(lambda c: predictions.newest_time(c, catalogue)) == 0
    put(batch({"x": [0.0] * 3}), batch({"x": [0.0]}, role=pb.SHADOW, version="2", start=9 * SECOND))
    put(batch({"x": [0.0]}, model="other", start=50 * SECOND))
    model = catalogue.models["fraud"]

    assert read(lambda c: predictions.extent(c, model, 1, 10**18)) == (3, 2 * SECOND)
    assert read(lambda c: predictions.extent(c, model, 2, 10**18)) == (0, 0)
    assert read(lambda c: predictions.rows_between(c, model, 2 * SECOND, 3 * SECOND)) == 1
    assert read(lambda c: predictions.rows_between(c, model, 0, DAY)) == 3
    assert read(lambda c: predictions.first_time(c, model)) == SECOND
    assert read(lambda c: predictions.newest_batch(c, catalogue)) == 3
    assert read(lambda c: predictions.newest_time(c, catalogue)) == 50 * SECOND
    assert read(lambda c: predictions.stored_counts(c, model)) == [("1", 0, 3), ("2", 2, 1)]


def test_filled_holds_what_is_missing_as_such() -> None:
    found = predictions.filled(
        {
            "number": np.ma.masked_array(np.array([1.0, 2.0]), [False, True]),
            "text": np.ma.masked_array(np.array(["a", "b"], object), [True, False]),
            "plain": np.array([3]),
        }
    )
    assert found["number"].tolist()[0] == 1.0
    assert np.isnan(found["number"][1])
    assert found["text"].tolist() == [None, "b"]
    assert found["plain"].tolist() == [3]
