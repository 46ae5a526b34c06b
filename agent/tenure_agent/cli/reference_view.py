"""A reference on a terminal, and as JSON."""

from __future__ import annotations

import io
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

from tenure_agent.findings import Finding, find, show
from tenure_agent.hints import CORRELATION, LABEL
from tenure_agent.portrait import Portrait, portraits
from tenure_agent.reference import Reference

WIDE = 116  # columns of a terminal from which there is room for everything
BLOCKS, PLAIN = " ▁▂▃▄▅▆▇█", " .:-=+*#@"
TOP = 20  # values of one column in detail
COLOURS = {"leakage": "red", "few_rows": "yellow"}


def document(reference: Reference, name: str | None = None) -> dict[str, Any]:
    """What `show --json` prints."""
    return {
        "model": reference.model,
        "version": reference.version,
        "source": reference.source,
        "digest": reference.digest,
        "hash": reference.hash,
        "rows": reference.rows,
        "blocks": len(reference.blocks),
        "span": [_when(time) for time in reference.span] if any(reference.span) else None,
        "columns": [asdict(one) for one in portraits(reference) if name in {None, one.name}],
        "losses": [asdict(loss) for loss in reference.losses],
        "segments": {one.name: one.rows for one in reference.segments},
        "hints": [asdict(hint) for hint in reference.hints if name in {None, hint.column}],
        "findings": [asdict(finding) for finding in find(reference) if name in {None, finding.column}],
        "notices": list(reference.notices),
    }


def print_reference(reference: Reference) -> None:
    """The whole of it."""
    console = terminal()
    _print_head(console, reference)
    wide = console.width >= WIDE
    names = ["missing", *(["mean", "std"] if wide else []), "min", "median", "max"]
    numbers = [Column(name, justify="right", no_wrap=True) for name in names]
    table = Table("column", Column("kind", no_wrap=True), *numbers, Column("values", no_wrap=True), box=None)
    for portrait in portraits(reference):
        figures = [portrait.low, portrait.median, portrait.high]
        figures = [portrait.mean, portrait.std, *figures] if wide else figures
        name = Text(visible(portrait.name), "bold" if portrait.part == "output" else "")
        told = [show(figure) for figure in figures]
        table.add_row(name, portrait.kind, percentage(portrait.missing), *told, _sketch(console, portrait, wide=wide))
    console.print(table)
    for loss in reference.losses:
        console.print(f"loss {loss.channel}: mean {show(loss.mean)} over {loss.rows:,} labelled rows")
    _print_list(console, "segments", [Text(f"{visible(s.name)}: {s.rows:,} rows") for s in reference.segments])
    _print_list(console, "to look at", [_line(finding) for finding in find(reference)])
    _print_list(console, "noticed", [Text(visible(notice)) for notice in reference.notices])


def print_column(reference: Reference, name: str) -> None:
    """One column in detail."""
    console = terminal()
    _print_head(console, reference)
    for portrait in portraits(reference):
        if portrait.name == name:
            _print_detail(console, portrait)
    for hint in reference.hints:
        if hint.column == name and hint.about == LABEL and hint.measure != CORRELATION:
            console.print(f"alone it tells the label with {hint.measure} {hint.score:.3f}")
    _print_list(console, "to look at", [_line(finding) for finding in find(reference) if finding.column == name])


def visible(text: str) -> str:
    """A text with what does not print written out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _print_head(console: Console, reference: Reference) -> None:
    blocks = f"{reference.rows:,} rows in {len(reference.blocks)} blocks"
    span = f", {_when(reference.span[0])} to {_when(reference.span[1])}" if any(reference.span) else ""
    console.print(
        Text(visible(f"{reference.model} {reference.version}"), "bold").append(f": {blocks}{span}", "not bold")
    )
    console.print(Text(visible(reference.source)))
    console.print(f"sha256 {reference.digest}", soft_wrap=True)
    console.print()


def _print_detail(console: Console, portrait: Portrait) -> None:
    output = ", what the model said" if portrait.part == "output" else ""
    console.print(Text(visible(portrait.name), "bold").append(f": {portrait.kind}{output}", "not bold"))
    shares = ("missing", "mistyped", "infinite", "zeros") if portrait.kind != "categorical" else ("missing", "others")
    console.print("  " + ", ".join(f"{share} {percentage(getattr(portrait, share))}" for share in shares))
    if portrait.mean is not None:
        figures = ("mean", "std", "low", "median", "high")
        console.print("  " + ", ".join(f"{figure} {show(getattr(portrait, figure))}" for figure in figures))
    width = max(10, min(60, console.width - 40))
    table = Table(
        Column("", justify="right", no_wrap=True), Column("", justify="right"), "", box=None, show_header=False
    )
    bars = _bars(portrait)
    most = max((share for _, share in bars), default=0.0)
    for label, share in bars:
        full = "█" if speaks_unicode(console) else "#"
        table.add_row(label, percentage(share), full * round(width * share / most) if most else "")
    console.print(table)


def _bars(portrait: Portrait) -> list[tuple[Text, float]]:
    """What is counted, and its share of the rows: values where they tell it all, else parts of the range."""
    values = [(Text(_value(value)), share) for value, share in portrait.values]
    if portrait.reach is None or len(portrait.histogram) == len(values):
        if portrait.reach is not None:
            values = [one for _, one in sorted(zip([v for v, _ in portrait.values], values, strict=True), key=_first)]
        return values[:TOP]
    low, high = portrait.reach
    step = (high - low) / len(portrait.histogram)
    parts = [f"{show(low + i * step)} …" for i in range(len(portrait.histogram))]
    return [(Text(part), held / max(portrait.rows, 1)) for part, held in zip(parts, portrait.histogram, strict=True)]


def _first(pair: tuple[Any, Any]) -> Any:
    return pair[0]


def _sketch(console: Console, portrait: Portrait, *, wide: bool) -> Text:
    """The column's histogram in one line, or its most frequent categories."""
    room = 28 if wide else 18
    if portrait.kind == "categorical":
        told = ", ".join(f"{_value(value)} {share:.0%}" for value, share in portrait.values[:5])
        text = Text(told)
        text.truncate(room, overflow="ellipsis")
        return text
    heights = portrait.histogram
    while len(heights) > room:
        heights = tuple(sum(heights[i : i + 2]) for i in range(0, len(heights), 2))
    ramp = BLOCKS if speaks_unicode(console) else PLAIN
    most = max(heights, default=0.0)
    steps = [0 if not height else 1 + min(7, int(8 * height / most)) for height in heights]
    return Text("".join(ramp[min(step, len(ramp) - 1)] for step in steps))


def _value(value: float | str) -> str:
    return visible(value) if isinstance(value, str) else show(value)


def percentage(share: float) -> str:
    return "-" if not share else "<0.1%" if share < 0.001 else f"{share:.1%}"


def _line(finding: Finding) -> Text:
    name = f"{visible(finding.column)}: " if finding.column else ""
    return Text(name, "bold").append(visible(finding.text), f"not bold {COLOURS.get(finding.kind, '')}")


def _print_list(console: Console, title: str, lines: list[Text]) -> None:
    if lines:
        console.print(f"\n{title}")
        for line in lines:
            console.print(Padding(line, (0, 0, 0, 2), expand=False))


def terminal() -> Console:
    """Standard output; what it cannot write becomes a question mark."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    return Console(markup=False, highlight=False, emoji=False)


def speaks_unicode(console: Console) -> bool:
    return console.encoding.lower().startswith("utf")


def _when(time: int) -> str:
    return datetime.fromtimestamp(time // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
