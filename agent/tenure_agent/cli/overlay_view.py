"""Two references laid over each other on a terminal, and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from tenure_agent.cli.reference_view import percentage, speaks_unicode, terminal, visible
from tenure_agent.findings import show
from tenure_agent.overlay import Overlay, overlays
from tenure_agent.reference import Reference

COLUMNS, ROWS = 3, 17  # columns drawn unless one is asked for; parts of one
UNICODE, PLAIN = ("█", "▒", "░"), ("#", "-", "+")  # in both, in the first only, in the second only


def document(first: Reference, second: Reference, name: str | None) -> dict[str, Any]:
    """What `show --against --json` prints."""
    found = [asdict(one) | {"apart": one.apart} for one in overlays(first, second) if name in {None, one.name}]
    return {"first": first.digest, "second": second.digest, "columns": found}


def print_overlays(first: Reference, second: Reference, name: str | None) -> None:
    """The columns that differ most, or the one asked for."""
    console = terminal()
    found = [one for one in overlays(first, second) if name in {None, one.name}]
    both, only_first, only_second = UNICODE if speaks_unicode(console) else PLAIN
    titles = [visible(f"{one.model} {one.version}") for one in (first, second)]
    if titles[0] == titles[1]:
        titles = ["first", "second"]
    console.print(Text(f"{both} both   {only_first} only {titles[0]}   {only_second} only {titles[1]}"))
    for one in sorted(found, key=lambda overlay: -overlay.apart)[: COLUMNS if name is None else None]:
        _print(console, one)
    if not found:
        console.print("they have no column in common")


def _print(console: Console, overlay: Overlay) -> None:
    marks = UNICODE if speaks_unicode(console) else PLAIN
    console.print()
    console.print(
        Text(visible(overlay.name), "bold").append(f": {overlay.apart:.0%} of its rows lie elsewhere", "not bold")
    )
    right = Column("", justify="right", no_wrap=True)
    table = Table(right, *(Column("", justify="right") for _ in range(2)), "", box=None, show_header=False)
    parts = [part for part in overlay.parts if max(part[1:]) > 0 or isinstance(part[0], float)][:ROWS]
    width, most = max(10, min(60, console.width - 40)), max((max(part[1:]) for part in parts), default=1.0)
    for label, before, now in parts:
        lengths = [
            round(width * share / most) for share in (min(before, now), max(before - now, 0), max(now - before, 0))
        ]
        bar = "".join(mark * length for mark, length in zip(marks, lengths, strict=True))
        table.add_row(Text(_label(label)), percentage(before), percentage(now), bar)
    console.print(table)


def _label(label: str | float | None) -> str:
    if isinstance(label, float):
        return f"{show(label)} …"
    return "missing" if label is None else visible(label) if label else "other"
