"""`tenure-agent export`: labelled rows as training data."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import click

from tenure_agent.cli.options import answer, asks, show
from tenure_agent.records import micros

TIME = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ"])


@click.command(epilog="Example: tenure-agent export --model flights --from 2013-03-01 --to 2013-04-01")
@click.option("--model", help="Default: the only one.")
@click.option("--from", "start", type=TIME, required=True, help="First event time, UTC.")
@click.option("--to", "end", type=TIME, required=True, help="Event time to stop before, UTC.")
@asks
def export(
    model: str | None, start: dt.datetime, end: dt.datetime, agent: str | None, config: Path | None, as_json: bool
) -> None:
    """Write labelled predictions as Parquet beside the agent's database."""
    arguments = {
        "model": model,
        "start": micros(start.replace(tzinfo=dt.UTC)),
        "end": micros(end.replace(tzinfo=dt.UTC)),
    }
    found = answer(agent, config, "export", arguments)
    show(found, as_json=as_json, otherwise=lambda a: click.echo(f"{a['rows']:,} labelled rows in {a['path']}"))
