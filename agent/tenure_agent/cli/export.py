"""`tenure-agent export`: labelled rows as training data."""

from __future__ import annotations

import datetime as dt
import json
import sys
from pathlib import Path
from typing import Any

import click

from tenure_agent.cli.options import asked, asks
from tenure_agent.records import micros

TIME = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ"])
FORMS = {".parquet": "parquet", ".csv": "csv"}
TIMEOUT = 3600.0  # seconds to write the file


@click.command(epilog="Example: tenure-agent export --model flights --since 2013-03-01 --out flights.parquet")
@click.option("--model", help="Default: the only one.")
@click.option("--version", help="Default: all of them.")
@click.option("--role", type=click.Choice(["champion", "challenger", "shadow"]), default="champion", show_default=True)
@click.option("--since", type=TIME, required=True, help="First event time, UTC.")
@click.option("--until", type=TIME, help="Event time to stop before, UTC; default: no end.")
@click.option("--known-by", type=TIME, help="Leave out labels that came later, UTC; default: none.")
@click.option("--labelled/--all", default=True, show_default=True, help="Only rows whose label is known, or all.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="A file: .parquet or .csv.")
@asks
def export(
    model: str | None,
    version: str | None,
    role: str,
    since: dt.datetime,
    until: dt.datetime | None,
    known_by: dt.datetime | None,
    labelled: bool,
    out: Path,
    agent: str | None,
    config: Path | None,
    as_json: bool,
) -> None:
    """Write predictions with their labels to a file, to train on: what the agent has stored and what it has archived.

    A label's newest word counts. Exit code 1 where there are no such rows; no file is written then.
    """
    form = FORMS.get(out.suffix.lower())
    if form is None:
        raise click.UsageError(f"--out: {str(out)!r} is neither .parquet nor .csv. Try: rows.parquet")
    arguments: dict[str, Any] = {"model": model, "version": version, "role": role, "labelled": labelled, "form": form}
    times = {"start": since, "end": until, "known": known_by}
    arguments |= {name: micros(time.replace(tzinfo=dt.UTC)) for name, time in times.items() if time is not None}

    def progress(done: int, size: int) -> None:
        if sys.stderr.isatty():
            click.echo(f"\r{done >> 20:,} of {size >> 20:,} MiB", err=True, nl=done == size)

    try:
        with asked(agent, config) as asking:
            found = asking.export(arguments, out, timeout=TIMEOUT, progress=progress)
    except OSError as error:
        raise click.UsageError(f"--out: {out} cannot be written ({error.strerror})") from None
    rows, files = found["rows"], found["archived_files"]
    if as_json:
        click.echo(json.dumps({"rows": rows, "archived_files": files, "path": str(out) if rows else None}))
    elif rows:
        read = f", with {files:,} archived files" if files else ""
        click.echo(f"{rows:,} {'labelled ' if labelled else ''}rows in {out}{read}")
    if not rows:
        remedy = "another time, or --all" if labelled else "another time or --role"
        click.echo(f"no {'labelled ' if labelled else ''}rows there. Try: {remedy}", err=True)
        sys.exit(1)
