"""`tenure-agent decisions`: what was decided and whether it was delivered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tenure_agent.cli.options import answer, asks, show


@click.command(epilog="Example: tenure-agent decisions --json")
@asks
def decisions(agent: str | None, config: Path | None, as_json: bool) -> None:
    """List decisions, oldest first."""
    show(answer(agent, config, "decisions"), as_json=as_json, otherwise=_print)


def _print(found: dict[str, Any]) -> None:
    for d in found["decisions"]:
        click.echo(f"{d['event_time']} {d['model']} {d['version']}: {d['action']} ({d['urgency']}, {d['state']})")
        click.echo(f"  {d['reason']}")
    if not found["decisions"]:
        click.echo("nothing has been decided")
