"""`tenure-agent backtest`: what Tenure would have said and done."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tenure.errors import SettingError, TenureError
from tenure_agent.config import Config, load_config
from tenure_agent.faults import ConfigError
from tenure_agent.records import Decision, Level, iso
from tenure_agent.units import read_duration, show_duration

if TYPE_CHECKING:
    from tenure_agent.backtest import Backtest
    from tenure_agent.chronicle import Episode

MEMORY = 1 << 30  # bytes; what does not fit goes to a temporary directory
COLOURS = {Level.WARNING: "yellow", Level.CRITICAL: "bold red"}


class Span(click.ParamType[dt.timedelta]):
    """A duration as in tenure.yaml."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dt.timedelta:
        try:
            found = read_duration(value)
        except ValueError as error:
            self.fail(f"{value!r} is not {error}", param, ctx)
        if not found:
            self.fail(f"{value!r} is no time at all. Try: 5m", param, ctx)
        return found


@click.command(epilog="Example: tenure-agent backtest history.parquet --config tenure.yaml --column time=scored_at")
@click.argument("data", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--config", type=click.Path(path_type=Path), help="tenure.yaml; default: all defaults.")
@click.option(
    "--reference", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Instead of the configured one."
)
@click.option("--model", help="As named in the configuration; default: the only one there.")
@click.option("--column", "columns", multiple=True, metavar="NAME=COLUMN", help="What the file calls it; see above.")
@click.option("--every", type=Span(), help="Time between reviews; default: as configured, else a tenth of a window.")
@click.option("--window", type=Span(), help="What each review looks at; default: as configured.")
@click.option("--json", "as_json", is_flag=True, help="JSON lines: episodes, decisions, a last summary.")
def backtest(
    data: Path,
    config: Path | None,
    reference: Path | None,
    model: str | None,
    columns: tuple[str, ...],
    every: dt.timedelta | None,
    window: dt.timedelta | None,
    as_json: bool,
) -> None:
    """Replay a labelled history (CSV or Parquet) and print what Tenure would have said and done. Nothing is posted.

    Columns are `time`, and where there are: `id`, `version`, `role` (champion, challenger, shadow), `split` (rows that
    say `reference` are what the others are held against), `prediction`, `score`, `label`, `label_time`. All others are
    features.
    """
    from tenure_agent.backtest import Overrides  # noqa: PLC0415  # duckdb and scipy are not needed to refuse a bad file

    try:
        settings = load_config(config)
        name = _model(settings, model, data)
        asked = Overrides(every, window, reference)
        with tempfile.TemporaryDirectory(prefix="tenure-backtest-") as folder:
            asyncio.run(_run(data, _names(columns), name, settings, asked, Path(folder), as_json=as_json))
    except (ConfigError, SettingError) as error:
        raise click.UsageError(str(error)) from None
    except TenureError as error:
        raise click.ClickException(str(error)) from None


async def _run(
    data: Path, names: Mapping[str, str], name: str, config: Config, asked: Any, folder: Path, *, as_json: bool
) -> None:
    from tenure_agent.backtest import Backtest  # noqa: PLC0415
    from tenure_agent.store import Database  # noqa: PLC0415
    from tenure_agent.store.history import sorted_history  # noqa: PLC0415
    from tenure_agent.units import in_micros  # noqa: PLC0415

    started = time.monotonic()
    delay = in_micros(config.model(name).performance.label_delay)
    history = sorted_history(data, names, delay, folder, MEMORY)
    database = Database(None, exports=folder, memory=max(MEMORY, config.store.memory), threads=config.store.threads)
    view = Lines() if as_json else Timeline()
    try:
        test = Backtest(database, history, name, config, asked)
        with _progress() as bar:
            task = bar.add_task("", total=history.live)
            async for event in test.run(lambda rows: bar.advance(task, rows)):
                view.event(event)
        seconds = time.monotonic() - started
        view.end(test, _summary(test, history.live, history.labels, seconds, history.first, history.last))
    finally:
        database.close()


def _summary(test: Backtest, rows: int, labels: int, seconds: float, first: int, last: int) -> dict[str, Any]:
    return {
        "kind": "summary",
        "rows": rows,
        "labels": labels,
        "first": iso(first),
        "last": iso(last),
        "every": show_duration(test.interval),
        **test.chronicle.document(),
        "seconds": round(seconds, 3),
    }


class Lines:
    """JSON lines; an episode when it has closed, or at the end."""

    def event(self, event: Episode | Decision) -> None:
        from tenure_agent.chronicle import decision_document  # noqa: PLC0415

        if isinstance(event, Decision):
            click.echo(json.dumps(decision_document(event)))
        elif event.closed is not None:
            click.echo(json.dumps(event.document()))

    def end(self, test: Backtest, summary: dict[str, Any]) -> None:
        for episode in test.chronicle.open:
            click.echo(json.dumps(episode.document()))
        click.echo(json.dumps(summary))


class Timeline:
    """What happened as it happens, and the figures below."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        if not self._console.is_terminal:
            self._console.width = 10_000  # a file has no width to wrap at

    def event(self, event: Episode | Decision) -> None:
        if isinstance(event, Decision):
            what = f"[bold]{event.action}[/] version {escape(event.version)} ({event.urgency}, {event.trigger})"
            self._happened(event.event_time, "magenta", "decision", what, event.reason)
            return
        where = f" {escape(event.segment)}" if event.segment else ""
        what = f"version {escape(event.version)} {event.check}{where}: [{COLOURS[event.level]}]{event.level}[/]"
        if event.closed is None:
            self._happened(event.opened, "cyan", "opened", what, event.reason)
        else:
            lasted = dt.timedelta(microseconds=event.closed - event.opened)
            self._happened(event.closed, "cyan", "closed", f"{what} after {_told(lasted)}")

    def end(self, _: Backtest, summary: dict[str, Any]) -> None:
        told = self._console.print
        reviews, rows = summary["reviews"], summary["rows"]
        told(f"\n{rows:,} rows and {summary['labels']:,} labels, {summary['first'][:10]} to {summary['last'][:10]}")
        told(
            f"{reviews:,} reviews, one every {summary['every']}; CRITICAL for {summary['critical_share']:.1%} of the time"
        )
        for found in summary["episodes"]:
            where = f" in {escape(found['segment'])}" if "segment" in found else ""
            told(f"  {found['count']} {found['check']} episodes {found['level']}{where}")
        for action, count in summary["decisions"].items():
            told(f"  {count} decisions to {action}")
        if not summary["episodes"] and not summary["decisions"]:
            told("  nothing to say and nothing to do")
        for check, levels in summary["verdicts"].items():
            if unjudged := levels.get(Level.INSUFFICIENT_DATA, 0):
                told(f"  {check}: too little data to judge in {unjudged:,} verdicts of {sum(levels.values()):,}")
        told(f"{summary['seconds']:.1f} seconds")

    def _happened(self, time_: int, colour: str, kind: str, what: str, why: str = "") -> None:
        self._console.print(f"{iso(time_)[:16].replace('T', ' ')}  [{colour}]{kind:<9}[/]  {what}")
        if why:
            self._console.print(Padding(escape(why), (0, 0, 0, 29), expand=False))


def _progress() -> Progress:
    console = Console(stderr=True)
    parts = (BarColumn(bar_width=None), MofNCompleteColumn(), TextColumn("rows"), TimeElapsedColumn())
    return Progress(*parts, console=console, transient=True, disable=not console.is_terminal)


def _told(span: dt.timedelta) -> str:
    """As people say it: in the largest unit there are two of."""
    for unit, one in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if span.total_seconds() >= 2 * one:
            return f"{span.total_seconds() / one:.0f} {unit}"
    return f"{span.total_seconds():.0f} seconds"


def _model(config: Config, asked: str | None, data: Path) -> str:
    known = list(config.models)
    if asked is not None:
        if known and asked not in known:
            raise SettingError("--model", asked, f"one of {', '.join(known)}")
        return asked
    if len(known) > 1:
        raise SettingError("--model", None, f"--model {known[0]}; the configuration has {', '.join(known)}")
    return known[0] if known else data.stem


def _names(columns: tuple[str, ...]) -> dict[str, str]:
    from tenure_agent.store.history import NAMES  # noqa: PLC0415

    names = {}
    for given in columns:
        name, _, column = given.partition("=")
        if name not in NAMES or not column:
            raise SettingError("--column", given, f"NAME=COLUMN, NAME being one of {', '.join(NAMES)}")
        names[name] = column
    return names
