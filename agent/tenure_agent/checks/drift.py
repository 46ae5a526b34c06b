"""Did inputs or outputs move away from the reference?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tenure_agent.detectors import DETECTORS
from tenure_agent.detectors.detector import Measurement
from tenure_agent.movement import Movement, own_movement
from tenure_agent.records import Level, Reading, Verdict, Window
from tenure_agent.reference import Reference
from tenure_agent.summary import Summary

CHECK = "drift"
FALSE_DISCOVERY_RATE = 0.01
# Effect floors: below the first a difference does not matter however certain it is; the second is grave.
FLOORS = {"ks": (0.1, 0.2), "psi": (0.1, 0.25)}
# Surprise: times the largest statistic among the reference's own stretches of that length.
MARGINS = (1.5, 2.5)


def check_drift(reference: Reference, summary: Summary, window: Window, rows: int, min_rows: int) -> Verdict:
    """One check by itself: levels of single readings, before episodes.

    A reading counts only with significance (Benjamini-Hochberg over all columns and detectors), effect (the floors)
    and surprise: 1.5 times what the column does on its own for a WARNING, 2.5 times for CRITICAL. Where the reference
    is too short to know that, it stops at WARNING.
    """
    if rows < min_rows:
        reason = f"{rows} rows in the window, fewer than the {min_rows} needed"
        return _verdict(reference, Level.INSUFFICIENT_DATA, reason, window, rows, ())
    found = {name: detector(reference, summary) for name, detector in DETECTORS.items()}
    significant = benjamini_hochberg(np.concatenate([m.p_value for m in found.values()]), FALSE_DISCOVERY_RATE)
    movement = own_movement(reference, rows)
    readings = []
    for i, (name, measured) in enumerate(found.items()):
        n = len(reference.columns)
        readings += _readings(name, measured, significant[i * n : (i + 1) * n], reference, summary, movement)
    if not readings:
        reason = f"none of the reference's columns has a value in the {rows} rows of the window"
        return _verdict(reference, Level.INSUFFICIENT_DATA, reason, window, rows, ())
    alarming = sorted((r for r in readings if r.level is not Level.OK), key=lambda r: -r.statistic / r.threshold)
    level = Level.OK
    if alarming:
        level = Level.CRITICAL if any(r.level is Level.CRITICAL for r in alarming) else Level.WARNING
    return _verdict(reference, level, describe(alarming), window, rows, readings)


def _readings(
    name: str,
    measured: Measurement,
    significant: npt.NDArray[np.bool_],
    reference: Reference,
    summary: Summary,
    movement: Movement,
) -> list[Reading]:
    readings = []
    for i, column in enumerate(reference.columns):
        statistic = float(measured.statistic[i])
        if np.isnan(statistic):
            continue
        own = float(movement.largest[name][i])
        threshold, grave = (max(floor, margin * own) for floor, margin in zip(FLOORS[name], MARGINS, strict=True))
        level = Level.OK
        if significant[i] and statistic >= threshold:
            level = Level.CRITICAL if statistic >= grave and movement.known else Level.WARNING
        p_value, n = float(measured.p_value[i]), int(summary.rows[i])
        readings.append(Reading(column.name, name, statistic, p_value, threshold, n, level))
    return readings


def describe(alarming: Sequence[Reading]) -> str:
    """The columns that moved most, in one sentence."""
    columns = list(dict.fromkeys(reading.column for reading in alarming))
    if not columns:
        return "inputs and outputs are within what the reference does on its own"
    worst = {column: next(r for r in alarming if r.column == column) for column in columns[:3]}
    parts = [f"{column} ({r.detector.upper()} {r.statistic:.2f})" for column, r in worst.items()]
    more = f" and {len(columns) - 3} more" if len(columns) > 3 else ""
    return f"{', '.join(parts)}{more} moved away from the reference"


def benjamini_hochberg(p_values: npt.NDArray[np.float64], rate: float) -> npt.NDArray[np.bool_]:
    """Which hypotheses are rejected at a false discovery rate; NaN never is.

    References
    ----------
    Benjamini, Y. & Hochberg, Y. (1995). Controlling the false discovery rate. JRSS B 57(1), 289-300.
    """
    known = np.flatnonzero(~np.isnan(p_values))
    rejected = np.zeros(len(p_values), bool)
    if len(known):
        ordered = np.sort(p_values[known])
        below = np.flatnonzero(ordered <= rate * np.arange(1, len(known) + 1) / len(known))
        if len(below):
            rejected[known] = p_values[known] <= ordered[below[-1]]
    return rejected


def _verdict(
    reference: Reference, level: Level, reason: str, window: Window, rows: int, readings: Sequence[Reading]
) -> Verdict:
    return Verdict(reference.model, reference.version, CHECK, level, reason, window, rows, tuple(readings))
