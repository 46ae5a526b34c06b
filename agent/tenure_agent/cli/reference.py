"""`tenure-agent reference`: build and look at reference files."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tenure.errors import SettingError, TenureError
from tenure_agent.records import FEATURE

if TYPE_CHECKING:
    from tenure_agent.dataset import Table
    from tenure_agent.reference import Reference

KINDS = ("numeric", "categorical", "boolean", "ignore")
STRETCH = 20_000  # neighbouring rows that losses are taken from: their dependence shows inside


@click.group()
def reference() -> None:
    """What a model's data looked like when it was judged fit."""


def _declared(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for text in given:
        name, _equals, kind = text.rpartition("=")
        if not name or kind not in KINDS:
            raise click.BadParameter(f"{text!r} cannot be used. Try: NAME={'|'.join(KINDS)}")
        found[name] = kind
    return found


@reference.command(
    epilog="Example: tenure-agent reference build train.parquet --model fraud --version 3 --out fraud.reference"
)
@click.argument("data", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--model", required=True)
@click.option("--version", required=True)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True)
@click.option("--time", metavar="COLUMN", help="When each row was; rows are brought into its order. Default: time.")
@click.option("--label", metavar="COLUMN", help="The truth. Default: label.")
@click.option("--prediction", metavar="COLUMN", help="What the model said. Default: prediction.")
@click.option("--score", metavar="COLUMN", help="How sure it was. Default: score.")
@click.option("--column", "declared", multiple=True, metavar="NAME=KIND", callback=_declared, help=" | ".join(KINDS))
@click.option("--ignore", multiple=True, metavar="NAME", help="Short for --column NAME=ignore.")
@click.option("--where", metavar="SQL", help="Only rows for which this holds, such as \"split = 'reference'\".")
@click.option("--missing", multiple=True, metavar="TEXT", help="A text in a CSV that stands for no value, such as NA.")
@click.option(
    "--segment", "segments", multiple=True, metavar="NAME", help="Tell its values apart, 8 at most and others."
)
@click.option("--task", type=click.Choice(["binary", "multiclass", "regression"]), help="Default: guessed.")
@click.option("--json", "as_json", is_flag=True)
def build(
    data: Path,
    model: str,
    version: str,
    out: Path,
    declared: dict[str, str],
    ignore: tuple[str, ...],
    where: str | None,
    missing: tuple[str, ...],
    segments: tuple[str, ...],
    task: str | None,
    as_json: bool,
    **roles: str | None,
) -> None:
    """Build a reference from a file of rows: CSV, Parquet or Arrow, however large.

    Rows count in the order of --time, or else of the file. Columns named id, version, role, split and label_time are
    taken for bookkeeping unless --column says otherwise. With labels the reference also holds how large the losses were,
    how they move on their own, and which feature tells the label alone; predictions must then be out of sample.
    """
    from tenure_agent.dataset import Table  # noqa: PLC0415  # duckdb
    from tenure_agent.roles import Roles  # noqa: PLC0415
    from tenure_agent.segment_builder import with_segments  # noqa: PLC0415

    named = Roles(declared=declared | dict.fromkeys(ignore, "ignore"), **roles)
    try:
        with (
            tempfile.TemporaryDirectory(prefix=".reference-", dir=out.absolute().parent) as folder,
            _progress() as told,
            Table(Path(folder), told) as table,
        ):
            table.load(data, named, where=where, missing=missing)
            if segments:
                _check_segments(segments, table)
            built = _built(table, model, version, named.declared, task, f"built from {data.name}")
            built = with_segments(built, table, segments)
        built.save(out)
    except TenureError as error:
        raise click.UsageError(str(error)) from None
    except OSError as error:
        raise click.UsageError(f"--out: {out} cannot be written ({error.strerror}). Try: another folder") from None
    _print_built(built, out, as_json=as_json)


def _check_segments(given: tuple[str, ...], table: Table) -> None:
    from tenure_agent.model_config import few_segments  # noqa: PLC0415

    known = [name for part, name in table.sample() if part == FEATURE]
    for name in given:
        if name not in known:
            raise SettingError("--segment", name, f"one of {', '.join(known[:20])}{', …' if len(known) > 20 else ''}")
    try:
        few_segments(given)
    except ValueError as error:
        raise SettingError("--segment", ", ".join(given), str(error)) from None


def _built(
    table: Table, model: str, version: str, declared: Mapping[str, str], task: str | None, source: str
) -> Reference:
    """A reference from a table; with labels, also what they tell."""
    from tenure_agent.bins import as_texts  # noqa: PLC0415
    from tenure_agent.builder import build_reference  # noqa: PLC0415
    from tenure_agent.dataset import LABEL  # noqa: PLC0415
    from tenure_agent.hints import label_hints, present, twin_hints  # noqa: PLC0415
    from tenure_agent.losses import profile_losses, task_of  # noqa: PLC0415

    losses: Any = ()
    pair = dict(table.evenly([("output", "prediction"), LABEL], STRETCH))
    if len(pair) == 2:
        said, truth = pair.values()
        known = present(truth) & present(said)
        said, truth = said[known], truth[known]
        if "O" in {said.dtype.kind, truth.dtype.kind}:
            said, truth = as_texts(said), as_texts(truth)
        task = task or (task_of(said, truth) if len(truth) else None)
        losses = profile_losses(task or "regression", said, truth)
    built = build_reference(
        model,
        version,
        table,
        declared=declared,
        losses=losses,
        told=source,
        span=table.span,
        notices=table.notices,
    )
    sample, label = table.sample(), table.evenly([LABEL]).get(LABEL)
    hints = twin_hints(built.layout, sample, label)
    if label is not None:
        known = present(label)
        guessed = task or (task_of(label[known], label[known]) if known.any() else "regression")
        hints += label_hints(built.layout, sample, label, guessed)
    return replace(built, hints=hints)


def _print_built(built: Reference, out: Path, *, as_json: bool) -> None:
    from dataclasses import asdict  # noqa: PLC0415

    from tenure_agent.cli.reference_view import visible  # noqa: PLC0415
    from tenure_agent.findings import find  # noqa: PLC0415

    document = {
        "path": str(out),
        "hash": built.hash,
        "digest": built.digest,
        "rows": built.rows,
        "columns": {column.name: column.kind for column in built.columns},
        "losses": {loss.channel: round(loss.mean, 6) for loss in built.losses},
        "segments": {one.name: one.rows for one in built.segments},
        "notices": list(built.notices),
        "findings": [asdict(finding) for finding in find(built)],
    }
    if as_json:
        click.echo(json.dumps(document))
        return
    click.echo(f"{built.rows:,} rows, {len(built.columns)} columns -> {out}")
    click.echo(f"  sha256 {built.digest}")
    for one in built.segments:
        click.echo(f"  segment {visible(one.name)}: {one.rows:,} rows")
    for notice in built.notices:
        click.echo(f"  {visible(notice)}")
    for finding in find(built):
        click.echo(f"  {visible(': '.join(filter(None, (finding.column, finding.text))))}")


@reference.command(epilog="Example: tenure-agent reference show fraud.reference --column amount")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--column", metavar="NAME", help="One column, in detail.")
@click.option(
    "--against",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Another reference, laid over it: the columns that differ most, or the one asked for.",
)
@click.option("--json", "as_json", is_flag=True)
def show(file: Path, column: str | None, against: Path | None, as_json: bool) -> None:
    """Show what a reference holds: its columns, their histograms, and what looks wrong with them."""
    from tenure_agent.cli.overlay_view import document as overlaid  # noqa: PLC0415
    from tenure_agent.cli.overlay_view import print_overlays  # noqa: PLC0415
    from tenure_agent.cli.reference_view import document, print_column, print_reference  # noqa: PLC0415
    from tenure_agent.reference import Reference  # noqa: PLC0415

    try:
        loaded = Reference.load(file)
        other = Reference.load(against) if against is not None else None
    except TenureError as error:
        raise click.UsageError(str(error)) from None
    names = [one.name for one in loaded.columns]
    if column is not None and column not in names:
        raise click.UsageError(f"--column: {column!r} is not in {file}. Try: {', '.join(names) or 'no column at all'}")
    if other is not None:
        if as_json:
            click.echo(json.dumps(overlaid(loaded, other, column)))
        else:
            print_overlays(loaded, other, column)
    elif as_json:
        click.echo(json.dumps(document(loaded, column)))
    elif column is None:
        print_reference(loaded)
    else:
        print_column(loaded, column)


@contextmanager
def _progress() -> Iterator[Callable[[str, float], None]]:
    """A bar on a terminal, and nothing elsewhere."""
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("reading", total=1.0)
        yield lambda doing, share: progress.update(task, description=doing, completed=share)
