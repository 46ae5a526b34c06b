"""Questions in SQL: real names, nothing but reading, no longer and no more than asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tenure_agent.store import Database, question
from tenure_agent.store.question import Answer, Refused
from tenure_agent.store.views import distinct
from tenure_proto.v1 import monitoring_pb2 as pb

Ask = Callable[..., Answer]


@pytest.fixture
def ask(database: Database) -> Ask:
    def run(query: str, rows: int = 100, seconds: float = 30.0) -> Answer:
        return database.ask(lambda cursor: question.ask(cursor, query, rows=rows, seconds=seconds)).result()

    return run


@pytest.fixture
def stored(put: Callable[..., None], batch: Callable[..., pb.Batch], truths: Callable[..., pb.Outcomes]) -> None:
    features: dict[str, list[Any]] = {
        "amount": [1.5, None],
        "AMOUNT": [7.0, 8.0],
        "is new": [True, False],
        'quo"te': ["a", None],
        "time": [3.0, 4.0],
        "x; DROP TABLE rows_1": [0.0, 0.0],
    }
    put(
        batch(features, ids=["a", "b"], outputs={"prediction": [0.25, 0.75]}),
        batch({"amount": ["text"]}, ids=["c"], version="2", role=pb.SHADOW),
        truths=[truths({"a": 1.0}), truths({"b": "no"})],
    )
    put(batch({"x": [1.0]}, model="Fraud"))


@pytest.mark.usefixtures("stored")
def test_predictions_have_their_real_names(ask: Ask) -> None:
    found = ask("FROM predictions_fraud ORDER BY id")
    assert [name for name, _ in found.columns] == [
        *("id", "time", "version", "role", "latency", "error"),
        *("amount", "AMOUNT_2", "is new", 'quo"te', "feature.time", "x; DROP TABLE rows_1", "output.prediction"),
    ]
    first = dict(zip((name for name, _ in found.columns), found.rows[0], strict=True))
    assert first | {"latency": 0} == {
        "id": "a",
        "time": "1970-01-01T00:00:01",
        "version": "1",
        "role": "champion",
        "latency": 0,
        "error": None,
        "amount": "1.5",  # it became text later
        "AMOUNT_2": 7.0,
        "is new": True,
        'quo"te': "a",
        "feature.time": 3.0,
        "x; DROP TABLE rows_1": 0.0,
        "output.prediction": 0.25,
    }
    assert found.rows[2][2:4] == ["2", "shadow"]
    assert ask('SELECT x FROM "predictions_Fraud_2"').rows == [[1.0]]  # names differ by more than their case


@pytest.mark.usefixtures("stored")
def test_every_view_can_be_read_and_is_listed(ask: Ask) -> None:
    listed = {row[0] for row in ask("SELECT view_name FROM duckdb_views() WHERE temporary AND NOT internal").rows}
    fixed = {"pending", "outcomes", "summaries", "verdicts", "decisions"}
    assert listed == {"predictions_fraud", "predictions_Fraud_2"} | fixed
    for name in listed:
        assert ask(f'FROM "{name}"').complete
    assert ask("SELECT id, label FROM outcomes ORDER BY id").rows == [["a", "1"], ["b", "no"]]
    assert ask("DESCRIBE outcomes").rows[0][0] == "model"
    assert ask("EXPLAIN FROM outcomes").rows


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM rows_1",
        "DROP VIEW outcomes",
        "CREATE TABLE mine (x INTEGER)",
        "CREATE TEMP TABLE mine (x INTEGER)",
        "UPDATE models SET name = 'x'",
        "COPY models TO 'models.csv'",
        "PRAGMA database_size",
        "CALL force_checkpoint()",
        "FROM force_checkpoint()",
        "SET threads = 9",
        "BEGIN",
        "COMMIT",
        "ATTACH 'other.duckdb'",
        "EXPLAIN ANALYZE DELETE FROM rows_1",
        "EXPLAIN ANALYZE INSERT INTO models VALUES (9, 'x', 0)",
        "WITH gone AS (DELETE FROM rows_1 RETURNING *) FROM gone",
        "WITH made AS (INSERT INTO models VALUES (9, 'x', 0) RETURNING *) FROM made",
        "SELECT 1; DELETE FROM rows_1",
        "SELECT * FROM query('DELETE FROM rows_1')",
        "SELECT * FROM read_text('/etc/hostname')",
        "SELECT * FROM '/etc/hostname'",
        "SELECT getenv('HOME')",
        "SELECT * FROM cursor",
        "SELECT * FROM rows",
        "SELECT nothing FROM nowhere",
        "SELEC 1",
        "",
    ],
)
def test_what_is_not_reading_is_refused(ask: Ask, query: str) -> None:
    count = "SELECT (SELECT count(*) FROM rows_1), (SELECT count(*) FROM models)"
    before = ask(count).rows
    with pytest.raises(Refused, match=r"^query: "):
        ask(query)
    assert ask(count).rows == before == [[3, 2]]


def test_rows_have_a_limit_and_so_have_bytes(ask: Ask) -> None:
    assert ask("FROM range(10)", rows=10) == Answer([("range", "BIGINT")], [[i] for i in range(10)], complete=True)
    assert (len(ask("FROM range(11)", rows=10).rows), ask("FROM range(11)", rows=10).complete) == (10, False)
    much = ask("SELECT repeat('x', 1000) FROM range(1000000000)", rows=100_000)
    assert (2000 < len(much.rows) < 4000, much.complete) == (True, False)


@pytest.mark.parametrize(
    "query",
    ["SELECT count(*) FROM range(10000000000000)", "SELECT max(a.range) FROM range(10000000) a, range(10000000) b"],
)
def test_time_has_a_limit_and_the_store_goes_on(ask: Ask, database: Database, query: str) -> None:
    with pytest.raises(Refused, match=r"stopped after 0\.1 s\. Try: "):
        ask(query, seconds=0.1)
    assert ask("SELECT 1").rows == [[1]]
    assert database.read(lambda cursor: cursor.execute("SELECT 1").fetchall()).result() == [(1,)]


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("NULL", None),
        ("1::HUGEINT", 1),
        ("'nan'::DOUBLE", "nan"),
        ("1.50::DECIMAL(4, 2)", "1.50"),
        ("DATE '2026-01-02'", "2026-01-02"),
        ("'\\xAA'::BLOB", "aa"),
        ("[1, NULL]", [1, None]),
        ("{'a': TIMESTAMP '2026-01-02 03:04:05'}", {"a": "2026-01-02T03:04:05"}),
        ("INTERVAL 1 DAY", "1 day, 0:00:00"),
    ],
)
def test_every_value_is_json(ask: Ask, expression: str, value: Any) -> None:
    assert ask(f"SELECT {expression}").rows == [[value]]


def test_names_are_told_apart() -> None:
    assert distinct(["a", "A", "a_2", "a", "b"]) == ["a", "A_2", "a_2_2", "a_3", "b"]
