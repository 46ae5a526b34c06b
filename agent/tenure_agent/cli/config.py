"""`tenure-agent config`: what a configuration says, and what is wrong with it."""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
from ruamel.yaml import YAML

from tenure.errors import SettingError
from tenure_agent.config import Config, load_config
from tenure_agent.faults import ConfigError, Fault, refused
from tenure_agent.model_config import ModelConfig

FILE = click.Path(path_type=Path)


@click.group()
def config() -> None:
    """Show and check a configuration."""


@config.command(epilog="Example: tenure-agent config show --config tenure.yaml")
@click.option("--config", "path", type=FILE, help="tenure.yaml; default: all defaults.")
@click.option("--model", help="Only what holds for this model, named in the file or not.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def show(path: Path | None, model: str | None, as_json: bool) -> None:
    """Print what an agent would run with, defaults filled in. Secrets stay in their files."""
    try:
        loaded = load_config(path)
    except ConfigError as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    document = shown(loaded if model is None else loaded.model(model))
    if as_json:
        click.echo(json.dumps(document))
    else:
        YAML(typ="safe", pure=True).dump(document, sys.stdout)


@config.command(epilog="Example: tenure-agent config validate --config tenure.yaml")
@click.option("--config", "path", type=FILE, required=True, help="tenure.yaml.")
@click.option("--no-files", is_flag=True, help="Leave out the files it names: for a machine that has no secrets.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def validate(path: Path, no_files: bool, as_json: bool) -> None:
    """Check a configuration and the files it names. Every fault is told at once; with one, the exit code is 2."""
    faults: list[Fault] = []
    try:
        loaded = load_config(path)
        faults = [] if no_files else [refused(error) for error in _file_faults(loaded)]
    except ConfigError as error:
        faults = list(error.faults)
    if as_json:
        listed = [{"field": fault.field, "told": fault.told, "try": fault.remedy} for fault in faults]
        click.echo(json.dumps({"path": str(path), "faults": listed}))
    else:
        for fault in faults:
            click.echo(f"{path}: {fault}", err=True)
        if not faults:
            click.echo(f"{path}: no fault")
    if faults:
        sys.exit(2)


def shown(section: Config | ModelConfig) -> dict[str, Any]:
    """A section as the file would say it; a URL without its query, which may hold a secret."""
    document = section.model_dump(mode="json")
    url = document.get("control", {}).get("url")
    if url is not None and urlsplit(url).query:
        document["control"]["url"] = urlsplit(url)._replace(query="redacted").geturl()
    return document


def _file_faults(loaded: Config) -> list[SettingError]:
    from tenure_agent import relay  # noqa: PLC0415  # grpc
    from tenure_agent.access import file_faults  # noqa: PLC0415  # grpc
    from tenure_agent.control.webhook import read_secret  # noqa: PLC0415

    found = [*file_faults(loaded.access), *relay.file_faults(loaded.upstream)]
    if loaded.archive.bucket is not None and find_spec("s3fs") is None:
        found.append(SettingError("archive.url", loaded.archive.url, "pip install 'tenure[s3]'"))
    if loaded.control.secret_file is not None:
        try:
            read_secret(loaded.control.secret_file)
        except SettingError as error:
            found.append(error)
    return found
