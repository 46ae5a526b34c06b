"""Did inputs or outputs move further than they do by themselves?

Surprise decides whether (see `tenure_agent.surprise`), detectors say what: one sentence names the columns and, of all that
detectors found in them, the most telling.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from tenure_agent.bins import Array, Layout
from tenure_agent.detectors import DETECTORS, Measurement, measure_all
from tenure_agent.null import Null, Nulls
from tenure_agent.past import NEWEST, WINDOW, Past, Step
from tenure_agent.records import SCORE, SURPRISE, Level, Reading, Verdict, Window
from tenure_agent.reference import Reference
from tenure_agent.summary import Summary, merge
from tenure_agent.surprise import CLOSE_AFTER, OPEN_AFTER, OPEN_OF, Surprise, episode, surprise

CHECK = "drift"
FALSE_DISCOVERY_RATE = 0.01
ALWAYS = ("ks", "psi", "missing")  # readings kept of every column; of the others, what is over its floor
NAMED = 3  # columns in a sentence
MOSTLY = 0.5  # of the rows
SHOWN = 5  # columns whose histograms a verdict carries
TELLING = (  # detectors, those first that name a cause
    *("type_change", "point_mass", "missing", "scale", "new_category", "vanished_category", "out_of_range"),
    *("mean_shift", "ks", "psi", "chi_squared", "g_test", "wasserstein", "jensen_shannon"),
)


@dataclass(frozen=True)
class Newest:
    """The newest blocks of one model version.

    Parameters
    ----------
    block
        Number of the newest.
    window
        Over its event time.
    blocks
        Summaries of its blocks, oldest first; none of those without a row.
    counts
        int64 (blocks, coarse bins), oldest first: each block by itself.
    """

    block: int
    window: Window
    layout: Layout
    blocks: Sequence[Summary]
    counts: Array

    @cached_property
    def summary(self) -> Summary:
        """Of the whole window."""
        return merge(self.layout, self.blocks)

    @cached_property
    def total(self) -> Array:
        """int64 (coarse bins): of the whole window."""
        found: Array = self.counts.sum(0)
        return found

    @property
    def own(self) -> Array:
        """int64 (coarse bins): of the newest block; not a view, which would keep the others with it."""
        found: Array = self.counts[-1].copy()
        return found


@dataclass(frozen=True, slots=True)
class Settings:
    """When a window is enough, and what a surprise is.

    Parameters
    ----------
    margin
        See `tenure_agent.surprise.margin_of`.
    brief
        Where nothing surprises, leave out what detectors measure.
    """

    min_rows: int
    margin: float
    brief: bool = False


def check_drift(
    reference: Reference, nulls: Nulls, past: Past, newest: Newest, settings: Settings
) -> tuple[Verdict, Step]:
    """Judge the newest block; the verdict, and the step that `past` is to remember.

    Notes
    -----
    A column's surprise counts only where it is significant besides: Benjamini-Hochberg over all columns and the
    detectors with a p-value.
    """
    coarse = reference.coarse
    rows = int(coarse.sums(newest.total).max(initial=0))
    unjudged = Step.unjudged(newest.block, newest.own, past.critical)
    if rows < settings.min_rows:
        reason = f"{rows} rows in the window, fewer than the {settings.min_rows} needed"
        return _verdict(reference, Level.INSUFFICIENT_DATA, reason, newest.window, rows), unjudged
    if not any(block.rows.any() for block in newest.blocks):
        reason = f"none of the reference's columns has a value in the {rows} rows of the window"
        return _verdict(reference, Level.INSUFFICIENT_DATA, reason, newest.window, rows), unjudged
    part = newest.counts[-NEWEST:].sum(0)
    if not part.any():
        reason = f"no rows in the newest {NEWEST} of the window's {WINDOW} blocks"
        return _verdict(reference, Level.INSUFFICIENT_DATA, reason, newest.window, rows), unjudged
    null = nulls.of(rows, round(rows * NEWEST / WINDOW))
    found = surprise(newest.total, part, newest.own, nulls.total, coarse, null, past, settings.margin)
    measured: Mapping[str, Measurement] = {}
    if found.score >= 1 or not settings.brief:
        measured = measure_all(reference, newest.summary)
        found = found.only(_significant(list(measured.values())))
    open_ = episode([*past.scores, found.score], past.critical)
    level = Level.OK
    if open_:
        level = Level.CRITICAL if null.known or past.judged >= WINDOW * 6 else Level.WARNING
    elif found.blind.all():
        level = Level.INSUFFICIENT_DATA
    readings = _readings(reference, newest.summary, measured, found, level) if measured else []
    reason = _reason(reference, newest, measured, found, null, past, open_)
    evidence = _histograms(reference, nulls.total, newest.total, found)
    verdict = replace(
        _verdict(reference, level, reason, newest.window, rows),
        readings=readings,
        measures={SCORE: found.score},
        evidence=evidence,
    )
    return verdict, found.step(newest.block, newest.own, open_)


def _significant(measured: Sequence[Measurement]) -> Array:
    """bool (columns): which differ from the reference beyond chance, were rows independent."""
    p_values = np.stack([found.p_value for found in measured])
    rejected = benjamini_hochberg(p_values.ravel(), FALSE_DISCOVERY_RATE).reshape(p_values.shape)
    found: Array = np.asarray(rejected.any(axis=0))
    return found


def _readings(
    reference: Reference, summary: Summary, measured: Mapping[str, Measurement], found: Surprise, level: Level
) -> list[Reading]:
    readings = []
    quiet = [Level.INSUFFICIENT_DATA if blind else Level.OK for blind in found.blind]
    alarm = level if level is Level.CRITICAL else Level.WARNING
    names, rows = [column.name for column in reference.columns], summary.seen.tolist()
    scores = found.columns.tolist()
    columns = zip(names, found.moved.tolist(), found.needed.tolist(), scores, quiet, rows, strict=True)
    for name, moved, needed, score, unalarmed, n in columns:
        own = alarm if score >= 1 else unalarmed
        readings.append(Reading(name, SURPRISE, moved, None, needed, n, own))
    for detector, said in measured.items():
        floor = DETECTORS[detector].floor
        readings += [Reading(names[i], detector, math.nan, None, floor, rows[i], Level.ERROR) for i in said.faults]
        told = ~np.isnan(said.statistic) if detector in ALWAYS else said.statistic >= floor
        statistics, chances = said.statistic.tolist(), said.p_value.tolist()
        for i in np.flatnonzero(told).tolist():
            own = alarm if scores[i] >= 1 and statistics[i] >= floor else quiet[i]
            known = None if math.isnan(chances[i]) else chances[i]
            readings.append(Reading(names[i], detector, statistics[i], known, floor, rows[i], own))
    return readings


def _surprised(found: Surprise) -> list[int]:
    """Columns, the most surprising first."""
    return [i for i in np.argsort(-found.columns, kind="stable").tolist() if found.columns[i] >= 1]


def _histograms(
    reference: Reference, total: Array, window: Array, found: Surprise
) -> dict[str, dict[str, Sequence[str | float]]]:
    """What people would draw: of the most surprising columns, the shares of rows by coarse bin."""
    coarse = reference.coarse
    if not (surprised := _surprised(found)):
        return {}
    both = {"reference": coarse.shares(total), "window": coarse.shares(window)}
    shown: dict[str, dict[str, Sequence[str | float]]] = {}
    for i in surprised[:SHOWN]:
        own = {name: [float(f"{share:.4g}") for share in shares[coarse.stretch(i)]] for name, shares in both.items()}
        shown[reference.columns[i].name] = {"bins": coarse.labels(i), **own}
    return shown


def _reason(
    reference: Reference,
    newest: Newest,
    measured: Mapping[str, Measurement],
    found: Surprise,
    null: Null,
    past: Past,
    open_: bool,
) -> str:
    surprised = _surprised(found)
    told = [f"{reference.columns[i].name}: {tell(reference, newest.summary, measured, i)}" for i in surprised[:NAMED]]
    if len(surprised) > NAMED:
        others = len(surprised) - NAMED
        told.append(f"{others} more column{'s' if others > 1 else ''} moved")
    if found.all_of_them >= 1 and not surprised:
        told.append("all columns together moved, none of them far")
    said = "; ".join(told)
    if not said and not open_:
        said = "inputs and outputs are within what they do by themselves"
    elif not said:
        said = f"the level is known by now; closes after {CLOSE_AFTER} quiet blocks"
    elif not open_:
        count = sum(score >= 1 for score in [*past.scores, found.score][-OPEN_OF:])
        said = f"not confirmed yet, {count} of {OPEN_AFTER} blocks: {said}"
    elif not null.known:
        said = f"{said} (the reference holds {null.windows:.1f} windows, too few to be certain)"
    blind = [reference.columns[i].name for i in np.flatnonzero(found.blind & (found.columns < 1))]
    if blind:
        more = f" and {len(blind) - NAMED} more" if len(blind) > NAMED else ""
        said = f"{said}; cannot judge {', '.join(blind[:NAMED])}{more}: by themselves they move as far as can be"
    return said


def tell(reference: Reference, summary: Summary, measured: Mapping[str, Measurement], column: int) -> str:
    """What happened to a column: in the words of the most telling detector."""
    lost = measured["missing"].statistic[column] >= MOSTLY  # what few values are left says little
    for name in TELLING:
        if lost and name == "point_mass":
            continue
        if measured[name].statistic[column] >= DETECTORS[name].floor:
            if measured[name].faults:  # of other columns, and `explain` may look at all
                return DETECTORS[name].explain(reference.only(column), summary.only(column, reference.layout), 0)
            return DETECTORS[name].explain(reference, summary, column)
    return "it moved away from the reference and from the recent past"


def benjamini_hochberg(p_values: Array, rate: float) -> Array:
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


def _verdict(reference: Reference, level: Level, reason: str, window: Window, rows: int) -> Verdict:
    return Verdict(reference.model, reference.version, CHECK, level, reason, window, rows)
