"""`tenure-agent reference`: from a file of rows to a reference, and a reference as people and programs read it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import duckdb
import pytest
from click.testing import CliRunner, Result

from tenure_agent.cli.reference import reference
from tenure_agent.reference import Reference

ODD = "odd [bold]\x1b[31m\n"
ROWS = f"""
SELECT 'order-' || i AS order_id, hash(i) % 1000 / 10 AS amount, ['NL', 'DE', '[red]'][1 + i % 3] AS country,
    CASE WHEN hash(i, 1) % 20 = 0 THEN -200 ELSE hash(i, 2) % 977 / 100 END AS "{ODD}",
    (hash(i, 3) % 10 + 5 * (i % 2)) / 15 AS prediction, i % 2 AS label, 10 * (i % 2) + hash(i, 4) % 5 AS refund,
    ['reference', 'live'][1 + (i >= 3000)::INTEGER] AS split, 1700000000 + i * 60 AS time
FROM range(4000) t(i)
"""


def tell(*arguments: object, **options: Any) -> Result:
    return CliRunner().invoke(reference, [str(argument) for argument in arguments], catch_exceptions=False, **options)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A labelled history as Parquet."""
    path = tmp_path_factory.mktemp("rows") / "train.parquet"
    duckdb.connect().execute(f"COPY ({ROWS}) TO '{path}' (FORMAT parquet)")
    return path


@pytest.fixture(scope="module")
def built(rows: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reference of its first 3,000 rows."""
    out = tmp_path_factory.mktemp("built") / "fraud.reference"
    done = tell("build", rows, "--model", "fraud", "--version", "3", "--out", out, "--where", "split = 'reference'")
    assert done.exit_code == 0, done.output
    return out


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_build(rows: Path, tmp_path: Path, suffix: str) -> None:
    data, out = tmp_path / f"data{suffix}", tmp_path / "fraud.reference"
    options = "(FORMAT parquet)" if suffix == ".parquet" else "(HEADER)"
    duckdb.connect().execute(f"COPY (FROM '{rows}') TO '{data}' {options}")
    arguments = ("build", data, "--model", "fraud", "--version", "3", "--out", out, "--where", "split = 'reference'")

    told, parsed = tell(*arguments, "--ignore", "order_id"), tell(*arguments, "--json")

    assert told.exit_code == parsed.exit_code == 0
    document, made = json.loads(parsed.output), Reference.load(out)
    assert told.output.startswith(f"3,000 rows, 5 columns -> {out}\n  sha256 ")
    assert document["columns"] == {
        "amount": "numeric",
        "country": "categorical",
        ODD: "numeric",
        "refund": "numeric",
        "prediction": "numeric",
    }
    assert document["rows"] == made.rows == 3000
    assert (document["hash"], document["digest"]) == (made.hash, made.digest)
    assert set(document["losses"]) == {"zero_one", "brier"}
    assert document["notices"] == [
        "split: left out, bookkeeping. Try: --column split=categorical if it is a feature",
        "order_id: left out, 3,000 different texts in 3,000 rows: an id or free text",
    ]
    assert [(one["column"], one["kind"]) for one in document["findings"]] == [("refund", "leakage"), (ODD, "sentinel")]
    assert (made.model, made.version, made.source) == ("fraud", "3", f"built from {data.name}")
    assert made.span == (1_700_000_000 * 10**6, (1_700_000_000 + 2999 * 60) * 10**6)
    assert len(made.blocks) == 150
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([data.name, out.name])


def test_columns_are_what_they_are_declared_to_be(rows: Path, tmp_path: Path) -> None:
    out = tmp_path / "o"
    declared = ("--column", "refund=categorical", "--column", "order_id=categorical", "--column", "amount=ignore")
    roles = ("--prediction", "prediction", "--label", "label", "--time", "time", "--task", "binary")
    done = tell("build", rows, "--model", "m", "--version", "1", "--out", out, *declared, *roles)
    assert done.exit_code == 0
    assert {column.name: column.kind for column in Reference.load(out).columns} == {
        "refund": "categorical",
        "country": "categorical",
        ODD: "numeric",
        "prediction": "numeric",
    }
    assert "amount: left out" not in done.output
    assert "order_id: left out, no text that 5 rows share" in done.output


@pytest.mark.parametrize(
    ("query", "task"),
    [
        ("SELECT hash(i) % 100 AS x, x * 2.0 + hash(i, 1) % 9 AS label, x * 2.0 AS prediction", "absolute"),
        ("SELECT i % 4 AS x, 'c' || i % 3 AS label, 'c' || hash(i) % 3 AS prediction", "zero_one"),
        ("SELECT i % 4 AS x, i % 3 AS label, (hash(i) % 3)::VARCHAR AS prediction", "zero_one"),
    ],
)
def test_losses_of_every_task(tmp_path: Path, query: str, task: str) -> None:
    data, out = tmp_path / "d.parquet", tmp_path / "o"
    duckdb.connect().execute(f"COPY ({query} FROM range(900) r(i)) TO '{data}' (FORMAT parquet)")
    document = json.loads(tell("build", data, "--model", "m", "--version", "1", "--out", out, "--json").output)
    assert list(document["losses"]) == [task]
    assert 0 < document["losses"][task] < 0.8


def test_build_refuses(rows: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1 no")
    named = ("--model", "m", "--version", "1", "--out")
    for arguments, told in (
        ((broken, *named, tmp_path / "o"), "cannot be read"),
        ((tmp_path / "absent.csv", *named, tmp_path / "o"), "does not exist"),
        (
            (rows, *named, tmp_path / "absent" / "o"),
            "cannot be written (No such file or directory). Try: another folder",
        ),
        (
            (rows, *named, tmp_path / "o", "--time", "when"),
            "--time: 'when' cannot be used. Try: one of order_id, amount",
        ),
        ((rows, *named, tmp_path / "o", "--column", "x"), "'x' cannot be used. Try: NAME=numeric|categorical"),
        ((rows, *named, tmp_path / "o", "--column", "amount=date"), "'amount=date' cannot be used. Try: NAME=numeric"),
        ((rows, *named, tmp_path / "o", "--where", "1 +"), "--where: '1 +' cannot be used. Try: a condition like"),
    ):
        found = tell("build", *arguments)
        assert found.exit_code == 2
        assert told in found.output
    assert not (tmp_path / "o").exists()


def test_an_interrupted_build_leaves_nothing(rows: Path, tmp_path: Path) -> None:
    endless = "amount < (SELECT sum(a.range * b.range) FROM range(10000000) a, range(10000000) b)"
    command = [sys.executable, "-m", "tenure_agent", "reference", "build", str(rows), "--where", endless]
    arguments = ["--model", "m", "--version", "1", "--out", str(tmp_path / "o")]
    with subprocess.Popen([*command, *arguments], stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and not list(tmp_path.glob(".reference-*/rows.duckdb")):
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        told = process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert told.splitlines()[-1] == "Aborted!"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("width", [80, 140])
def test_show(built: Path, width: int) -> None:
    done = tell("show", built, env={"COLUMNS": str(width)})
    assert done.exit_code == 0
    lines = done.output.splitlines()
    assert max(map(len, lines)) <= width
    assert lines[0].startswith("fraud 3: 3,000 rows in 150 blocks, 2023-11-14T22:13:20Z")
    assert f"sha256 {Reference.load(built).digest}" in lines
    found = {line.split()[0]: line for line in lines if re.search(" (numeric|categorical) ", line)}
    assert set(found) == {"amount", "country", "odd", "refund", "prediction"}
    assert ("mean" in done.output.split("loss")[0]) == (width == 140)
    assert "odd [bold]\\x1b[31m\\n" in done.output
    assert "\x1b" not in done.output
    assert re.search(r"amount +numeric +- .* [▁▂▃▄▅▆▇█]{12,24}", found["amount"])
    assert "DE 33%, NL 33%" in found["country"]
    text = " ".join(done.output.split())
    assert "4.77% of the rows are -200, far from all others" in text
    assert "refund: tells the label alone (AUC 1.000)" in text
    assert "order_id: left out, 3,000 different texts in 3,000 rows: an id or free text" in text


def test_show_one_column(built: Path) -> None:
    for name, told in (
        ("amount", ["amount: numeric", "missing -, mistyped -", "alone it tells the label with auc 0.5"]),
        ("country", ["country: categorical", "missing -, others -", "NL  33.3%", "[red]  33.3%"]),
        ("prediction", ["prediction: numeric, what the model said"]),
        (ODD, ["far from all others"]),
    ):
        done = tell("show", built, "--column", name, env={"COLUMNS": "80"})
        assert done.exit_code == 0
        for part in told:
            assert part in " ".join(done.output.split()) or part in done.output
        assert max(map(len, done.output.splitlines())) <= 80
    refused = tell("show", built, "--column", "amuont")
    assert refused.exit_code == 2
    assert "--column: 'amuont' is not in" in refused.output
    assert "Try: amount, country" in refused.output


def test_show_on_a_plain_terminal(built: Path) -> None:
    command = [sys.executable, "-m", "tenure_agent", "reference", "show", str(built)]
    environment = {"PYTHONIOENCODING": "ascii", "COLUMNS": "80", "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(command, capture_output=True, env=environment, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()
    assert b"#" in done.stdout


def test_show_json(built: Path) -> None:
    document = json.loads(tell("show", built, "--json").output)
    assert list(document) == [
        *("model", "version", "source", "digest", "hash", "rows", "blocks", "span"),
        *("columns", "losses", "segments", "hints", "findings", "notices"),
    ]
    assert document["span"] == ["2023-11-14T22:13:20Z", "2023-11-17T00:12:20Z"]
    amount = document["columns"][0]
    assert list(amount) == [
        *("name", "part", "kind", "rows", "missing", "infinite", "mistyped", "zeros"),
        *("mean", "std", "low", "median", "high", "values", "others", "histogram", "reach"),
    ]
    assert (amount["name"], amount["rows"], amount["missing"]) == ("amount", 3000, 0.0)
    assert abs(amount["mean"] - 50) < 2
    one = json.loads(tell("show", built, "--json", "--column", "country").output)
    assert [column["name"] for column in one["columns"]] == ["country"]
    assert {hint["column"] for hint in one["hints"]} == {"country"}
    assert one["findings"] == []


def test_segments_are_told_apart(rows: Path, tmp_path: Path) -> None:
    out = tmp_path / "fraud.reference"
    arguments = ("build", rows, "--model", "fraud", "--version", "3", "--out", out)
    done = tell(*arguments, "--segment", "country", "--segment", "split", "--column", "split=categorical")
    assert done.exit_code == 0, done.output
    assert "  segment country=DE: 1,333 rows\n" in done.output
    assert json.loads(tell("show", out, "--json").output)["segments"] == {
        **{f"country={name}": n for name, n in (("NL", 1334), ("DE", 1333), ("[red]", 1333))},
        "split=reference": 3000,
        "split=live": 1000,
    }
    assert "country=[red]: 1,333 rows" in tell("show", out).output
    for odd in (("--segment", "nowhere"), ("--segment", "country", "--segment", "country")):
        refused = tell(*arguments, *odd)
        assert refused.exit_code == 2
        assert "--segment: " in refused.output
        assert "Try: " in refused.output


def test_show_refuses_what_is_no_reference(rows: Path) -> None:
    done = tell("show", rows)
    assert done.exit_code == 2
    assert "Try: tenure-agent reference build" in done.output
