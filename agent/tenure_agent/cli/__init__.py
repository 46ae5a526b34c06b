"""`tenure-agent`: one file per verb."""

from __future__ import annotations

import click

from tenure_agent import __version__
from tenure_agent.cli.archive import archive
from tenure_agent.cli.backtest import backtest
from tenure_agent.cli.check import check
from tenure_agent.cli.config import config
from tenure_agent.cli.control import control
from tenure_agent.cli.decisions import decisions
from tenure_agent.cli.demo import demo
from tenure_agent.cli.export import export
from tenure_agent.cli.reference import reference
from tenure_agent.cli.run import run
from tenure_agent.cli.sql import sql
from tenure_agent.cli.status import status


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tenure-agent")
def main() -> None:
    """Look after models in service: ingest, check, decide.

    Exit codes: 0 done, 1 a finding or a refusal, 2 bad usage or configuration.
    """


for verb in (run, status, check, decisions, sql, reference, backtest, archive, export, config, control, demo):
    main.add_command(verb)
