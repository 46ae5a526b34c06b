"""`tenure-agent demo`: the main job on real flights."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import signal
import sys
from pathlib import Path

import click

from tenure.errors import TenureError

FIRST, LAST = dt.datetime(2013, 3, 2, tzinfo=dt.UTC), dt.datetime(2013, 12, 30, tzinfo=dt.UTC)
MARK = "made-by-tenure-agent-demo"


@click.command(epilog="Example: tenure-agent demo --until 2013-06-01")
@click.option(
    "--until", type=click.DateTime(["%Y-%m-%d"]), default="2013-12-30", show_default=True, help="Stop before."
)
@click.option("--dir", "folder", type=click.Path(path_type=Path), default=Path("tenure-demo"), show_default=True)
@click.option("--json", "as_json", is_flag=True, help="End with one JSON object on the last line.")
def demo(until: dt.datetime, folder: Path, as_json: bool) -> None:
    """Serve 283,000 real flights through a watched model, let it drift, decide, retrain, and be better."""
    last_day = until.replace(tzinfo=dt.UTC)
    if not FIRST <= last_day <= LAST:
        raise click.UsageError(f"--until: {until:%Y-%m-%d} is outside {FIRST:%Y-%m-%d} to {LAST:%Y-%m-%d}")
    folder = folder.absolute()
    _prepare(folder)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the demo's processes end with it
    try:
        from tenure_agent.demo.driver import Demo  # noqa: PLC0415  # pandas and scikit-learn are an extra

        summary = Demo(folder, last_day).run()
    except ModuleNotFoundError as error:
        raise click.ClickException(f"{error.name} is not installed. Try: pip install 'tenure[demo]'") from None
    except TenureError as error:
        click.echo(f"tenure-agent: {error}", err=True)
        sys.exit(1)
    if as_json:
        click.echo(json.dumps(summary))


def _prepare(folder: Path) -> None:
    """An empty folder; one that an earlier demo made is emptied, any other is left alone."""
    if folder.exists() and any(folder.iterdir()):
        if not (folder / MARK).exists():
            raise click.UsageError(f"--dir: {folder} is there and no earlier demo made it. Try: another --dir")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).touch()
