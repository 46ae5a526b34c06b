"""`tenure-agent sql`: the same rows as a table, CSV, Parquet and JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner, Result

import tenure
from tenure_agent.cli import main
from tenure_agent.daemon import Agent

START = 1_700_000_000
QUERY = 'SELECT id, amount, "is new", [1] AS list, time FROM predictions_fraud ORDER BY id'


@pytest.fixture
def asked(running: Callable[..., AbstractContextManager[Agent]]) -> Iterator[Callable[..., Result]]:
    with running() as agent:
        address = agent.addresses["grpc"]
        monitor = tenure.Monitor("fraud", version="1", agent=address)
        for i, amount in enumerate((1.5, None)):
            monitor.record({"amount": amount, "is new": bool(i)}, 0.5, id=f"r{i}", time=START)
        assert monitor.flush(60)
        assert monitor.close()
        yield lambda *arguments: CliRunner().invoke(main, ["sql", "--agent", address, *arguments])


def test_json_is_a_list_of_objects(asked: Callable[..., Result]) -> None:
    time = "2023-11-14T22:13:20"
    assert json.loads(asked(QUERY, "--json").stdout) == [
        {"id": "r0", "amount": 1.5, "is new": False, "list": [1], "time": time},
        {"id": "r1", "amount": None, "is new": True, "list": [1], "time": time},
    ]
    assert json.loads(asked("SELECT 1 AS a, 2 AS a", "--json").stdout) == [{"a": 1, "a_2": 2}]


def test_csv_and_table(asked: Callable[..., Result], tmp_path: Path) -> None:
    text = "id,amount,is new,list,time\nr0,1.5,false,[1],2023-11-14T22:13:20\nr1,,true,[1],2023-11-14T22:13:20\n"
    assert asked(QUERY, "--format", "csv").stdout == text
    assert asked(QUERY, "--format", "csv", "--out", str(tmp_path / "a.csv")).stdout == ""
    assert (tmp_path / "a.csv").read_text() == text
    shown = asked('SELECT id AS "[bold]id" FROM predictions_fraud').stdout
    assert "[bold]id" in shown
    assert "r0" in shown


def test_parquet_keeps_types(asked: Callable[..., Result], tmp_path: Path) -> None:
    out = tmp_path / "it's.parquet"
    assert asked(QUERY, "--format", "parquet", "--out", str(out)).exit_code == 0
    with duckdb.connect() as connection:
        found = connection.execute('SELECT id, amount, "is new", list, epoch(time) FROM read_parquet(?)', [str(out)])
        assert found.fetchall() == [("r0", 1.5, False, "[1]", START), ("r1", None, True, "[1]", START)]
    assert asked("SELECT 1 AS a WHERE false", "--format", "parquet", "--out", str(out)).exit_code == 0
    with duckdb.connect() as connection:
        assert connection.execute("SELECT count(a) FROM read_parquet(?)", [str(out)]).fetchall() == [(0,)]


def test_what_is_cut_off_is_said(asked: Callable[..., Result]) -> None:
    cut = asked(QUERY, "--limit", "1", "--json")
    assert (cut.exit_code, len(json.loads(cut.stdout))) == (0, 1)
    assert "only the first 1 rows. Try: --limit" in cut.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["DELETE FROM rows_1"], 1, "query: DELETE is not reading. Try: SELECT"),
        (["SELECT count(*) FROM range(10000000000000)", "--timeout", "0.1"], 1, "stopped after 0.1 s. Try:"),
        (["SELECT 1", "--format", "parquet"], 2, "Try: --out rows.parquet"),
        (["SELECT 1", "--out", "/nowhere/a.csv"], 2, "--out: /nowhere/a.csv cannot be written"),
        (["SELECT 1", "--format", "parquet", "--out", "/nowhere/a.parquet"], 2, "cannot be written"),
    ],
)
def test_refusals(asked: Callable[..., Result], arguments: list[str], code: int, told: str) -> None:
    refused = asked(*arguments)
    assert refused.exit_code == code
    assert told in refused.stderr
