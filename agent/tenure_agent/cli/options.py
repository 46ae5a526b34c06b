"""What verbs have in common that ask a running agent: where it is, and how its answer is shown."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from tenure.errors import SettingError
from tenure.settings import Settings
from tenure_agent import asking
from tenure_agent.config import ConfigError, load_config

F = TypeVar("F", bound=Callable[..., Any])


def asks(command: F) -> F:
    """Options of every verb that asks a running agent."""
    command = click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")(command)
    command = click.option("--agent", metavar="ADDRESS", help="unix:/path or host:port; default $TENURE_AGENT.")(
        command
    )
    return click.option("--config", type=click.Path(path_type=Path), help="Find the agent by its tenure.yaml.")(command)


def answer(agent: str | None, config: Path | None, verb: str, arguments: dict[str, Any] | None = None) -> Any:
    """What the agent says to a verb; its refusal is the command's error."""
    try:
        return asking.ask(_address(agent, config), verb, arguments)
    except asking.NoAnswer as error:
        raise click.ClickException(str(error)) from None


def show(document: Any, *, as_json: bool, otherwise: Callable[[Any], None]) -> None:
    """Print an answer as JSON, or as people read it."""
    if as_json:
        click.echo(json.dumps(document))
    else:
        otherwise(document)


def _address(agent: str | None, config: Path | None) -> str:
    """--agent, else by the configuration, else as the SDK finds it."""
    if agent is not None:
        return agent
    try:
        if config is None:
            return Settings.from_environment(os.environ).address()
        listen = load_config(config).listen
    except (ConfigError, SettingError) as error:
        raise click.UsageError(str(error)) from None
    path = listen.removeprefix("unix:")
    return f"unix:{Path(path).absolute()}" if listen.startswith("unix:") else listen
