"""What is measured: Tenure's own check, and the rules others alarm by, on the same windows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from tests.quality.streams import Array, Stream

from tenure_agent.block_length import wanted_rows
from tenure_agent.builder import Rows, build_reference
from tenure_agent.checks.drift import Settings
from tenure_agent.detectors import Measurement, measure_all
from tenure_agent.model_config import DriftConfig
from tenure_agent.past import WINDOW
from tenure_agent.records import SURPRISE, Level
from tenure_agent.reference import Reference
from tenure_agent.surprise import margin_of
from tenure_agent.tally import summarise
from tenure_agent.track import Track

MINUTE = 60_000_000
AT_ONCE = 64
OURS = "Tenure"


def _any_p(measured: Mapping[str, Measurement], level: float) -> bool:
    return bool((measured["ks"].p_value < level).any() or (measured["chi_squared"].p_value < level).any())


def _evidently(measured: Mapping[str, Measurement], reference: Reference) -> bool:
    """Over 1,000 reference rows: Wasserstein over 0.1 standard deviations of a numeric column, Jensen-Shannon over 0.1 of another; a
    data set drifts when half of its columns do.
    """
    distance = np.where(
        reference.layout.ordered, measured["wasserstein"].statistic, measured["jensen_shannon"].statistic
    )
    return bool((distance >= 0.1).mean() >= 0.5)


Rule = Callable[[Mapping[str, Measurement], Reference], bool]
PEERS: dict[str, Rule] = {
    "KS p<.05": lambda measured, _: _any_p(measured, 0.05),
    "KS+Bonferroni": lambda measured, reference: _any_p(measured, 0.05 / len(reference.columns)),
    "Evidently": _evidently,
    "PSI>.2": lambda measured, _: bool((measured["psi"].statistic > 0.2).any()),
}


@dataclass(frozen=True)
class Judged:
    """How a stream was judged.

    Parameters
    ----------
    ends
        How many rows had been seen at each check.
    alarms
        bool per check, by rule: whether an alarm was on.
    blind
        Columns that our check says it cannot judge, at the last check.
    window
        Rows.
    """

    ends: Array
    alarms: Mapping[str, Array]
    blind: int
    window: int

    def episodes(self, rule: str) -> int:
        """Runs of alarms."""
        alarms = self.alarms[rule]
        return int((np.diff(alarms.astype(int), prepend=0) == 1).sum())

    def share(self, rule: str) -> float:
        return float(self.alarms[rule].mean())

    def benign_share(self, rule: str, stream: Stream) -> float:
        """Of the rows in which the model did well, those with an alarm on."""
        block = self.window // WINDOW
        total = sum(end - start for start, end in stream.benign)
        held = 0
        for at in self.ends[self.alarms[rule]].tolist():
            held += sum(max(0, min(end, at + block) - max(start, at)) for start, end in stream.benign)
        return held / total

    def caught(self, rule: str, stream: Stream) -> int | None:
        """Rows from the documented change to the alarm, where that is clean: within two windows, and the alarm was not
        already on in half of the eight checks before.
        """
        assert stream.event is not None
        first = int(np.searchsorted(self.ends, stream.event + 1))
        alarms = self.alarms[rule]
        if alarms[max(0, first - 8) : first].sum() >= 4:
            return None
        delays = self.ends[first:][alarms[first:]] - stream.event
        return int(delays[0]) if len(delays) and delays[0] <= 2 * self.window else None


def judge(stream: Stream, *, peers: bool = False) -> Judged:
    """Go through a stream as the agent with its defaults would."""
    drift = DriftConfig()
    reference = build_reference("m", "1", Rows({k: v[: stream.reference] for k, v in stream.columns.items()}))
    wanted, needed = wanted_rows(drift.min_rows, reference.rows)
    block = round(wanted) // WINDOW
    margin = margin_of(drift.false_alarms.windows(timedelta(minutes=block * WINDOW)))
    settings = Settings(needed, margin)
    track = Track(reference, block * MINUTE)
    count = (stream.rows - stream.reference) // block
    ends: list[int] = []
    alarms: dict[str, list[bool]] = {name: [] for name in (OURS, *(PEERS if peers else ()))}
    blind = 0
    for low in range(0, count, AT_ONCE):
        n = min(AT_ONCE, count - low)
        here = slice(stream.reference + low * block, stream.reference + (low + n) * block)
        values = {key: array[here] for key, array in stream.columns.items()}
        found = summarise(reference.layout, values, np.repeat(np.arange(n), block), n)
        for i, summary in enumerate(found):
            track.add((low + i) * block * MINUTE, summary)
            for verdict, _ in track.judge((low + i + 1) * block * MINUTE, settings):
                if verdict.rows < settings.min_rows:
                    continue
                assert track.newest is not None
                ends.append(stream.reference + (low + i + 1) * block)
                alarms[OURS].append(verdict.level in {Level.WARNING, Level.CRITICAL})
                blind = sum(
                    one.detector == SURPRISE and one.level is Level.INSUFFICIENT_DATA for one in verdict.readings
                )
                if peers:
                    measured = measure_all(reference, track.newest.summary)
                    for name, rule in PEERS.items():
                        alarms[name].append(rule(measured, reference))
    return Judged(np.array(ends), {name: np.array(said, bool) for name, said in alarms.items()}, blind, block * WINDOW)
