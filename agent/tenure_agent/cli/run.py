"""`tenure-agent run`: serve until SIGTERM."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from pathlib import Path

import click

from tenure.errors import TenureError
from tenure_agent.config import ConfigError, load_config


@click.command(epilog="Example: tenure-agent run --config tenure.yaml")
@click.option("--config", type=click.Path(path_type=Path), help="tenure.yaml; default: all defaults.")
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", show_default=True
)
@click.option("--json", "as_json", is_flag=True, help="Log as JSON lines.")
def run(config: Path | None, log_level: str, as_json: bool) -> None:
    """Run the agent. With no configuration, models are registered on first sight and their first rows are the
    reference.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter() if as_json else logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=log_level.upper(), handlers=[handler])
    logging.getLogger("apscheduler").setLevel(logging.WARNING)
    try:
        settings = load_config(config)
    except ConfigError as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    from tenure_agent.daemon import Agent  # noqa: PLC0415  # duckdb and scipy are not needed to refuse a bad file

    try:
        asyncio.run(Agent(settings).run())
    except TenureError as error:
        click.echo(f"tenure-agent: {error}", err=True)
        sys.exit(1)
    except OSError as error:
        click.echo(f"http: {settings.http!r} cannot be bound ({error.strerror}). Try: port 0", err=True)
        sys.exit(1)


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["error"] = self.formatException(record.exc_info)
        return json.dumps(entry)
