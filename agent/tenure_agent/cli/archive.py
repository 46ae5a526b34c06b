"""`tenure-agent archive`: archive now."""

from __future__ import annotations

import json
from pathlib import Path

import click

from tenure_agent.cli.options import asked, asks

TIMEOUT = 600.0  # seconds for one range


@click.command(epilog="Example: tenure-agent archive --config tenure.yaml")
@asks
def archive(agent: str | None, config: Path | None, as_json: bool) -> None:
    """Write all that a running agent has stored by now into its archive, due or not."""
    total = {"files": 0, "predictions": 0, "outcomes": 0}
    with asked(agent, config) as asking:
        found = asking.ask("archive", timeout=TIMEOUT)
        while not found["done"]:
            total = {name: count + found[name] for name, count in total.items()}
            if not as_json:
                told = f"{found['model']}: {found['predictions']:,} predictions, {found['outcomes']:,} outcomes"
                click.echo(told, err=True)
            found = asking.ask("archive", {"upto": found["upto"]}, timeout=TIMEOUT)
    if as_json:
        click.echo(json.dumps(total))
    else:
        click.echo(
            f"{total['predictions']:,} predictions and {total['outcomes']:,} outcomes archived in {total['files']:,} files"
        )
