"""What a person sees while the demo runs: one line per thing that happened, a bar for what flows."""

from __future__ import annotations

import datetime as dt
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

LEVELS = {"OK": "green", "WARNING": "yellow", "CRITICAL": "bold red", "ERROR": "bold red", "INSUFFICIENT_DATA": "dim"}


class Timeline:
    """Prints to a terminal as it happens; without one, the lines only."""

    def __init__(self, flights: int) -> None:
        self._console = Console(highlight=False, soft_wrap=True)
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
        before = change["previous"] or "nothing"
        style = LEVELS[change["level"]]
        self.say(
            f"{time:%Y-%m-%d %H:%M}  [cyan]verdict [/]  version {change['version']} {change['check']}: "
            f"{before} -> [{style}]{change['level']}[/]. {change['reason']}"
        )

    def decision(self, decision: dict[str, Any]) -> None:
        time = dt.datetime.fromisoformat(decision["event_time"])
        self.say(
            f"{time:%Y-%m-%d %H:%M}  [magenta]decision[/]  [bold]{decision['action']}[/] version {decision['version']} "
            f"({decision['urgency']}, {decision['trigger']}, {decision['state']}). {decision['reason']}"
        )

    def step(self, version: str, step: Any) -> None:
        self.say(
            f"{step.time:%Y-%m-%d %H:%M}  [blue]lifecycle[/] version {version}: {step.source} -> "
            f"[bold]{step.target}[/] by {step.actor}. {step.reason}"
        )
