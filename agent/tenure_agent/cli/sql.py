"""`tenure-agent sql`: ask a running agent's store."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any, TextIO

import click

from tenure_agent.cli.options import answer, asks
from tenure_agent.quoting import literal, quoted

TYPED = frozenset(
    [
        "BOOLEAN",
        "TINYINT",
        "SMALLINT",
        "INTEGER",
        "BIGINT",
        "HUGEINT",
        "UTINYINT",
        "USMALLINT",
        "UINTEGER",
        "UBIGINT",
        "FLOAT",
        "DOUBLE",
        "TIMESTAMP",
        "DATE",
    ]
)


@click.command(
    epilog='Example: tenure-agent sql "SELECT version, avg(amount) FROM predictions_fraud GROUP BY version" --format csv'
)
@click.argument("query")
@click.option("--format", "form", type=click.Choice(["table", "csv", "parquet"]), default="table", show_default=True)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="A file; default: standard output.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=1000, show_default=True, help="Most rows.")
@click.option("--timeout", type=click.FloatRange(0.1, 300), default=10, show_default=True, help="Seconds.")
@asks
def sql(
    query: str,
    form: str,
    out: Path | None,
    limit: int,
    timeout: float,
    agent: str | None,
    config: Path | None,
    as_json: bool,
) -> None:
    """Ask a running agent's store in SQL: one SELECT, WITH, DESCRIBE or EXPLAIN. Nothing can be changed.

    Views: predictions_MODEL (id, time, version, role, latency, error, every feature by its name, output.NAME),
    outcomes, summaries, verdicts, decisions. SHOW TABLES lists them, DESCRIBE shows the columns of one.
    """
    if form == "parquet" and (out is None or as_json):
        raise click.UsageError("--format parquet is written to a file. Try: --out rows.parquet")
    found = answer(agent, config, "sql", {"query": query, "rows": limit, "seconds": timeout}, timeout=timeout + 10)
    try:
        if form == "parquet" and out is not None:
            _parquet(found, out)
        elif out is not None:
            with out.open("w", newline="") as file:
                _print(found, form, file, as_json=as_json)
        else:
            _print(found, form, sys.stdout, as_json=as_json)
    except OSError as error:
        raise click.UsageError(f"--out: {out} cannot be written ({error.strerror})") from None
    if not found["complete"]:
        click.echo(f"only the first {len(found['rows']):,} rows. Try: --limit, or fewer columns", err=True)


def _print(found: dict[str, Any], form: str, file: TextIO, *, as_json: bool) -> None:
    names = [column["name"] for column in found["columns"]]
    if as_json:
        file.write(json.dumps([dict(zip(names, row, strict=True)) for row in found["rows"]]) + "\n")
    elif form == "csv":
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        writer.writerows([_text(value) for value in row] for row in found["rows"])
    else:
        from rich.console import Console  # noqa: PLC0415
        from rich.table import Column, Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        table = Table(*(Column(Text(name)) for name in names))
        for row in found["rows"]:
            table.add_row(*(Text(_text(value) or "") for value in row))
        Console(file=file).print(table)


def _parquet(found: dict[str, Any], out: Path) -> None:
    import duckdb  # noqa: PLC0415
    import numpy as np  # noqa: PLC0415

    columns, rows = found["columns"], found["rows"]
    texts: dict[str, Any] = {"row": np.arange(len(rows))}
    chosen = []
    for i, column in enumerate(columns):
        texts[f"c{i}"] = np.array([*(_text(row[i]) for row in rows), None], object)[:-1]
        typed = column["type"] if column["type"] in TYPED else "VARCHAR"
        chosen.append(f"CAST(c{i} AS {typed}) AS {quoted(column['name'])}")
    with duckdb.connect() as connection:
        connection.register("found", texts)
        connection.execute(f"CREATE TABLE made AS SELECT {', '.join(chosen)} FROM found ORDER BY row")  # noqa: S608
        try:
            connection.execute(f"COPY made TO {literal(str(out))} (FORMAT parquet)")
        except duckdb.IOException as error:
            raise OSError(0, str(error).splitlines()[0]) from None


def _text(value: Any) -> str | None:
    """A value as text; nothing where there is none."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value) if isinstance(value, bool | list | dict) else str(value)
