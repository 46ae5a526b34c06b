"""A single value that many rows suddenly share: silent zeros, a sentinel, a column gone constant."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tenure_agent.bins import Array, ColumnBins
from tenure_agent.detectors.chances import chance_of_more
from tenure_agent.detectors.detector import Detector, Measurement, measurement, percent
from tenure_agent.reference import Reference
from tenure_agent.summary import Summary


def point_mass(reference: Reference, summary: Summary) -> Measurement:
    r"""The largest growth of a single value's share, for all columns.

    Parameters
    ----------
    reference
        a_v of n values are v.
    summary
        b_v of m.

    Notes
    -----
    max over v of b_v/m - a_v/n, at least 0. The values looked at are those with a bin of their own (over 1/1024 of the
    reference, and named categories), 0, the heaviest of those with no bin of their own (seen for certain where it has
    over 1/8 of the rows; b_v is then at least what it was counted), and the one value of a column gone constant. What a
    value without a bin of its own had in the reference is at most its bin's share, which is taken for it.
    The p-value is the one-sided one of two proportions, times the number of values looked at (Bonferroni), at most 1.

    Examples
    --------
    >>> import numpy as np
    >>> from tenure_agent.builder import Rows, build_reference
    >>> from tenure_agent.tally import summarise
    >>> key, values = ("feature", "x"), np.arange(1.0, 101.0)
    >>> reference = build_reference("m", "1", Rows({key: values}))
    >>> [summary] = summarise(reference.layout, {key: np.where(values > 62, 0.0, values)}, np.zeros(100, int), 1)
    >>> round(float(point_mass(reference, summary).statistic[0]), 2)
    0.38
    >>> explain(reference, summary, 0)
    '38 % of its values are exactly 0, 0 % in the reference'

    References
    ----------
    Breck, E. et al. (2019). Data validation for machine learning. Proceedings of Machine Learning and Systems 1, 334-347.
    """
    layout, baseline, before = reference.layout, reference.baseline, reference.summary
    n, m = np.maximum(before.rows, 1), np.maximum(summary.rows, 1)
    heaviest = _heaviest_single(reference, summary)
    b, a = _counts(heaviest, summary.counts), _counts(heaviest, before.counts)
    zeros = layout.ordered & (summary.zeros / m - before.zeros / n > b / m - a / n)
    b, a = np.where(zeros, summary.zeros, b), np.where(zeros, before.zeros, a)
    for column, _, rows, held in _unknown(reference, summary):
        if rows / m[column] - held / n[column] > b[column] / m[column] - a[column] / n[column]:
            b[column], a[column] = rows, held
    looked = np.bincount(baseline.singles_column, minlength=len(layout)) + 3
    p_value = np.minimum(chance_of_more(b, m, a, n) * looked, 1.0)
    return measurement(np.maximum(b / m - a / n, 0.0), p_value, (before.rows > 0) & (summary.rows > 0))


def _heaviest_single(reference: Reference, summary: Summary) -> Array:
    """Per column, the bin of one value whose share grew most; -1 where there is none."""
    baseline, before = reference.baseline, reference.summary
    bins, column = baseline.singles, baseline.singles_column
    found = np.full(len(reference.layout), -1, np.int64)
    if not len(bins):
        return found
    n, m = np.maximum(before.rows, 1), np.maximum(summary.rows, 1)
    grown = summary.counts[bins] / m[column] - before.counts[bins] / n[column]
    starts = np.flatnonzero(np.diff(column, prepend=-1))
    most = np.repeat(np.maximum.reduceat(grown, starts), np.diff(np.append(starts, len(bins))))
    chosen = np.flatnonzero(grown == most)[::-1]  # of equals, the first is written last
    found[column[chosen]] = bins[chosen]
    return found


def _counts(bins: Array, counts: Array) -> Array:
    return np.where(bins >= 0, counts[bins] if len(counts) else 0, 0)


def _unknown(reference: Reference, summary: Summary) -> Iterator[tuple[int, float | str, int, int]]:
    """Column, value, its rows and at most how many the reference has, of values without a bin of their own."""
    constant = (summary.low == summary.high) & (summary.finite == summary.rows)
    for number, found in enumerate(summary.hitters):
        value: float | str
        if constant[number]:
            value, rows = float(summary.low[number]), int(summary.rows[number])
        elif found:
            value = max(found, key=lambda hitter: (found[hitter], str(hitter)))
            rows = found[value]
        else:
            continue
        yield number, value, rows, _held(reference, number, reference.layout.columns[number], value)


def _held(reference: Reference, number: int, column: ColumnBins, value: float | str) -> int:
    if isinstance(value, str) or not column.ordered:
        return int(reference.summary.counts[reference.baseline.last[number]])
    bin_ = int(np.searchsorted(column.upper, value, "left"))
    return int(reference.summary.counts[reference.baseline.first[number] + bin_])


def explain(reference: Reference, summary: Summary, column: int) -> str:
    """In words, naming the value."""
    n, m = int(reference.summary.rows[column]), int(summary.rows[column])
    found: list[tuple[str, int, int]] = []
    heaviest = int(_heaviest_single(reference, summary)[column])
    if heaviest >= 0:
        label = reference.layout.columns[column].label(heaviest - int(reference.layout.offsets[column]))
        found.append((label, int(summary.counts[heaviest]), int(reference.summary.counts[heaviest])))
    if reference.layout.ordered[column]:
        found.append(("exactly 0", int(summary.zeros[column]), int(reference.summary.zeros[column])))
    for number, value, rows, held in _unknown(reference, summary):
        if number == column:
            found.append((repr(value) if isinstance(value, str) else f"exactly {value:.6g}", rows, held))
    label, rows, held = max(found, key=lambda one: one[1] / m - one[2] / n)
    now = "all its values are" if rows == m else f"{percent(rows / m)} of its values are"
    return f"{now} {label}, {percent(held / n)} in the reference"


POINT_MASS = Detector("point_mass", point_mass, 0.1, explain)
