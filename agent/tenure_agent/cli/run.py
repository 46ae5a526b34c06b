"""`tenure-agent run`: serve until SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path

import click

from tenure.errors import TenureError
from tenure_agent import log
from tenure_agent.config import Config, load_config
from tenure_agent.faults import ConfigError
from tenure_agent.lock import look
from tenure_agent.memory import share_one_heap

logger = logging.getLogger(__name__)


@click.command(epilog="Example: tenure-agent run --config tenure.yaml")
@click.option("--config", type=click.Path(path_type=Path), help="tenure.yaml; default: all defaults.")
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", show_default=True
)
@click.option("--json", "as_json", is_flag=True, help="Log as JSON lines, as with `log: json`.")
def run(config: Path | None, log_level: str, as_json: bool) -> None:
    """Run the agent. With no configuration, models are registered on first sight and their first rows are the
    reference.
    """
    try:
        settings = load_config(config)
    except ConfigError as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    log.configure("json" if as_json else settings.log, log_level)
    share_one_heap()
    try:
        look(settings.store.path.absolute())
        asyncio.run(_serve(settings))
    except TenureError as error:
        click.echo(f"tenure-agent: {error}", err=True)
        sys.exit(1)
    except Exception:
        logger.exception("the agent cannot go on")
        sys.exit(1)


async def _serve(settings: Config) -> None:
    from tenure_agent.daemon import Agent  # noqa: PLC0415  # duckdb and scipy are not needed to refuse a bad file

    asyncio.get_running_loop().set_exception_handler(log.loop_failed)
    await Agent(settings).run()
