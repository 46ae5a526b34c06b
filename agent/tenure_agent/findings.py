"""What a person should look at in a reference before a model is judged by it: quality, and leakage."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tenure_agent.bins import Array
from tenure_agent.hints import AUC, CORRELATION, EXPLAINED, LABEL, Hint
from tenure_agent.portrait import Portrait, bounds, portraits, quantile
from tenure_agent.reference import Reference
from tenure_agent.summary import MAGNITUDES

FEW_ROWS = 1000
HOLLOW = 0.5  # the share of missing values from which it is told
RULES = 0.95  # the share of rows from which a single value is told
HIDDEN = 0.5  # the share of texts without a bin of their own from which it is told
LEAKS = 0.98  # of AUC, of the explained variance, of the saved errors
SENTINEL = 1e-4  # the share of rows a value needs to be taken for a sentinel
SAID = {AUC: "AUC", EXPLAINED: "R²"}


@dataclass(frozen=True)
class Finding:
    """One thing found.

    Parameters
    ----------
    column
        Its name; "" of the whole reference.
    kind
        few_rows, constant, mostly_missing, dominated, infinite, mistyped, sentinel, many_categories, leakage, or twin.
    """

    column: str
    kind: str
    text: str


def find(reference: Reference) -> tuple[Finding, ...]:
    """All there is to say, leakage first, then column by column."""
    found = [_leak(hint) for hint in reference.hints]
    if reference.rows < FEW_ROWS:
        text = f"{reference.rows:,} rows are few: what a column does by itself cannot be told from so little"
        found.append(Finding("", "few_rows", text))
    for number, portrait in enumerate(portraits(reference)):
        found += _quality(reference, number, portrait)
    return tuple(one for one in found if one is not None)


def _leak(hint: Hint) -> Finding | None:
    if hint.measure == CORRELATION:
        if hint.about == LABEL:
            return Finding(hint.column, "leakage", "is the label once more: it will not be known in service")
        return Finding(hint.column, "twin", f"says the same as {hint.about}, up to scale")
    if hint.score < LEAKS:
        return None
    measure = SAID.get(hint.measure, hint.measure)
    text = f"tells the label alone ({measure} {hint.score:.3f}): is it known before the outcome?"
    return Finding(hint.column, "leakage", text)


def _quality(reference: Reference, number: int, portrait: Portrait) -> list[Finding | None]:
    name, found = portrait.name, []
    first = portrait.values[0] if portrait.values else None
    if portrait.missing >= HOLLOW:
        found.append(Finding(name, "mostly_missing", f"{portrait.missing:.1%} missing"))
    if first is not None and first[1] >= 1 - portrait.missing - 1e-12:
        found.append(Finding(name, "constant", f"never anything but {show(first[0])}"))
    elif first is not None and first[1] >= RULES:
        found.append(Finding(name, "dominated", f"{first[1]:.1%} of the rows are {show(first[0])}"))
    if portrait.infinite:
        found.append(Finding(name, "infinite", f"{portrait.infinite:.2%} of the rows are infinite"))
    if portrait.mistyped:
        found.append(Finding(name, "mistyped", f"{portrait.mistyped:.2%} of the rows hold values of another type"))
    if portrait.others >= HIDDEN:
        text = f"{portrait.others:.1%} of the rows have texts too rare for a bin of their own"
        found.append(Finding(name, "many_categories", text))
    column = reference.columns[number]
    if column.ordered and portrait.low is not None and portrait.high is not None and portrait.low < portrait.high:
        counts = reference.summary.counts[reference.layout.stretch(number)].astype(np.float64)
        lower, upper = bounds(column, portrait.low, portrait.high)
        below = int(reference.summary.magnitudes[number, : MAGNITUDES // 2].sum())
        for value, share in _sentinels(counts, lower, upper, column.fenced, below):
            text = f"{share:.2%} of the rows are {show(value)}, far from all others: does it stand for a missing value?"
            found.append(Finding(name, "sentinel", text))
    return list(found)


def _sentinels(counts: Array, lower: Array, upper: Array, atoms: Array, negative: int) -> list[tuple[float, float]]:
    """Single values at an end of the range that look put in by hand, with their share.

    Parameters
    ----------
    negative
        How many values are below zero.
    """
    held = np.flatnonzero(counts)
    found: list[tuple[float, float]] = []
    if len(held) < 4:
        return found
    for end, next_, rest in ((held[0], held[1:2], held[1:]), (held[-1], held[-2:-1], held[:-1])):
        share = float(counts[end]) / float(counts.sum())
        if not atoms[end] or not SENTINEL <= share <= 0.5:
            continue
        value = float(upper[end])
        # A bin's rows lie anywhere in it: the next one is taken by its far end.
        near = float(upper[next_[0]] if end == held[0] else lower[next_[0]])
        others = np.zeros_like(counts)
        others[rest] = counts[rest]
        middle = quantile(others, lower, upper, 0.99) - quantile(others, lower, upper, 0.01)
        gap = abs(value - near)
        alone = value < 0 and counts[end] == negative
        if gap > middle / 2 or (alone and value in {-1.0, -9.0}) or (_nines(value) and gap > max(2.0, middle / 20)):
            found.append((value, share))
    return found


def _nines(value: float) -> bool:
    text = f"{abs(value):.0f}"
    return float(text) == abs(value) and len(text) > 1 and set(text) == {"9"}


def show(value: float | str | None) -> str:
    """A value as people read it, short."""
    if value is None:
        return "-"
    if isinstance(value, str):
        return repr(value)
    if not math.isfinite(value):
        return str(value)
    if value == int(value) and abs(value) < 1e7:
        return f"{int(value):,}"
    return f"{value:.4g}"
