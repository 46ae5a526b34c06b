"""How verbs reach a running agent and show its answer. They never open its database: DuckDB admits one process."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import grpc

from tenure.settings import Settings
from tenure.transport import ASK, CHANNEL_OPTIONS
from tenure_agent.config import ConfigError, load_config
from tenure_proto.v1 import monitoring_pb2 as pb

F = TypeVar("F", bound=Callable[..., Any])
BAD_USAGE = 2


def asks(command: F) -> F:
    """Options of every verb that asks a running agent."""
    command = click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")(command)
    command = click.option("--agent", metavar="ADDRESS", help="unix:/path or host:port; default $TENURE_AGENT.")(
        command
    )
    return click.option("--config", type=click.Path(path_type=Path), help="Find the agent by its tenure.yaml.")(command)


def address_of(agent: str | None, config: Path | None) -> str:
    """Where the agent is: --agent, else its configuration, else as the SDK finds it."""
    if agent is not None:
        return agent
    if config is not None:
        try:
            listen = load_config(config).listen
        except ConfigError as error:
            raise click.UsageError(str(error)) from None
        path = listen.removeprefix("unix:")
        return f"unix:{Path(path).absolute()}" if listen.startswith("unix:") else listen
    return Settings.from_environment(os.environ).address()


def ask(address: str, verb: str, arguments: dict[str, Any] | None = None, timeout: float = 60.0) -> Any:
    """The agent's answer to a verb.

    Raises
    ------
    click.ClickException
        The agent is not there, or refuses; the message says what to try.
    """
    with grpc.insecure_channel(address, options=CHANNEL_OPTIONS) as channel:
        call = channel.unary_unary(
            ASK, request_serializer=pb.AskRequest.SerializeToString, response_deserializer=pb.AskReply.FromString
        )
        request = pb.AskRequest(verb=verb, arguments=json.dumps(arguments or {}))
        try:
            reply = call(request, timeout=timeout)
        except grpc.RpcError as error:
            if error.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}:
                raise click.ClickException(
                    f"no agent answers at {address}. Try: tenure-agent run, or --agent ADDRESS"
                ) from None
            raise click.ClickException(error.details() or error.code().name) from None
    return json.loads(reply.answer)


def show(document: Any, *, as_json: bool, otherwise: Callable[[Any], None]) -> None:
    """Print an answer as JSON, or as people read it."""
    if as_json:
        click.echo(json.dumps(document))
    else:
        otherwise(document)
