"""Do numeric features still go together as they did? What no column shows by itself.

The error of reconstruction (see `tenure_agent.covariance`) over a window is held against the reference and against the recent
past, whichever is nearer, and judged by how far it moves by itself in the reference's own windows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tenure_agent.bins import Array
from tenure_agent.covariance import DECIMALS, Covariance, Reconstructed
from tenure_agent.null import ENOUGH
from tenure_agent.records import ERROR, REFERENCE_ERROR, Level, Reading, Verdict, Window
from tenure_agent.reference import Reference

CHECK = "multivariate"
DETECTOR = "reconstruction"
FLOOR = 0.05  # of the error: less does not matter
LAG, RECENT = 3, 7  # windows: what is learnt from is so old, and the recent past so long
MEMORY = 90  # windows that are learnt from
SAMPLED = 100  # rows: of fewer a mean error says little
NONE = 10.0**-DECIMALS  # an error that is not told from none
NAMED = 3  # columns in a sentence
GREW = 0.05  # standard deviations of a column: a smaller residual more is none
HOLES = 0.05  # of the values


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows of one window.

    Parameters
    ----------
    rows
        How many the window has; `made` is of some of them, spread evenly.
    """

    window: Window
    rows: int
    made: Reconstructed


def check_multivariate(
    reference: Reference, covariance: Covariance, sample: Sample, past: Sequence[float], min_rows: int, margin: float
) -> Verdict:
    """
    Parameters
    ----------
    covariance
        The reference's.
    past
        Errors of earlier windows, oldest first.
    min_rows
        Of the window; of its sample 100 at most.
    margin
        How many times its own movement the error must move; see `tenure_agent.surprise.margin_of`.

    Notes
    -----
    With E the window's mean error and m(a, b) = |ln a/b|: A = min(m(E, reference), m(E, median of the 7 windows before the
    last)), N the largest m of a window of the reference, as long, to the rest of it, and L the largest A of live windows
    more than three windows ago: WARNING where A ≥ max(margin·max(N, L), 0.05). Never more: what moved is named by its
    residual, not by a test.
    """
    rows, enough = len(sample.made.errors), min(min_rows, SAMPLED)
    if sample.rows < min_rows:
        reason = f"{sample.rows} rows in the window, fewer than the {min_rows} needed"
        return _verdict(reference, Level.INSUFFICIENT_DATA, reason, sample)
    if rows < enough:
        reason = f"{rows} rows read of {sample.rows} in the window, fewer than the {enough} needed"
        return _verdict(reference, Level.INSUFFICIENT_DATA, reason, sample)
    error = float(sample.made.errors.mean())
    usual = covariance.error
    errors = [usual, *past]
    moved = _moved(error, past, usual)
    learnt = [_moved(one, errors[1:i], usual) for i, one in enumerate(errors) if 0 < i <= len(past) - LAG + 1]
    own, windows = own_movement(covariance.errors, sample.rows * len(covariance.errors) / max(reference.rows, 1))
    threshold = max(margin * max([own, *learnt[-MEMORY:]]), FLOOR)
    level = Level.WARNING if moved >= threshold else Level.OK
    grown = np.abs(sample.made.residuals).mean(1) - covariance.residuals
    said = _said(covariance, error, grown, level)
    if level is Level.WARNING and windows < ENOUGH:
        said = f"{said} (the reference holds {windows:.1f} windows, too few to be certain)"
    if sample.made.imputed >= HOLES:
        said = f"{said}; {sample.made.imputed:.0%} of the values were missing, and taken for the mean"
    readings = [Reading("all features", DETECTOR, moved, None, threshold, rows, level)]
    if level is Level.WARNING:
        readings += [
            Reading(covariance.columns[i], DETECTOR, float(grown[i]), None, GREW, rows, level) for i in _named(grown)
        ]
    measures = {ERROR: error, REFERENCE_ERROR: usual}
    return Verdict(
        reference.model, reference.version, CHECK, level, said, sample.window, sample.rows, readings, measures
    )


def own_movement(errors: Array, blocks: float) -> tuple[float, float]:
    """The largest |ln| of a window's mean error over that of the rest, and how many windows lie side by side.

    Parameters
    ----------
    errors
        float64 (blocks), in time order.
    blocks
        That make one window. Where there are not six windows side by side, shorter ones stand in: they move more.
    """
    n = len(errors)
    if n < 2 * ENOUGH:
        return 0.0, 0.0
    width = min(max(1, round(blocks)), n // ENOUGH)
    running = np.concatenate(([0.0], np.cumsum(errors)))
    ends = np.arange(width, n + 1)
    window = running[ends] - running[ends - width]
    first, last = np.maximum(ends - 2 * width, 0), np.minimum(ends + width, n)
    rest = running[-1] - (running[last] - running[first])
    with np.errstate(divide="ignore", invalid="ignore"):
        moved = np.abs(np.log((window / width) / (rest / (n - last + first))))
    return float(np.nan_to_num(moved, posinf=0.0).max(initial=0.0)), n / max(blocks, 1e-9)


def _moved(error: float, past: Sequence[float], usual: float) -> float:
    """How far from the reference or from the recent past, whichever is nearer."""
    known = past[:-1][-RECENT:]
    levels = [usual, float(np.median(known))] if len(known) >= LAG else [usual]
    return min(_distance(error, level) for level in levels)


def _distance(one: float, other: float) -> float:
    return abs(math.log(max(one, NONE) / max(other, NONE)))


def _named(grown: Array) -> list[int]:
    order = np.argsort(-grown, kind="stable")[:NAMED].tolist()
    return [i for i in order if grown[i] >= GREW]


def _said(covariance: Covariance, error: float, grown: Array, level: Level) -> str:
    usual = covariance.error
    if level is Level.OK:
        return (
            f"numeric features go together as they do by themselves (error {error:.3g}, {usual:.3g} in the reference)"
        )
    names = ", ".join(covariance.columns[i] for i in _named(grown))
    far = f"error of reconstruction {error:.3g}, {usual:.3g} in the reference"
    if error < usual:
        return f"numeric features go together more closely than they did ({far})"
    return f"{names or 'numeric features'} no longer go together with the others as they did ({far})"


def _verdict(reference: Reference, level: Level, reason: str, sample: Sample) -> Verdict:
    return Verdict(reference.model, reference.version, CHECK, level, reason, sample.window, sample.rows)
