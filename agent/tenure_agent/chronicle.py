"""What reviews said one after the other, told as a person would: episodes and decisions, and how it was over all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tenure_agent.policy import ALARMING
from tenure_agent.records import Decision, Level, Verdict, iso


@dataclass(frozen=True, slots=True)
class Episode:
    """A stretch in which a check kept saying WARNING, or CRITICAL; where the level changes, another begins.

    Parameters
    ----------
    closed
        None while it goes on.
    columns
        What it was about when it opened.
    segment
        The part of the rows it was in; empty: all of them.
    """

    version: str
    check: str
    level: Level
    opened: int
    closed: int | None
    columns: tuple[str, ...]
    reason: str
    segment: str = ""

    def document(self) -> dict[str, Any]:
        """As JSON has it; part of a stable contract."""
        return {
            "kind": "episode",
            "version": self.version,
            "check": self.check,
            "segment": self.segment or None,
            "level": self.level,
            "opened": iso(self.opened),
            "closed": None if self.closed is None else iso(self.closed),
            "columns": list(self.columns),
            "reason": self.reason,
        }


def decision_document(decision: Decision) -> dict[str, Any]:
    """As JSON has it; part of a stable contract."""
    return {
        "kind": "decision",
        "time": iso(decision.event_time),
        "version": decision.version,
        "action": decision.action,
        "trigger": decision.trigger,
        "urgency": decision.urgency,
        "reason": decision.reason,
    }


@dataclass(slots=True)
class Chronicle:
    """Verdicts in, episodes out.

    Parameters
    ----------
    start
        Event time from which on shares of time are counted.
    """

    start: int
    reviews: int = 0
    episodes: Counter[tuple[str, str, Level]] = field(default_factory=Counter)
    decisions: Counter[str] = field(default_factory=Counter)
    levels: dict[str, Counter[Level]] = field(default_factory=dict)
    critical: int = 0  # microseconds
    _open: dict[tuple[str, str], Episode] = field(default_factory=dict)  # by check and segment
    _version: str = ""
    _until: int = 0

    def take(self, version: str, said: Sequence[Verdict], decision: Decision | None, now: int) -> Iterator[Episode]:
        """What changed with one review: episodes opened (`closed` is None) and closed."""
        self.reviews += 1
        if version != self._version:  # nobody reviews the former one any more
            yield from self.end(now)
            self._version = version
        for verdict in said:
            yield from self._heard(verdict)
        self._count_until(now)
        if decision is not None:
            self.decisions[decision.action] += 1

    def _heard(self, verdict: Verdict) -> Iterator[Episode]:
        if not verdict.segment:  # of segments only what changes is said
            self.levels.setdefault(verdict.check, Counter())[verdict.level] += 1
        if verdict.level not in ALARMING and verdict.level is not Level.OK:
            return  # what cannot be judged opens nothing and closes nothing
        key = verdict.check, verdict.segment
        now, open_ = verdict.window.end, self._open.get(key)
        if open_ is not None and open_.level is not verdict.level:
            self._count_until(now)
            del self._open[key]
            yield replace(open_, closed=now)
        if verdict.level in ALARMING and key not in self._open:
            self._count_until(now)
            self.episodes[*key, verdict.level] += 1
            columns = tuple(dict.fromkeys(r.column for r in verdict.readings if r.level in ALARMING))
            told = verdict.reason, verdict.segment
            self._open[key] = opened = Episode(verdict.version, verdict.check, verdict.level, now, None, columns, *told)
            yield opened

    def end(self, now: int) -> Iterator[Episode]:
        """Close what is open: its version is no longer reviewed."""
        self._count_until(now)
        for episode in self._open.values():
            yield replace(episode, closed=now)
        self._open.clear()

    @property
    def open(self) -> tuple[Episode, ...]:
        """Episodes that go on."""
        return tuple(self._open.values())

    def _count_until(self, now: int) -> None:
        since = max(self._until, self.start)
        if now > since:
            self.critical += (now - since) * any(e.level is Level.CRITICAL for e in self._open.values())
            self._until = now

    def document(self) -> dict[str, Any]:
        """Figures over all; part of a stable contract."""
        span = max(self._until - self.start, 1)
        return {
            "reviews": self.reviews,
            "episodes": [
                {"check": check, **({"segment": segment} if segment else {}), "level": level, "count": count}
                for (check, segment, level), count in sorted(self.episodes.items())
            ],
            "decisions": dict(sorted(self.decisions.items())),
            "verdicts": {check: dict(sorted(levels.items())) for check, levels in sorted(self.levels.items())},
            "critical_share": round(self.critical / span, 6),
        }
