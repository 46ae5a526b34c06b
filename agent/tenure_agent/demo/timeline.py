"""What a person sees while the demo runs: one line per thing that happened, a bar for what flows."""

from __future__ import annotations

import datetime as dt
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tenure.lifecycle import Transition

LEVELS = {"OK": "green", "WARNING": "yellow", "CRITICAL": "bold red", "ERROR": "bold red", "INSUFFICIENT_DATA": "dim"}


class Timeline:
    """Prints to a terminal as it happens; without one, the lines only."""

    def __init__(self, flights: int) -> None:
        self._console = Console(highlight=False)
        if not self._console.is_terminal:
            self._console.width = 10_000  # a file has no width to wrap at
        self._progress = Progress(
            TextColumn("{task.fields[day]}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("flights"),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task = self._progress.add_task("", total=flights, day="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def flew(self, day: dt.datetime, flights: int) -> None:
        self._progress.update(self._task, advance=flights, day=f"{day:%Y-%m-%d}")

    def say(self, text: str = "") -> None:
        self._console.print(text)

    def verdict(self, change: dict[str, Any], time: dt.datetime) -> None:
        before = f"{change['previous']} -> " if change["previous"] else ""
        level = f"{before}[{LEVELS[change['level']]}]{change['level']}[/]"
        self._happened(
            time, "cyan", "verdict", f"version {change['version']} {change['check']}: {level}", change["reason"]
        )

    def decision(self, decision: dict[str, Any]) -> None:
        time = dt.datetime.fromisoformat(decision["event_time"])
        what = f"[bold]{decision['action']}[/] version {decision['version']}"
        how = f"{decision['urgency']}, {decision['trigger']}, {decision['state']}"
        self._happened(time, "magenta", "decision", f"{what} ({how})", decision["reason"])

    def step(self, version: str, step: Transition) -> None:
        what = f"version {version}: {step.source} -> [bold]{step.target}[/] by {step.actor}"
        self._happened(step.time, "blue", "lifecycle", what, step.reason)

    def _happened(self, time: dt.datetime, colour: str, kind: str, what: str, why: str) -> None:
        """One thing that happened: what on the first line, why below it."""
        self.say(f"{time:%Y-%m-%d %H:%M}  [{colour}]{kind:<9}[/]  {what}")
        self._console.print(Padding(escape(why), (0, 0, 0, 29), expand=False))
