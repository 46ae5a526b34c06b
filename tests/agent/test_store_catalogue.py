"""Names from outside: data, never SQL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tenure_agent.store import Database, predictions
from tenure_agent.store import catalogue as catalogue_module
from tenure_agent.store.catalogue import MAX_NAME, Catalogue, LimitReached
from tenure_agent.store.database import Cursor
from tenure_proto.v1 import monitoring_pb2 as pb

Batch = Callable[..., pb.Batch]
Put = Callable[..., None]

NASTY = [
    '"; DROP TABLE models; --',
    "'; DROP TABLE models; --",
    "models",
    "select",
    "a b\tc\nd",
    "naïve 名前 🙂",
    "a\x00b",
    "%s ? $1 {0} \\",
    '""',
    " ",
    "x" * MAX_NAME,
    "batch",
    "n1",
]


def models(cursor: Cursor) -> list[Any]:
    return cursor.execute("SELECT name FROM models ORDER BY model").fetchall()


@pytest.mark.parametrize("name", NASTY)
def test_names_are_data(name: str, database: Database, catalogue: Catalogue, batch: Batch, put: Put) -> None:
    put(batch({name: [1.0, 2.0]}, model=name, version=name, outputs={name: [0.5, 0.6]}))
    put(batch({name: [3.0], "other": ["text"]}, model=name, version=name))

    assert database.read(models).result() == [(name,)]
    model = catalogue.models[name]
    assert set(model.columns) == {("feature", name), ("output", name), ("feature", "other")}
    rows = database.read(
        lambda cursor: predictions.columns_after(cursor, model, 1, (0, 9), list(model.columns.values()))
    ).result()
    assert rows["n1"].tolist() == [1.0, 2.0, 3.0]
    assert database.read(lambda cursor: predictions.stored_counts(cursor, model)).result() == [(name, 0, 3)]


def test_a_new_agent_knows_the_same_names(database: Database, catalogue: Catalogue, batch: Batch, put: Put) -> None:
    put(batch({"amount": [1.0], "country": ["NL"]}, version="1", outputs={"prediction": [0.5]}))
    put(batch({"amount": ["12 EUR"]}, version="2"))
    put(batch({"x": [True]}, model="other"))

    fresh = database.read(Catalogue).result()

    assert fresh.models == catalogue.models
    assert fresh.models["fraud"].versions == {"1": 1, "2": 2}
    assert fresh.models["fraud"].columns["feature", "amount"].kinds == {"NUMBER", "TEXT"}
    assert fresh.by_number(2).name == "other"
    assert fresh.models["fraud"].version_name(2) == "2"


def test_number_to_text_keeps_both_beside_each_other(
    database: Database, catalogue: Catalogue, batch: Batch, put: Put
) -> None:
    put(batch({"amount": [1.5, 2.5]}))
    put(batch({"amount": ["three", "four"]}))
    put(batch({"amount": [5.5, "six"]}))
    put(batch({"amount": [True, False]}))

    model = catalogue.models["fraud"]
    column = model.columns["feature", "amount"]
    rows = database.read(lambda cursor: predictions.columns_after(cursor, model, 1, (0, 9), [column])).result()

    assert column.kinds == {"NUMBER", "TEXT", "BOOLEAN"}
    assert predictions.stored_names(column) == ["n1", "t1"]
    numbers = [None if number != number else number for number in rows["n1"].tolist()]  # noqa: PLR0124
    assert list(zip(numbers, rows["t1"].tolist(), strict=True)) == [
        (1.5, None),
        (2.5, None),
        (None, "three"),
        (None, "four"),
        (5.5, None),
        (None, "six"),
        (1.0, None),
        (0.0, None),
    ]


def test_feature_and_output_of_one_name_are_two(catalogue: Catalogue, batch: Batch, put: Put) -> None:
    put(batch({"score": [1.0]}, outputs={"score": [2.0]}))
    assert {column.number for column in catalogue.models["fraud"].columns.values()} == {1, 2}


@pytest.mark.parametrize("name", ["", "x" * (MAX_NAME + 1)])
def test_bad_names_have_a_reason(name: str, database: Database, catalogue: Catalogue) -> None:
    def refuse(reason: str, work: Callable[[Cursor], object]) -> None:
        with pytest.raises(LimitReached) as refused:
            database.write(work).result()
        assert refused.value.reason == reason

    model = database.write(lambda cursor: catalogue.model(cursor, "good", 1)).result()
    refuse("bad_model_name", lambda cursor: catalogue.model(cursor, name, 1))
    refuse("bad_version_name", lambda cursor: catalogue.version(cursor, model, name, 1))
    refuse("bad_column_name", lambda cursor: catalogue.column(cursor, model, "feature", name, "NUMBER", 1))
    assert list(catalogue.models) == ["good"]


def test_limits_hold_and_leave_what_is_there(
    database: Database, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    for limit in ("MAX_MODELS", "MAX_VERSIONS", "MAX_COLUMNS"):
        monkeypatch.setattr(catalogue_module, limit, 3)

    def fill(cursor: Cursor) -> None:
        for i in range(3):
            model = catalogue.model(cursor, f"m{i}", 1)
        for i in range(3):
            catalogue.version(cursor, model, f"v{i}", 1)
            catalogue.column(cursor, model, "feature", f"c{i}", "NUMBER", 1)
        for reason, more in (
            ("too_many_models", lambda: catalogue.model(cursor, "m9", 1)),
            ("too_many_versions", lambda: catalogue.version(cursor, model, "v9", 1)),
            ("too_many_columns", lambda: catalogue.column(cursor, model, "output", "c9", "TEXT", 1)),
        ):
            with pytest.raises(LimitReached) as refused:
                more()
            assert refused.value.reason == reason
        catalogue.column(cursor, model, "feature", "c0", "TEXT", 1)  # a change of type is no new column

    database.write(fill).result()
    assert database.read(Catalogue).result().models == catalogue.models
