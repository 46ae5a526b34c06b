"""`tenure-agent reference`: build and look at reference files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import numpy as np

from tenure.errors import TenureError

OUTPUTS = ("prediction", "score")


@click.group()
def reference() -> None:
    """What a model's data looked like when it was judged fit."""


@reference.command(
    epilog="Example: tenure-agent reference build train.parquet --model fraud --version 3 --out fraud.reference"
)
@click.argument("data", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--model", required=True)
@click.option("--version", required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True)
@click.option("--label", default="label", show_default=True, help="Column of the truth, if there is one.")
@click.option("--ignore", multiple=True, metavar="COLUMN", help="A column that is no feature, such as an id.")
@click.option("--task", type=click.Choice(["binary", "multiclass", "regression"]), help="Default: guessed.")
@click.option("--json", "as_json", is_flag=True)
def build(
    data: Path,
    model: str,
    version: str,
    out: Path,
    label: str,
    ignore: tuple[str, ...],
    task: str | None,
    as_json: bool,
) -> None:
    """Build a reference from rows in time order (CSV or Parquet).

    Columns named `prediction` and `score` are what the model said. With a label column the reference also holds how
    large its losses were and how they move on their own; predictions must then be out of sample.
    """
    from tenure_agent.dataset import read_columns  # noqa: PLC0415  # duckdb
    from tenure_agent.losses import profile_losses, task_of  # noqa: PLC0415
    from tenure_agent.reference import build_reference  # noqa: PLC0415

    try:
        columns = read_columns(data)
    except TenureError as error:
        raise click.UsageError(str(error)) from None
    truth = columns.pop(label, None)
    values = {("output" if name in OUTPUTS else "feature", name): column for name, column in columns.items()}
    losses: Any = ()
    said = values.get(("output", "prediction"))
    if truth is not None and said is not None:
        known = present(truth) & present(said)
        losses = profile_losses(task or task_of(said[known], truth[known]), said[known], truth[known])
    declared = dict.fromkeys(ignore, "ignore")
    built = build_reference(model, version, values, declared=declared, losses=losses, source=f"built from {data.name}")
    try:
        built.save(out)
    except OSError as error:
        raise click.UsageError(f"--out: {out} cannot be written ({error.strerror})") from None
    document = {
        "path": str(out),
        "hash": built.hash,
        "rows": built.rows,
        "columns": {column.name: column.kind for column in built.columns},
        "losses": {loss.channel: round(loss.mean, 6) for loss in built.losses},
        "notices": list(built.notices),
    }
    if as_json:
        click.echo(json.dumps(document))
        return
    click.echo(f"{built.rows:,} rows, {len(built.columns)} columns -> {out} ({built.hash[:12]})")
    for notice in built.notices:
        click.echo(f"  {notice}")


def present(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Which values are there."""
    if values.dtype.kind == "O":
        return np.array([value is not None for value in values], bool)
    known: np.ndarray[Any, Any] = ~np.isnan(values)
    return known
