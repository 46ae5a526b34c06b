"""`tenure-agent status`: what is stored, said and on its way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tenure_agent.cli.options import answer, asks, show

STYLES = {"OK": "green", "WARNING": "yellow", "CRITICAL": "bold red", "ERROR": "bold red"}


@click.command(epilog="Example: tenure-agent status --agent unix:./tenure.sock")
@asks
def status(agent: str | None, config: Path | None, as_json: bool) -> None:
    """Show what a running agent holds: rows, newest verdicts, outbox."""
    show(answer(agent, config, "status"), as_json=as_json, otherwise=_print)


def _print(found: dict[str, Any]) -> None:
    from rich.console import Console  # noqa: PLC0415  # the agent itself needs none of it
    from rich.padding import Padding  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    console = Console(markup=False, highlight=False)  # names are data, brackets and all
    when = found["event_time"] or "nothing stored yet"
    console.print(f"agent {found['agent']} at {found['addresses'].get('grpc')}, event time {when}")
    rows = Table("model", "version", "role", "predictions", "outcomes")
    for name, model in found["models"].items():
        for stored in model["predictions"]:
            counts = f"{stored['rows']:,}", f"{model['outcomes']:,}"
            rows.add_row(Text(name), Text(stored["version"]), stored["role"], *counts)
    console.print(rows)
    for verdict in found["verdicts"]:
        level = Text(verdict["level"], STYLES.get(verdict["level"], "dim"))
        of = f" {verdict['model']} {verdict['version']} {verdict['check']}, {verdict['time']}"
        console.print(level.append(of, "default"))
        console.print(Padding(Text(verdict["reason"]), (0, 0, 0, 4)))
    console.print("decisions: " + ", ".join(f"{n} {state}" for state, n in found["outbox"].items()))
    lost = ", ".join(f"{n:,} {reason}" for reason, n in found["dropped"].items()) or "none"
    console.print(f"stored {found['stored']:,} rows; lost at producers: {lost}")
    if found["lost_after_ack"]:
        console.print(f"{found['lost_after_ack']:,} reports acked before are gone from the store", style="bold red")
