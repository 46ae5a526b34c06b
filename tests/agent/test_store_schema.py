"""A store written by an older agent is brought forward with everything in it, at once or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tenure.errors import TenureError
from tenure_agent.store import Database, decisions, outcomes, predictions, producers, schema, verdicts
from tenure_agent.store.catalogue import Catalogue
from tenure_agent.store.schema import SCHEMA, sections
from tenure_agent.wire import Refusal

FIRST = Path(__file__).with_name("schema_1.sql").read_text()
TABLES = "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE schema_name = 'main' ORDER BY ALL"
ROWS = [
    "INSERT INTO meta VALUES ('schema', '1')",
    "INSERT INTO models VALUES (1, 'fraud', 5)",
    "INSERT INTO versions VALUES (1, 1, '3.2.1', 5)",
    "INSERT INTO columns VALUES (1, 1, 'amount', 'feature', 'NUMBER', 5), (1, 2, 'prediction', 'output', 'NUMBER', 5)",
    "CREATE TABLE rows_1 (batch BIGINT, time BIGINT, version INTEGER, role UTINYINT, id VARCHAR, n1 DOUBLE, n2 DOUBLE)",
    "INSERT INTO rows_1 SELECT 1, range, 1, 0, 'id' || range, range, range / 200 FROM range(100)",
    "INSERT INTO outcomes VALUES (2, 1, 'id3', 300, 1.0, NULL, NULL), (2, 1, 'gone', 300, 0.0, NULL, NULL)",
    "INSERT INTO pending VALUES (1, md5_number('gone'), 7, 1, 0, 0.25, NULL)",
    "INSERT INTO producers VALUES ('p', 1, '[]', 60, 0, 5), ('p', 2, '[[\"fraud\", \"malformed\", 7]]', 102, 1, 6), ('q', 9, '[]', 0, 8, 6)",
    "INSERT INTO losses VALUES ('p', 'fraud', 'queue_full', 4)",
    "INSERT INTO verdicts VALUES (1, 1, 'drift', 'OK', 'OK', 60, 0, 'quiet', '{\"measures\": {}}')",
    "INSERT INTO jobs VALUES ('retention', 60)",
]


def write(path: Path, *statements: str) -> None:
    with duckdb.connect(str(path)) as connection:
        for statement in statements:
            connection.execute(statement)


def look(database: Database, query: str) -> list[Any]:
    return database.read(lambda cursor: cursor.execute(query).fetchall()).result()


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A store of schema 1, with a decision on its way."""
    path = tmp_path / "tenure.duckdb"
    decision = [
        "d",
        1,
        1,
        "retrain",
        "scheduled",
        "routine",
        "act",
        "due",
        50,
        json.dumps({}),
        50,
        "pending",
        3,
        90,
        "x",
    ]
    told = ", ".join(repr(value) for value in decision)
    write(path, FIRST, *ROWS, f"INSERT INTO decisions VALUES ({told})")
    return path


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / "fresh" / "tenure.duckdb")
    yield opened
    opened.close()


def test_a_store_of_schema_1_is_brought_forward_with_everything_in_it(old: Path, fresh: Database) -> None:
    for killed in (True, False):  # what brings it forward is in the log, and is read again
        database = Database(old)
        _has_everything(database)
        tables = [row for row in look(database, TABLES) if row[0] != "rows_1"]
        assert tables == look(fresh, TABLES)
        if killed:
            database._connection.close()
            os.close(database._lock_file)
        else:
            database.close()


def _has_everything(database: Database) -> None:
    model = database.read(Catalogue).result().models["fraud"]
    assert model.versions == {"3.2.1": 1}
    assert database.read(lambda c: predictions.stored_counts(c, model)).result() == [("3.2.1", 0, 100)]
    found = database.read(lambda c: outcomes.labelled(c, model, 1, since=0, newest=9)).result()
    assert sorted(zip(found.predictions, found.labels, strict=True)) == [(0.015, 1.0), (0.25, 0.0)]
    known = database.read(producers.load).result()
    assert {name: (one.last_seq, one.stored, one.missed, one.lost) for name, one in known.items()} == {
        "p": (2, 102, 1, 0),
        "q": (9, 0, 8, 0),
    }
    assert known["p"].losses == {("fraud", "queue_full"): 4}
    assert [one.refused for one in known.values()] == [{2: [Refusal("fraud", "malformed", 7)]}, {}]
    assert database.read(decisions.counts).result()[decisions.PENDING] == 1
    assert [one["reason"] for one in database.read(verdicts.newest).result()] == ["quiet"]
    assert look(database, "SELECT value FROM meta WHERE key = 'schema'") == [(str(SCHEMA),)]


def test_the_first_section_is_what_the_first_release_wrote(tmp_path: Path) -> None:
    shapes = []
    for name, text in (("frozen", FIRST), ("now", schema.STEPS[0])):
        write(tmp_path / name, text)
        with duckdb.connect(str(tmp_path / name)) as connection:
            shapes.append(connection.execute(TABLES).fetchall())
    assert shapes[0] == shapes[1]


def test_a_step_that_fails_leaves_the_file_as_it_was(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = old.read_bytes()
    monkeypatch.setattr(schema, "STEPS", [*schema.STEPS, "CREATE TABLE more (x INTEGER); SELECT nothing FROM nowhere"])
    monkeypatch.setattr(schema, "SCHEMA", SCHEMA + 1)
    with pytest.raises(TenureError, match="cannot be opened"):
        Database(old)
    assert old.read_bytes() == before
    monkeypatch.undo()
    Database(old).close()


@pytest.mark.parametrize("told", [None, "0", "two", "-1"])
def test_a_file_that_does_not_tell_its_schema_is_left_alone(tmp_path: Path, told: str | None) -> None:
    path = tmp_path / "tenure.duckdb"
    write(path, FIRST, "SELECT 1" if told is None else f"INSERT INTO meta VALUES ('schema', '{told}')")
    before = path.read_bytes()
    with pytest.raises(TenureError, match=r"its schema is not told\. Try: "):
        Database(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("numbers", [[2], [1, 3], [1, 1], [2, 1]])
def test_sections_are_numbered_one_after_the_other(numbers: list[int]) -> None:
    with pytest.raises(ValueError, match="sections"):
        sections("".join(f"-- Schema {number}.\nSELECT {number};\n" for number in numbers))
