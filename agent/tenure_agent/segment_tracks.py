"""The segments of one model version as they go: each judged against how this very segment moves by itself.

What moves the whole of a model moves its parts: they then tell where it comes from, and alarm nobody a second time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from tenure_agent.bins import Array
from tenure_agent.checks.drift import CHECK, Settings
from tenure_agent.detectors.jensen_shannon import distances
from tenure_agent.past import WINDOW, Step
from tenure_agent.records import SURPRISE, Level, Verdict, Window
from tenure_agent.reference import Reference
from tenure_agent.segments import Segment
from tenure_agent.summary import Summary
from tenure_agent.track import Track

ALARMING = frozenset({Level.WARNING, Level.CRITICAL})
NAMED = 3  # segments in a sentence
MOSTLY = 0.25  # of a move, and half more than of the rows, makes a segment worth naming
MORE = 1.5


def configured(reference: Reference, features: Sequence[str]) -> list[Segment]:
    """The segments of a reference that are asked for."""
    return [one for one in reference.segments if one.feature in features]


@dataclass(frozen=True, slots=True)
class Left:
    """How a segment is judged, and where it was when it was left.

    Parameters
    ----------
    length
        Of its block in microseconds, whole blocks of its model.
    """

    length: int
    settings: Settings
    steps: Sequence[Step] = ()


@dataclass(frozen=True, slots=True)
class Alarm:
    """A window that alarmed.

    Parameters
    ----------
    end
        Event time.
    segment
        Empty: the whole.
    columns
        That it was about; none: nobody knows.
    """

    end: int
    segment: str = ""
    columns: frozenset[str] = frozenset()


class SegmentTracks:
    """
    Parameters
    ----------
    reference
        Of the whole model version.
    features
        The configured ones; of those the reference holds no segments of, it is said.
    length
        Of a block of the whole in microseconds.
    left
        By name, each of the configured segments.
    shown
        By name, the level that people saw last, and that of the last verdict with enough rows, if any.
    """

    def __init__(
        self,
        reference: Reference,
        features: Sequence[str],
        length: int,
        left: Mapping[str, Left],
        shown: Mapping[str, tuple[Level, Level | None]] = MappingProxyType({}),
    ) -> None:
        self.segments = {one.name: one for one in configured(reference, features)}
        self.unknown = [name for name in features if not any(name == one.feature for one in reference.segments)]
        self.tracks = {
            name: Track(reference.of(one), left[name].length, left[name].steps) for name, one in self.segments.items()
        }
        self._settings = {name: one.settings for name, one in left.items()}
        self._length = length
        self._counts: dict[str, dict[int, Array]] = {name: {} for name in self.segments}  # by block of the whole
        self._shown = {name: level for name, (level, _) in shown.items()}
        open_ = [name for name, track in self.tracks.items() if track.past.critical]
        warned = {name for name, (_, judged) in shown.items() if judged is Level.WARNING}
        self._with = {name: "others" for name in open_ if name not in warned}  # open and not shown: what moved first
        self._gone = [
            name
            for name, level in self._shown.items()
            if level is not Level.OK and name not in self.tracks and name not in self.unknown
        ]
        self._alarms: list[Alarm] = []
        self.newest: dict[str, Verdict] = {}

    def since(self, name: str) -> int:
        """Event time from which on a segment's rows are still looked at."""
        track = self.tracks[name]
        return 0 if track.past.next is None else (track.past.next - WINDOW) * track.length

    def add(self, name: str, time: int, summary: Summary) -> None:
        """Take in rows of one block of the whole."""
        track = self.tracks[name]
        track.add(time, summary)
        block, counts = time // self._length, track.reference.coarse.counts(summary)
        known = self._counts[name].get(block)
        self._counts[name][block] = counts if known is None else known + counts

    def alarmed(self, alarms: Iterable[Alarm]) -> None:
        """What alarmed before."""
        self._alarms += alarms

    def heard(self, wholes: Iterable[Verdict]) -> list[Verdict]:
        """What the whole says; an alarm names where it comes from."""
        told = [
            replace(whole, reason=f"{whole.reason}{self._where(whole)}") if whole.level in ALARMING else whole
            for whole in wholes
        ]
        self.alarmed(Alarm(whole.window.end) for whole in told if whole.level in ALARMING)
        if told:
            window = told[-1].window
            for name, counts in self._counts.items():
                kept = window.start // self._length
                self._counts[name] = {block: one for block, one in counts.items() if block >= kept}
        return told

    def judge(self, now: int) -> list[tuple[str, Verdict, Step]]:
        """Judge every block that is due of every segment, in order of time."""
        before = {name: track.past.critical for name, track in self.tracks.items()}
        done = [
            (name, verdict, step)
            for name, track in self.tracks.items()
            for verdict, step in track.judge(now, self._settings[name])
        ]
        done.sort(key=lambda one: (one[1].window.end, -one[2].score if one[2].judged else 0.0))
        said = []
        for name, verdict, step in done:
            said.append((name, self._said(name, verdict, before[name], step.critical), step))
            before[name] = step.critical
        longest = max((track.length for track in self.tracks.values()), default=0)
        self._alarms = [alarm for alarm in self._alarms if alarm.end > now - (2 * WINDOW + 1) * longest]
        return said

    def _said(self, name: str, verdict: Verdict, before: bool, open_: bool) -> Verdict:
        """A segment alone warns at most; one that moves with the whole, or with the same rows cut otherwise, is no news."""
        columns = frozenset(one.column for one in verdict.readings if one.level in ALARMING)
        if open_ and not before:
            self._with[name] = self._first(name, verdict.window, columns)
        elif not open_:
            self._with.pop(name, None)
        level, reason = verdict.level, f"in {name}: {verdict.reason}"
        if level in ALARMING:
            first = self._with.get(name, "")
            level = Level.OK if first else Level.WARNING
            reason = f"it moved with {first}: {reason}" if first else reason
        if level in ALARMING:
            self._alarms.append(Alarm(verdict.window.end, name, columns))
        readings = [
            replace(one, level=Level.WARNING) if one.level is Level.CRITICAL else one for one in verdict.readings
        ]
        return replace(verdict, level=level, reason=reason, readings=readings, segment=name)

    def _first(self, name: str, window: Window, columns: frozenset[str]) -> str:
        """What alarmed before for the same reason, within the two windows that a change may need to show."""
        since, feature = 2 * window.start - window.end, self.segments[name].feature
        for alarm in self._alarms:
            if since < alarm.end <= window.end:
                if not alarm.segment:
                    return "the whole model"
                other = self.segments.get(alarm.segment)
                same = not alarm.columns or columns & alarm.columns
                if other is not None and other.feature != feature and same:
                    return alarm.segment
        return ""

    def news(self, said: Iterable[Verdict]) -> list[Verdict]:
        """Those whose level is another than was shown before."""
        found = []
        for verdict in said:
            self.newest[verdict.segment] = verdict
            if self._shown.get(verdict.segment) is not verdict.level:
                self._shown[verdict.segment] = verdict.level
                found.append(verdict)
        return found

    def unjudged(self, now: int) -> list[Verdict]:
        """Of features that the reference does not tell apart, and of what was judged apart once."""
        window, told = Window(now, now), "the reference holds no segments of"
        why = "Try: tenure-agent reference build --segment, or wait for a version whose live rows hold it often enough"
        unknown = [
            Verdict("", "", CHECK, Level.INSUFFICIENT_DATA, f"{told} {name}. {why}", window, 0, segment=name)
            for name in self.unknown
        ]
        gone, self._gone = self._gone, []
        return unknown + [
            Verdict("", "", CHECK, Level.OK, "no longer judged apart", window, 0, segment=name) for name in gone
        ]

    def broken(self, reason: str, now: int) -> list[Verdict]:
        """The check failed: told of the moment after the block judged last, so that the next one comes after it."""
        said = []
        for name, track in self.tracks.items():
            at = now if track.past.next is None else track.past.next * track.length
            said.append(Verdict("", "", CHECK, Level.ERROR, reason, Window(at, at + 1), 0, segment=name))
        return said

    def _where(self, whole: Verdict) -> str:
        """Which segments hold more of a move than of the rows: by rows times squared distance from their own reference."""
        surprised = {one.column for one in whole.readings if one.detector == SURPRISE and one.level in ALARMING}
        moved: dict[str, tuple[float, int]] = {}
        for name, track in self.tracks.items():
            first, last = whole.window.start // self._length, whole.window.end // self._length
            counts = [one for block, one in self._counts[name].items() if first <= block < last]
            if counts:
                coarse, window = track.reference.coarse, np.sum(counts, axis=0)
                rows = int(coarse.sums(window).max(initial=0))
                squares = np.square(distances(window, coarse.counts(track.reference.summary), coarse))
                chosen = [not surprised or column.name in surprised for column in track.reference.columns]
                moved[name] = float(squares[chosen].sum()) * rows, rows
        shares = []
        for feature in dict.fromkeys(one.feature for one in self.segments.values()):
            own = {name: found for name, found in moved.items() if self.segments[name].feature == feature}
            all_moved, all_rows = (max(sum(found[i] for found in own.values()), 1e-9) for i in range(2))
            shares += [(found[0] / all_moved, found[1] / all_rows, name) for name, found in own.items()]
        worst = sorted((one for one in shares if one[0] >= max(MOSTLY, MORE * one[1])), reverse=True)[:NAMED]
        told = [f"{name} ({share:.0%} of the move, {rows:.0%} of the rows)" for share, rows, name in worst]
        return f"; mostly in {', '.join(told)}" if told else ""
