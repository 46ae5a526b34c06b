"""What verbs have in common that ask a running agent: where it is, and how its answer is shown."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from tenure.errors import SettingError
from tenure.settings import Settings
from tenure_agent import asking
from tenure_agent.config import AccessConfig, load_config
from tenure_agent.faults import ConfigError

F = TypeVar("F", bound=Callable[..., Any])


def asks(command: F) -> F:
    """Options of every verb that asks a running agent."""
    command = click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")(command)
    command = click.option(
        "--agent", metavar="ADDRESS", help="unix:/path, host:port or tls://host:port; default $TENURE_AGENT."
    )(command)
    return click.option("--config", type=click.Path(path_type=Path), help="Find the agent by its tenure.yaml.")(command)


def answer(
    agent: str | None, config: Path | None, verb: str, arguments: dict[str, Any] | None = None, timeout: float = 60.0
) -> Any:
    """What the agent says to a verb; its refusal is the command's error."""
    with asked(agent, config) as asking:
        return asking.ask(verb, arguments, timeout)


@contextmanager
def asked(agent: str | None, config: Path | None) -> Iterator[asking.Asking]:
    """The agent, to be asked more than once; its refusals are the command's errors."""
    address, credentials = _found(agent, config)
    try:
        found = asking.Asking(address, credentials)
        try:
            yield found
        finally:
            found.close()
    except asking.NoAnswer as error:
        raise click.ClickException(str(error)) from None


def show(document: Any, *, as_json: bool, otherwise: Callable[[Any], None]) -> None:
    """Print an answer as JSON, or as people read it."""
    if as_json:
        click.echo(json.dumps(document))
    else:
        otherwise(document)


def _found(agent: str | None, config: Path | None) -> tuple[str, dict[str, str]]:
    """--agent, else by the configuration, else as the SDK finds it; and what to show there.

    What the environment says of credentials (TENURE_CA_FILE and so on) goes before what the configuration says.
    """
    try:
        settings = Settings.from_environment(os.environ)
        if agent is not None or config is None:
            return agent or settings.address(), settings.credentials()
        loaded = load_config(config)
    except (ConfigError, SettingError) as error:
        raise click.UsageError(str(error)) from None
    return _reached(loaded.listen), _own_credentials(loaded.access) | settings.credentials()


def _reached(listen: str) -> str:
    """The address by which an agent on this machine is reached."""
    if listen.startswith("unix:"):
        return f"unix:{Path(listen.removeprefix('unix:')).absolute()}"
    host, _, port = listen.rpartition(":")
    return f"localhost:{port}" if host in {"0.0.0.0", "[::]"} else listen  # noqa: S104  # compared, not bound


def _own_credentials(access: AccessConfig) -> dict[str, str]:
    """What the agent's own files prove: who holds its certificate is the agent, and who may read its key may ask."""
    files = {"token_file": access.token_file, "ca_file": access.cert_file}
    if access.client_ca_file is not None:
        files |= {"cert_file": access.cert_file, "key_file": access.key_file}
    return {name: str(path) for name, path in files.items() if path is not None}
