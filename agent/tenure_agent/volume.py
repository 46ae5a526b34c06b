"""How many rows are usual: learnt from a model's own hours, their season and how far they stray from it.

Counts are never Poisson: a busy day is busy all day. So how much they stray is learnt, and so is what is rare.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tenure_agent import special
from tenure_agent.bins import Array

DAY, WEEK = 24, 7 * 24  # hours
LEAST, MOST = 14 * DAY, 70 * DAY  # hours to learn from: two weekends at least, ten weeks at most
SEASONS = 6  # whose same hour is looked at
LEVEL = 7  # days whose median tells the level by now
CORRELATED = 0.2  # below that there is no season
NEAR_BEST = 0.95  # of the greatest autocorrelation: the shortest season that comes so near
MEDIAN_SQUARE = 0.4549  # of a normal variable
DAYS_IN_A_DAY = 4  # of those that end with each of its hours: as many judge by themselves
PATIENCE = 3  # hours, of which two must surprise
EPISODES, IN_HOURS = 2, 63 * DAY  # as many in so long are what a feed does by itself
BEYOND = 1.25  # what a feed does by itself may come a little larger next time
FACTOR = 1.4  # fewer or more than by that factor, else it does not matter


@dataclass(frozen=True, slots=True)
class Usual:
    """What is usual of one span, for each hour of the day to come.

    Parameters
    ----------
    span
        Hours that are counted together, up to the hour in question.
    least, most
        24 of each: rows expected, at least and at most.
    spread
        Of a negative binomial: the variance of counts around μ is μ + spread·μ².
    threshold
        What a surprise must reach.
    """

    span: int
    least: Sequence[float]
    most: Sequence[float]
    spread: float
    threshold: float

    def score(self, hour: int, rows: int) -> float:
        """1 and more: a surprise, and one that matters."""
        least, most = self.least[hour], self.most[hour]
        if least / FACTOR <= rows <= most * FACTOR:
            return 0.0
        found = surprise(np.array([float(rows)]), np.array([least]), np.array([most]), self.spread)
        return float(found[0]) / self.threshold

    def between(self, hour: int) -> tuple[int, int]:
        """Where nine of ten counts lie."""
        low, high = self.least[hour], self.most[hour]
        apart = [1.645 * math.sqrt(self.spread + 1 / max(rows, 1.0)) for rows in (low, high)]
        return int(low * math.exp(-apart[0])), math.ceil(high * math.exp(apart[1]))


@dataclass(frozen=True, slots=True)
class Volume:
    """What is usual of a model's rows in the day to come.

    Parameters
    ----------
    season
        Hours after which counts repeat themselves.
    blind
        Whether none at all in the last season, of a week at least, would have been nothing unusual.
    """

    season: int
    hour: Usual
    day: Usual
    blind: bool


def learn(counts: Array, between: float) -> Volume | None:
    """What is usual in the day that follows; None where the past is too short to tell.

    Parameters
    ----------
    counts
        int64 (hours): rows of each hour, oldest first, whole days.
    between
        Hours between two false episodes.

    Notes
    -----
    An hour is held against the same hour of up to six seasons before: their lower and upper median, as they were, and
    times the level of by now (the median, over the last seven days, of a day's rows over what was expected of it),
    whichever is nearer, and against the hour before and after. How far counts stray is told by their median distance
    from that. A surprise is the deviance residual of a negative binomial, and for two hours of three it must exceed
    what an exponential tail, fitted to the largest tenth of those of the past, leaves for one hour in `between`; and
    what was exceeded more than twice in nine weeks. Days, up to every hour, are judged the same way.
    """
    if len(counts) < LEAST:
        return None
    cycle = season(counts)
    rows = counts.astype(np.float64)
    sums = np.concatenate((np.full(DAY - 1, np.nan), np.convolve(rows, np.ones(DAY), "valid")))
    low, high = _medians(rows, cycle)
    level = _level(rows, (low + high) / 2)
    look = max(cycle, WEEK)
    hour, missed = _usual(1, rows, (low, high), level, between, look)
    day, missed_day = _usual(DAY, sums, _medians(sums, cycle), level, between / DAY * DAYS_IN_A_DAY, look)
    return Volume(cycle, hour, day, not (missed or missed_day))


def since_silence(counts: Array) -> Array:
    """The days after the last two weeks without a row: what was before says nothing of how it will be."""
    held = np.flatnonzero(counts)
    gaps = np.diff(held, prepend=-1, append=len(counts)) - 1
    ends = np.append(held, len(counts))[gaps >= LEAST]
    return counts[-(-int(ends[-1]) // DAY) * DAY :] if len(ends) else counts


def bridged(counts: Array, missed: Array) -> Array:
    """The past as if nothing had been missed: whole seasons go, and what is left of one is as it was a season before.

    Parameters
    ----------
    counts
        int64 (hours), whole days.
    missed
        bool (days): without a row, which was no part of what is usual. Where less than two weeks are known before, they go too;
        and more than two stretches of them that are over are what a feed does by itself.
    """
    starts = np.flatnonzero(np.diff(missed, prepend=False) & missed)
    lasting = missed[-1:].any()
    if len(starts) - lasting > EPISODES:
        missed = missed & (np.arange(len(missed)) >= (starts[-1] if lasting else len(missed)))
    done, turns = counts[:0], 1 + np.flatnonzero(np.diff(missed))
    for days in np.split(np.arange(len(missed)), turns):
        part = counts[days[0] * DAY : (days[-1] + 1) * DAY] if len(days) else counts
        if not missed[days].any():
            done = np.concatenate((done, part))
        elif len(done) < LEAST:
            done = counts[:0]
        else:
            cycle = math.lcm(season(done), DAY)
            cycle = cycle if cycle <= len(done) else WEEK
            start = len(done) - cycle
            done = np.concatenate((done, done[start : start + len(part) % cycle]))
    return done


def season(counts: Array) -> int:
    """After how many hours, a day at least, counts repeat themselves: where the autocorrelation of their ranks is high.

    A peak an hour off a whole number of days is taken for that.
    """
    _, place, often = np.unique(counts, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(often) - often / 2)[place]
    ranks -= ranks.mean()
    n = len(ranks)
    power = np.abs(np.fft.rfft(ranks, 2 * n)) ** 2
    longest = min(n // 2, max(WEEK, n // 4))  # seen twice at least, if longer than a week four times
    sums = np.fft.irfft(power)[: longest + 2]
    if sums[0] <= 0:
        return DAY
    correlation = sums / (n - np.arange(len(sums))) / (sums[0] / n)
    inner = correlation[1:-1]
    peaks = 1 + np.flatnonzero((inner >= correlation[:-2]) & (inner >= correlation[2:]))
    if not len(peaks) or correlation[peaks].max() < CORRELATED:
        return DAY
    first = int(peaks[correlation[peaks] >= NEAR_BEST * correlation[peaks].max()][0])
    whole = round(first / DAY) * DAY
    cycle = whole if abs(first - whole) <= 1 and whole else first
    return cycle * -(-DAY // cycle)


def surprise(rows: Array, least: Array, most: Array, spread: float) -> Array:
    """How many standard deviations counts lie below `least` or above `most`; 0 between, and where nothing is known."""
    found = np.zeros(len(rows))
    below, above = rows + 0.5 < least, rows - 0.5 > most + 0.5
    found[below] = _deviance(rows[below] + 0.5, least[below], spread)
    found[above] = _deviance(rows[above] - 0.5, most[above] + 0.5, spread)
    return found


def _deviance(rows: Array, expected: Array, spread: float) -> Array:
    ratio = np.log((1 + spread * rows) / (1 + spread * expected))
    found: Array = np.sqrt(np.maximum(2 * (rows * np.log(rows / expected) - (rows + 1 / spread) * ratio), 0.0))
    return found


def _medians(rows: Array, cycle: int) -> tuple[Array, Array]:
    """The lower and the upper median of the same hour in seasons before, for every hour and the day that follows."""
    ahead = len(rows) + DAY
    before = np.full((SEASONS, ahead), np.nan)
    for k in range(SEASONS):
        shift = (k + 1) * cycle
        if shift < ahead:
            before[k, shift:] = rows[: ahead - shift]
    known = np.maximum(SEASONS - np.isnan(before).sum(0), 1)
    before.sort(axis=0)
    every = np.arange(ahead)
    return before[(known - 1) // 2, every], before[known // 2, every]


def _level(rows: Array, expected: Array) -> Array:
    """How many times what was expected came by then, for every hour and the day that follows."""
    days = len(rows) // DAY
    ratio = (rows.reshape(days, DAY).sum(1) + 1) / (expected[: len(rows)].reshape(days, DAY).sum(1) + 1)
    ratio[np.isnan(ratio)] = 1.0
    window = np.lib.stride_tricks.sliding_window_view(np.concatenate((np.ones(LEVEL), ratio)), LEVEL)
    return np.repeat(np.median(window, axis=1), DAY)


def _usual(
    span: int, rows: Array, medians: tuple[Array, Array], level: Array, between: float, look: int
) -> tuple[Usual, bool]:
    """What is usual, and whether none at all in the last `look` hours would have been a surprise."""
    low, high = medians
    least, most = np.minimum(low, low * level), np.maximum(high, high * level)
    if span == 1:  # a batch that comes an hour late, a morning after the clocks changed
        least, most = _around(least, np.fmin), _around(most, np.fmax)
    n = len(rows)
    expected = (low + high)[:n] / 2
    apart = np.minimum(np.abs(rows - expected), np.abs(rows - expected * level[:n]))
    told = expected >= 1
    spread = 1e-4
    if told.any():
        strayed = (apart[told] ** 2 / MEDIAN_SQUARE - expected[told]) / expected[told] ** 2
        spread = max(float(np.median(strayed)), spread)
    known = np.flatnonzero(~np.isnan(expected) & ~np.isnan(rows))
    first = -(-int(known[0]) // DAY) * DAY
    found = surprise(rows[first:], least[first:n], most[first:n], spread)
    counted = (most[first:n] >= 1) | (rows[first:] >= 1)
    threshold = _threshold(found, counted, between)
    none = surprise(np.zeros(look), least[n - look : n], most[n - look : n], spread)
    return Usual(span, least[n:].tolist(), most[n:].tolist(), spread, threshold), bool((none >= threshold).any())


def _around(values: Array, extreme: np.ufunc) -> Array:
    found: Array = values.copy()
    found[1:] = extreme(found[1:], values[:-1])
    found[:-1] = extreme(found[:-1], values[1:])
    return found


def _threshold(surprises: Array, counted: Array, between: float) -> float:
    """
    Parameters
    ----------
    surprises
        float64 (hours) of the past, whole days.
    counted
        bool (hours): where rows came or were expected.
    """
    lasting = np.median(
        np.lib.stride_tricks.sliding_window_view(np.pad(surprises, (PATIENCE - 1, 0)), PATIENCE), axis=1
    )
    least = -float(special.ndtri(1 / (2 * max(between, 1.0))))
    tail = 0.0
    if counted.any():
        ninth, half = np.quantile(lasting[counted], (0.9, 0.95))
        tail = float(ninth + (half - ninth) / np.log(2) * np.log(max(0.1 * between, 1.0)))
    return max(least, tail, _repeated(lasting))


def _repeated(lasting: Array) -> float:
    """What is exceeded again and again, and a little more; 0 where nothing is."""
    peaks = lasting.reshape(-1, DAY).max(1)
    allowed = max(1, round(EPISODES * len(lasting) / IN_HOURS))
    levels = np.sort(peaks[peaks > 0])[::-1]
    over = peaks >= levels[:, None]
    begun = over & ~np.pad(over, ((0, 0), (1, 0)))[:, :-1]
    often = np.flatnonzero(begun.sum(1) > allowed)
    return BEYOND * float(levels[often[0]]) if len(often) else 0.0
