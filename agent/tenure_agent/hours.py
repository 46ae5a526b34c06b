"""A model's rows, hour by hour, as they go: what came, what is usual, and what was said of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from tenure_agent.bins import Array
from tenure_agent.checks.volume import CHECK, CLOSE_AFTER, OPEN_AFTER, check_volume
from tenure_agent.episodes import settle
from tenure_agent.records import HOUR, Level, Verdict, Window
from tenure_agent.volume import DAY, MOST, WEEK, Volume, bridged, learn, since_silence


class Hours:
    """
    Parameters
    ----------
    between
        Hours between two false episodes.
    counts
        Rows by hour (event time over an hour), as counted before.
    judged
        Which hours were judged: what comes later for those is not counted, so that they stay what was seen then. One that
        was and has no count was missed: see `_miss`.
    said
        What newest hours said by themselves, and the level people saw, oldest first; none without enough data.
    """

    def __init__(
        self,
        between: float,
        counts: Mapping[int, int] | None = None,
        judged: Iterable[int] = (),
        said: Iterable[tuple[Level, Level]] = (),
    ) -> None:
        self._between = between
        self.counts = dict(counts or {})
        self.judged = set(judged)
        self._said = deque(said, maxlen=max(OPEN_AFTER + 1, CLOSE_AFTER))
        self._usual: Volume | None = None
        self._served: int | None = None  # the newest judged or before that has rows
        self._next = max(self.judged) + 1 if self.judged else None  # to be judged
        self._days = 0  # it is learnt from
        self._learnt: int | None = None  # the first hour of the day that is for
        self.changed: set[int] = set()  # by judging, since somebody emptied it

    def add(self, found: Mapping[int, int]) -> list[int]:
        """Take in rows by hour; the hours whose count changed."""
        new = [hour for hour in found if hour not in self.judged]
        for hour in new:
            self.counts[hour] = self.counts.get(hour, 0) + found[hour]
        return new

    def go_back(self, end: int) -> list[int]:
        """Take back what was judged while the clock was ahead by more than an hour; the hours it is of.

        Parameters
        ----------
        end
            The first hour that is not over yet.
        """
        if self._next is None or self._next <= end + 1:
            return []
        ahead = [hour for hour in self.judged if hour >= end]
        self.judged.difference_update(ahead)
        self._next, self._served, self._learnt = end, None, None
        self._said.clear()
        return ahead

    def judge(self, end: int, reach: int | None) -> Iterator[tuple[int, Verdict, Level]]:
        """Judge the hours that are over, in order: the hour, the verdict people see, and its own level.

        Parameters
        ----------
        end
            The first hour that is not over yet.
        reach
            At most so many: those before them were over long ago, and what waits elsewhere may still come. None: all, but
            for those after ten weeks without a row.
        """
        if not self.counts and self._next is None:
            return
        hour = min(self.counts) if self._next is None else self._next
        if reach is not None:
            hour = max(hour, end - reach)
        if self._served is None:
            self._served = max((one for one, rows in self.counts.items() if one <= hour and rows), default=hour)
        while hour < end:
            if hour - self._served > MOST:  # nothing is known any more, and nothing to be told
                hour = min((one for one, rows in self.counts.items() if one >= hour and rows), default=end)
                self._served = hour
                continue
            yield hour, *self._judge(hour)
            hour += 1

    def _judge(self, hour: int) -> tuple[Verdict, Level]:
        today = hour // DAY * DAY
        if self._learnt != today:
            self._miss(today)
            past = self._past(today)
            self._usual, self._days, self._learnt = learn(past, self._between), len(past) // DAY, today
            if min(self.counts, default=today) < today - MOST - WEEK:
                self._forget(today - MOST)
        rows = self.counts.get(hour, 0)
        self._served = hour if rows else self._served
        in_day = sum(self.counts.get(one, 0) for one in range(hour - DAY + 1, hour + 1))
        self.counts[hour] = rows
        self.judged.add(hour)
        self.changed.add(hour)
        self._next = hour + 1
        silent = 0 if self._served is None else (hour - self._served) // DAY
        alone, reason = check_volume(self._usual, self._days, hour - today, rows, in_day, silent)
        window = Window(hour * HOUR, (hour + 1) * HOUR)
        if alone is Level.INSUFFICIENT_DATA:
            return Verdict("", "", CHECK, alone, reason, window, rows), alone
        before = self._said[-1][1] if self._said else Level.OK
        raw = [*(own for own, _ in self._said), alone]
        level = settle(raw, before, open_after=OPEN_AFTER, close_after=CLOSE_AFTER)
        if level is Level.OK and alone is not Level.OK:
            reason = f"not confirmed yet by {OPEN_AFTER} of {OPEN_AFTER + 1} hours: {reason}"
        elif alone is Level.OK and before is not Level.OK and not in_day:  # a weekend in an outage is no end of it
            level, reason = before, f"{reason}; closes when rows come"
        elif level is not Level.OK and alone is Level.OK:
            reason = f"{reason}; closes after {CLOSE_AFTER} usual hours"
        self._said.append((alone, level))
        return Verdict("", "", CHECK, level, reason, window, rows), alone

    def _miss(self, today: int) -> None:
        """A day without a row that alarmed until its end tells nothing of what is usual: it stays judged, and has no counts."""
        day = range(today - DAY, today)
        alarmed = bool(self._said) and self._said[-1][1] is Level.WARNING
        if alarmed and not any(self.counts.get(hour) for hour in day):
            held = [hour for hour in day if hour in self.judged and self.counts.pop(hour, None) is not None]
            self.changed.update(held)

    def _past(self, until: int) -> Array:
        """int64 (hours): rows of every hour of whole days, the newest ten weeks of them, since the last long silence."""
        first = max(-(-min(self.counts, default=until) // DAY) * DAY, until - MOST)
        counts = np.array([self.counts.get(hour, 0) for hour in range(first, until)], np.int64)
        gone = {hour // DAY for hour in range(first, until) if hour in self.judged and hour not in self.counts}
        missed = np.array([day in gone for day in range(first // DAY, until // DAY)], bool)
        return since_silence(bridged(counts, missed))

    def _forget(self, before: int) -> None:
        self.counts = {hour: rows for hour, rows in self.counts.items() if hour >= before}
        self.judged = {hour for hour in self.judged if hour >= before}
