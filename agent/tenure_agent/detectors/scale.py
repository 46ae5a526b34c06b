"""A change of unit: values that are the reference's own after a multiplication."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from tenure_agent.baseline import reached_octaves
from tenure_agent.bins import Array
from tenure_agent.detectors.detector import Detector, Measurement, measurement
from tenure_agent.reference import Reference
from tenure_agent.summary import MAGNITUDES, Summary

MIN_ROWS = 20
APART, ALIKE = 0.2, 0.1
LEAST_FACTOR = 5.0
FLIP = 1.0  # what another sign counts, in powers of two
NARROW = 0.2  # share of one power of two, from which standard deviations are steady enough to be compared
LESS_LIKELY = 0.05  # what another sign must fit better by: values on both sides of 0 fit either
LARGE = 1e300


@dataclass(frozen=True, slots=True)
class Map:
    """x → factor·x + offset."""

    factor: float
    offset: float = 0.0
    words: str = ""

    @property
    def size(self) -> float:
        """In powers of two."""
        return abs(math.log2(abs(self.factor))) + (FLIP if self.factor < 0 else 0.0)

    def __str__(self) -> str:
        if self.words:
            return self.words
        if self.factor == -1.0:
            return "its values have the other sign"
        times, sign = abs(self.factor), "minus " if self.factor < 0 else ""
        if times >= 1:
            return f"its values are {sign}{times:.4g} times the reference's"
        return f"its values are {sign}the reference's divided by {1 / times:.4g}"


DEGREES = (
    Map(1.8, 32.0, "its values are °F where the reference's are °C"),
    Map(1 / 1.8, -32.0 / 1.8, "its values are °C where the reference's are °F"),
)


def unit_change(reference: Reference, summary: Summary) -> Measurement:
    r"""Size of the multiplication that takes the reference's values to the summary's, for numeric columns.

    Parameters
    ----------
    reference
        n finite values, μ their mean and s their standard deviation.
    summary
        m finite values of mean μ' and standard deviation s', by sign and power of two; at least 20.

    Notes
    -----
    Where the two distributions over signs and powers of two lie at least 0.2 apart (the greatest distance of their
    distribution functions), maps x → a·x + b are tried: a from the ratio of the means, of the standard deviations and of
    the median magnitudes, the power of ten near each, and -1, with b = 0; and °C to °F and back. A map fits when the mapped
    reference is at most a third as far from the summary as before and at most 0.1 + √(1/n + 1/m), and when mean and, unless
    values spread over many powers of two, standard deviation fit: |μ' - aμ - b| ≤ |a|s/2 and s' within a factor of 1.5 of
    |a|s. With b = 0, |a| must be at least 5, or at most 1/5, or a = -1: by less a column may well grow of itself.
    The statistic is |log₂|a|| of the map that fits best, plus 1 where the sign changes; 0 where none fits. No p-value.

    Examples
    --------
    >>> import numpy as np
    >>> from tenure_agent.builder import Rows, build_reference
    >>> from tenure_agent.tally import summarise
    >>> key, values = ("feature", "x"), np.arange(1.0, 101.0)
    >>> reference = build_reference("m", "1", Rows({key: values}))
    >>> [summary] = summarise(reference.layout, {key: values * 1000}, np.zeros(100, int), 1)
    >>> round(float(unit_change(reference, summary).statistic[0]), 2)
    9.97
    >>> explain(reference, summary, 0)
    "its values are 1000 times the reference's"

    References
    ----------
    Hynes, N., Sculley, D. and Terry, M. (2017). The data linter: lightweight automated sanity checking for ML data sets.
    NIPS Workshop on ML Systems.
    """
    baseline, before = reference.baseline, reference.summary
    enough = baseline.measured & (before.finite >= MIN_ROWS) & (summary.finite >= MIN_ROWS)
    reached = reached_octaves(summary)
    apart = np.abs(reached - baseline.octaves).max(1, initial=0.0)
    statistic = np.zeros(len(enough))
    for column in np.flatnonzero(enough & (apart >= APART)).tolist():
        found = _fitting(reference, summary, column, reached[column])
        statistic[column] = found.size if found else 0.0
    return measurement(statistic, np.full(len(enough), np.nan), enough)


def _fitting(reference: Reference, summary: Summary, column: int, reached: Array) -> Map | None:
    """The map that fits best; a round one if one fits."""
    before = reference.baseline.octaves[column]
    rows = 1 / int(reference.summary.finite[column]) + 1 / int(summary.finite[column])
    most = min(ALIKE + math.sqrt(rows), float(np.abs(reached - before).max()) / 3)
    centre, deviation = float(reference.baseline.mean[column]), float(reference.baseline.std[column])
    mean, variance = (float(found[column]) for found in reference.baseline.sample(summary).moments)
    narrow = float(np.diff(before, prepend=0.0).max()) > NARROW

    def plausible(tried: Map) -> bool:
        spread = abs(tried.factor) * deviation
        if not math.isfinite(spread) or not math.isfinite(variance):
            return True
        near = spread == 0 or abs(mean - tried.factor * centre - tried.offset) <= spread / 2
        return near and (not narrow or spread / 1.5 <= math.sqrt(variance) <= spread * 1.5)

    times = mean / centre if centre else 0.0, math.sqrt(variance) / deviation if deviation else 0.0
    middle = 2.0 ** (_median_power(summary.magnitudes[column]) - _median_power(reference.summary.magnitudes[column]))
    values, weights = _points(reference, column)
    for maps in _maps((*times, -times[1], middle, -middle)):
        found = [(_distance(tried, values, weights, reached), tried) for tried in maps if plausible(tried)]
        found = [(distance + (LESS_LIKELY if tried.factor < 0 else 0.0), tried) for distance, tried in found]
        distance, best = min(found, key=lambda one: one[0], default=(math.inf, None))
        if distance <= most:
            return best
    return None


def _maps(ratios: tuple[float, ...]) -> Iterator[Iterable[Map]]:
    """Round ones, then as found."""
    large = [a for a in ratios if math.isfinite(a) and a and abs(math.log2(abs(a))) >= math.log2(LEAST_FACTOR)]
    powers = [math.copysign(10.0 ** round(math.log10(abs(a))), a) for a in large]
    round_ = {power: None for power, a in zip(powers, large, strict=True) if 0.85 <= a / power <= 1 / 0.85}
    yield (*DEGREES, Map(-1.0), *map(Map, round_))
    yield map(Map, large)


def _distance(tried: Map, values: Array, weights: Array, reached: Array) -> float:
    line = _octaves(values * tried.factor + tried.offset, weights)
    return float(np.abs(np.cumsum(line) - reached).max())


def _points(reference: Reference, column: int) -> tuple[Array, Array]:
    """A value for each bin of the reference, and its share of the finite ones."""
    single, summary = reference.layout.columns[column], reference.summary
    edges = np.concatenate(([summary.low[column]], single.upper, [summary.high[column]]))
    values = np.where(single.fenced, edges[1:], edges[:-1] / 2 + edges[1:] / 2)
    counts = summary.counts[reference.layout.stretch(column)].astype(np.float64)
    counts[0] -= summary.below[column]
    counts[-1] -= summary.above[column]
    return values, counts / max(int(summary.finite[column]), 1)


def _octaves(values: Array, weights: Array) -> Array:
    """Shares by sign and power of two, as `reached_octaves` has them."""
    half = MAGNITUDES // 2
    power = np.clip(np.frexp(np.clip(values, -LARGE, LARGE))[1] + half // 2, 0, half - 1)
    place = half + np.sign(values).astype(np.int64) * (power + 1)
    found: Array = np.bincount(place, weights, MAGNITUDES + 1)
    return found


def _median_power(magnitudes: Array) -> float:
    """The power of two that half of the values other than zero lie below, whatever their sign."""
    half = MAGNITUDES // 2
    held = magnitudes[:half] + magnitudes[half:]
    upto = np.cumsum(held)
    place = int(np.searchsorted(upto, upto[-1] / 2))
    return place + float(upto[-1] / 2 - upto[place] + held[place]) / max(int(held[place]), 1)


def explain(reference: Reference, summary: Summary, column: int) -> str:
    """In words: which multiplication."""
    return str(_fitting(reference, summary, column, reached_octaves(summary)[column]))


SCALE = Detector("scale", unit_change, 0.5, explain)
