"""`tenure-agent check`: review now."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from tenure_agent.cli.options import answer, asks, show


@click.command(epilog="Example: tenure-agent check --model fraud_detector")
@click.option("--model", help="One model; default: all.")
@asks
def check(model: str | None, agent: str | None, config: Path | None, as_json: bool) -> None:
    """Check models now, on the newest data. Exit code 1 when anything is WARNING or worse."""
    found = answer(agent, config, "check", {"model": model} if model else {})
    show(found, as_json=as_json, otherwise=_print)
    if any(verdict["level"] in {"WARNING", "CRITICAL", "ERROR"} for verdict in found["verdicts"]):
        sys.exit(1)


def _print(found: dict[str, Any]) -> None:
    for verdict in found["verdicts"]:
        if verdict["segment"] and verdict["level"] == "OK":
            continue
        of = " ".join(filter(None, (verdict["model"], verdict["version"], verdict["check"], verdict["segment"])))
        click.echo(f"{of}: {verdict['level']}: {verdict['reason']}")
    if not found["verdicts"]:
        click.echo("no model has sent a prediction yet")
