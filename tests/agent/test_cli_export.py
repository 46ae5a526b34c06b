"""`tenure-agent archive` and `tenure-agent export`: from a running agent into a file of one's own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import duckdb
import pytest
from click.testing import CliRunner, Result

import tenure
from tenure_agent import exports
from tenure_agent.asking import Asking, NoAnswer
from tenure_agent.cli import main
from tenure_agent.daemon import Agent

START = 1_700_000_000  # 2023-11-14
Running = Callable[..., AbstractContextManager[Agent]]
Tell = Callable[..., Result]


@pytest.fixture
def agent(running: Running) -> Iterator[Agent]:
    """It has 20 rows of version 1, each with a label but the last, and one of version 2 in shadow."""
    with running({"archive": {"url": "./archive"}}) as started:
        monitor = tenure.Monitor("fraud", version="1", agent=started.addresses["grpc"])
        for i in range(20):
            monitor.record({"x": float(i), "name": f"it's {i}"}, i / 20, id=f"r{i:02}", time=START + 3600 * i)
        monitor.outcome([f"r{i:02}" for i in range(19)], label=[i % 2 for i in range(19)], time=START + 90_000)
        assert monitor.flush(60)
        assert monitor.close()
        yield started


@pytest.fixture
def tell(agent: Agent) -> Tell:
    def run(*arguments: object) -> Result:
        given = [*map(str, arguments), "--agent", agent.addresses["grpc"]]
        return CliRunner().invoke(main, given, catch_exceptions=False)

    return run


def rows(path: Path, query: str = "SELECT *") -> list[tuple[Any, ...]]:
    with duckdb.connect() as connection:
        return connection.execute(f"{query} FROM '{path}' ORDER BY 1").fetchall()


def test_archive_and_status(tell: Tell, tmp_path: Path) -> None:
    assert json.loads(tell("status", "--json").stdout)["archive"] == {"behind": 0.0, "failed": None}
    done = tell("archive")
    assert done.stdout == "20 predictions and 19 outcomes archived in 3 files\n"
    assert done.stderr == "fraud: 20 predictions, 19 outcomes\n"
    assert len(rows(tmp_path / "archive" / "predictions" / "*" / "*" / "*.parquet")) == 20
    assert json.loads(tell("archive", "--json").stdout) == {"files": 0, "predictions": 0, "outcomes": 0}


def test_no_archive(running: Running) -> None:
    with running() as started:
        refused = CliRunner().invoke(main, ["archive", "--agent", started.addresses["grpc"]])
    assert (refused.exit_code, "Try: archive: {url: ./archive}" in refused.stderr) == (1, True)


def test_what_keeps_rows_from_the_archive_is_told(running: Running, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no directory")
    with running({"archive": {"url": "./file"}}) as started:
        given = ["--agent", started.addresses["grpc"]]
        monitor = tenure.Monitor("fraud", version="1", agent=started.addresses["grpc"])
        monitor.record({"x": 1.0}, 0.5)
        assert monitor.flush(60)
        assert monitor.close()
        refused = CliRunner().invoke(main, ["archive", *given])
        shown = CliRunner().invoke(main, ["status", *given])
    told = "cannot be written (File exists). Try: room and rights there"
    assert (refused.exit_code, told in refused.stderr) == (1, True)
    assert told in " ".join(shown.stdout.split())


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
@pytest.mark.parametrize("archived", [False, True])
def test_files(tell: Tell, tmp_path: Path, suffix: str, archived: bool) -> None:
    if archived:
        tell("archive")
    out = tmp_path / f"it's{suffix}"
    done = tell("export", "--since", "2023-11-14", "--until", "2023-11-15T00:00:00Z", "--out", out)
    assert done.stdout == f"2 labelled rows in {out}\n"
    assert rows(tmp_path / f"it?s{suffix}", 'SELECT id, "version", x, name, label::INT, "output.prediction"') == [
        ("r00", 1 if suffix == ".csv" else "1", 0.0, "it's 0", 0, 0.0),
        ("r01", 1 if suffix == ".csv" else "1", 1.0, "it's 1", 1, 0.05),
    ]
    assert {path.name for path in tmp_path.glob(".*")} == set()
    assert list((tmp_path / "tenure.duckdb.exports").iterdir()) == []

    told = json.loads(tell("export", "--since", "2023-11-14", "--all", "--out", out, "--json").stdout)
    assert told == {"rows": 20, "archived_files": 0, "path": str(out)}
    assert len(rows(tmp_path / f"it?s{suffix}")) == 20


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--out", "rows.txt"], 2, "--out: 'rows.txt' is neither .parquet nor .csv. Try: rows.parquet"),
        (["--out", "/nowhere/rows.csv"], 2, "--out: /nowhere/rows.csv cannot be written (No such file or directory)"),
        (["--out", "rows.csv", "--model", "nobody"], 1, "model: 'nobody' is unknown. Try: fraud"),
        (["--out", "rows.csv", "--version", "9"], 1, "version: '9' is unknown. Try: 1"),
        (["--out", "rows.csv", "--role", "shadow"], 1, "no labelled rows there. Try: another time, or --all"),
        (["--out", "rows.csv", "--until", "2023-11-14"], 1, "no labelled rows there."),
        (["--out", "rows.csv", "--known-by", "2023-11-15"], 1, "no labelled rows there."),
        (["--out", "rows.csv", "--until", "2023-11-14", "--all"], 1, "no rows there. Try: another time or --role"),
        (["--out", "rows.csv", "--until", "tomorrow"], 2, "does not match the formats"),
        ([], 2, "Missing option '--out'"),
    ],
)
def test_refusals(tell: Tell, tmp_path: Path, arguments: list[str], code: int, told: str) -> None:
    before = sorted(tmp_path.iterdir())
    refused = tell("export", "--since", "2023-11-14", *arguments)
    assert refused.exit_code == code
    assert told in refused.stderr
    assert sorted(tmp_path.iterdir()) == before


def test_a_file_that_is_there_is_replaced_whole_or_stays(
    agent: Agent, tell: Tell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "rows.csv"
    out.write_text("what was there")
    monkeypatch.setattr(exports, "PART_BYTES", 100)
    asking = Asking(agent.addresses["grpc"])
    seen: list[tuple[int, int]] = []

    def stop(done: int, size: int) -> None:
        seen.append((done, size))
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        asking.export({"start": 0, "form": "csv"}, out, progress=stop)
    assert [done for done, _ in seen] == [100, 200, 300]
    assert out.read_text() == "what was there"
    assert len(list(tmp_path.glob("*rows.csv*"))) == 1

    found = asking.export({"start": 0, "form": "csv"}, out)
    assert (found["rows"], len(out.read_text().splitlines())) == (19, 20)
    for _ in range(5):
        asking.ask("export", {"start": 0})
    assert len(list((tmp_path / "tenure.duckdb.exports").iterdir())) == exports.MOST  # of readers that went away
    with pytest.raises(NoAnswer, match="is not there any more"):
        asking.ask("export_part", {"name": "../tenure.duckdb"})
    asking.close()


def test_what_a_killed_agent_left_goes(running: Running, tmp_path: Path) -> None:
    folder = tmp_path / "tenure.duckdb.exports"
    (folder / "export-0.scratch").mkdir(parents=True)
    (folder / "export-0.scratch" / "predictions-0.parquet").write_text("a copy")
    (folder / "export-1").write_text("rows")
    with running():
        assert list(folder.iterdir()) == []
