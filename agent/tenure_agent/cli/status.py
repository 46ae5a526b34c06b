"""`tenure-agent status`: what is stored, said and on its way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from tenure_agent.cli.options import answer, asks, show

STYLES = {"OK": "green", "WARNING": "yellow", "CRITICAL": "bold red", "ERROR": "bold red"}


@click.command(epilog="Example: tenure-agent status --agent unix:./tenure.sock")
@asks
def status(agent: str | None, config: Path | None, as_json: bool) -> None:
    """Show what a running agent holds: rows, newest verdicts, outbox."""
    show(answer(agent, config, "status"), as_json=as_json, otherwise=_print)


def _print(found: dict[str, Any]) -> None:
    console = Console()
    when = found["event_time"] or "nothing stored yet"
    console.print(f"agent {found['agent']} at {found['addresses'].get('grpc')}, event time {when}")
    rows = Table("model", "version", "role", "predictions", "outcomes")
    for name, model in found["models"].items():
        for stored in model["predictions"]:
            rows.add_row(name, stored["version"], stored["role"], f"{stored['rows']:,}", f"{model['outcomes']:,}")
    console.print(rows)
    said = Table("model", "version", "check", "level", "reason", "event time")
    for verdict in found["verdicts"]:
        level = verdict["level"]
        said.add_row(
            verdict["model"],
            verdict["version"],
            verdict["check"],
            f"[{STYLES.get(level, 'dim')}]{level}[/]",
            verdict["reason"],
            verdict["time"],
        )
    console.print(said)
    console.print("decisions: " + ", ".join(f"{n} {state}" for state, n in found["outbox"].items()))
    lost = ", ".join(f"{n:,} {reason}" for reason, n in found["dropped"].items()) or "none"
    console.print(f"stored {found['stored']:,} rows; lost at producers: {lost}")
    if found["lost_after_ack"]:
        console.print(f"[bold red]{found['lost_after_ack']:,} reports acked before are gone from the store[/]")
