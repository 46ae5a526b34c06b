"""What `tenure-agent status` prints."""

from __future__ import annotations

from collections import Counter
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

STYLES = {"OK": "green", "WARNING": "yellow", "CRITICAL": "bold red", "ERROR": "bold red"}


def print_standing(found: dict[str, Any]) -> None:
    """An agent's answer, or a relay's, for people."""
    console = Console(markup=False, highlight=False)  # names are data, brackets and all
    when = found["event_time"] or "nothing stored yet"
    console.print(f"agent {found['agent']} at {found['addresses'].get('grpc')}, event time {when}")
    if "upstream" in found:
        _print_relay(console, found["upstream"])
    else:
        _print_reviewed(console, found)
    lost = ", ".join(f"{n:,} {reason}" for reason, n in found["dropped"].items()) or "none"
    console.print(f"stored {found['stored']:,} rows; lost at producers: {lost}")
    if found["lost_after_ack"]:
        console.print(f"{found['lost_after_ack']:,} reports acked before are gone from the store", style="bold red")


def _print_relay(console: Console, hub: dict[str, Any]) -> None:
    state = Text("connected", "green") if hub["connected"] else Text("not connected", "bold red")
    console.print(Text(f"a relay to {hub['address']}, ").append(state))
    oldest = f", the oldest for {hub['oldest_seconds']:,.0f} s" if hub["reports"] else ""
    console.print(f"to be sent: {hub['reports']:,} reports, {hub['bytes']:,} bytes{oldest}")


def _print_reviewed(console: Console, found: dict[str, Any]) -> None:
    rows = Table("model", "version", "role", "predictions", "outcomes")
    for name, model in found["models"].items():
        for stored in model["predictions"]:
            counts = f"{stored['rows']:,}", f"{model['outcomes']:,}"
            rows.add_row(Text(name), Text(stored["version"]), stored["role"], *counts)
    console.print(rows)
    quiet: Counter[tuple[str, str, str, str]] = Counter()
    for verdict in found["verdicts"]:
        if "=" in verdict["segment"] and verdict["level"] in {"OK", "INSUFFICIENT_DATA"}:
            quiet[verdict["model"], verdict["version"], verdict["check"], verdict["level"]] += 1
            continue
        level = Text(verdict["level"], STYLES.get(verdict["level"], "dim"))
        of = f" {verdict['model']} {verdict['version']} {verdict['check']}{_segment(verdict)}, {verdict['time']}"
        console.print(level.append(of, "default"))
        console.print(Padding(Text(verdict["reason"]), (0, 0, 0, 4), expand=False))
    for (model, version, check, unheard), count in quiet.items():
        console.print(Text(f"{count} segments {unheard}", "dim").append(f" {model} {version} {check}", "default"))
    console.print("decisions: " + ", ".join(f"{n} {state}" for state, n in found["outbox"].items()))
    if found["archive"] and found["archive"]["failed"]:
        console.print(f"not archived: {found['archive']['failed']}", style="bold red")


def _segment(verdict: dict[str, Any]) -> str:
    return f" {verdict['segment']}" if verdict["segment"] else ""
