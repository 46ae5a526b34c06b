"""`tenure-agent status`: what is stored, said and on its way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tenure_agent.cli.options import answer, asks, show


@click.command(epilog="Example: tenure-agent status --agent unix:./tenure.sock")
@asks
def status(agent: str | None, config: Path | None, as_json: bool) -> None:
    """Show what a running agent holds: rows, newest verdicts, outbox; of a relay, what its hub has not yet."""
    show(answer(agent, config, "status"), as_json=as_json, otherwise=_print)


def _print(found: dict[str, Any]) -> None:
    from tenure_agent.cli.standing import print_standing  # noqa: PLC0415  # rich

    print_standing(found)
