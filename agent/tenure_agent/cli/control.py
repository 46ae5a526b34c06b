"""`tenure-agent control`: the reference control endpoint."""

from __future__ import annotations

from pathlib import Path

import click

from tenure.errors import TenureError
from tenure_agent import log


@click.group()
def control() -> None:
    """Receive decisions."""


@control.command(epilog="Example: tenure-agent control secret --out control.secret")
@click.option("--out", type=click.Path(path_type=Path), required=True)
def secret(out: Path) -> None:
    """Make a secret to share between an agent and its control endpoint."""
    from tenure_agent.control.webhook import new_secret  # noqa: PLC0415

    try:
        out.touch(mode=0o600, exist_ok=False)
    except FileExistsError:
        raise click.ClickException(f"{out} is there already. Try: another --out, or remove it first") from None
    except OSError as error:
        raise click.UsageError(f"--out: {out} cannot be written ({error.strerror})") from None
    out.write_text(new_secret() + "\n")
    click.echo(f"wrote {out}")


@control.command(
    epilog="Example: tenure-agent control serve --secret-file control.secret --on retrain='python train.py'"
)
@click.option("--listen", default="127.0.0.1:8080", show_default=True)
@click.option("--secret-file", type=click.Path(path_type=Path), required=True)
@click.option("--journal", type=click.Path(path_type=Path), default=Path("decisions.jsonl"), show_default=True)
@click.option("--on", "commands", multiple=True, metavar="ACTION=COMMAND", help="Run COMMAND, the event on its input.")
def serve(listen: str, secret_file: Path, journal: Path, commands: tuple[str, ...]) -> None:
    """Take signed decisions, keep them in a journal, and run a command for each action."""
    from aiohttp import web  # noqa: PLC0415

    from tenure_agent.control.endpoint import Endpoint  # noqa: PLC0415
    from tenure_agent.control.webhook import read_secret  # noqa: PLC0415

    log.configure("console", "warning")
    host, _, port = listen.rpartition(":")
    pairs = [command.partition("=") for command in commands]
    if not host or not port.isdigit() or any(not equals for _, equals, _ in pairs):
        raise click.UsageError("--listen is HOST:PORT and --on is ACTION=COMMAND")
    try:
        endpoint = Endpoint(read_secret(secret_file), {action: command for action, _, command in pairs}, journal)
    except TenureError as error:
        raise click.UsageError(str(error)) from None
    web.run_app(endpoint.application(), host=host, port=int(port), print=None, access_log=None)
