"""Drives the demo: flies the year hour by hour, waits at each day's end until the agent and any retraining have settled.

Waiting makes the decisions independent of the machine's speed; nothing else does: the agent, the control endpoint and
the server are the real ones.
"""

from __future__ import annotations

import datetime as dt
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tenure.errors import TenureError
from tenure.lifecycle import Evidence, Lineage, ModelVersion, Stage, minimum
from tenure_agent.demo import rollout
from tenure_agent.demo.flights import FEATURES, load_flights
from tenure_agent.demo.model import out_of_sample
from tenure_agent.demo.processes import Processes, running
from tenure_agent.demo.registry import Registry
from tenure_agent.demo.timeline import Timeline
from tenure_agent.measures import measure
from tenure_agent.records import micros, moment

FIRST_DAY = dt.datetime(2013, 3, 1, tzinfo=dt.UTC)
HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)
SETTLE_TIMEOUT = 120.0
GATE = minimum(auc_roc=0.65)


class Unsettled(TenureError):
    """Something did not come to rest in time."""


class Demo:
    """One run, in one folder, up to but not including the day `until`."""

    def __init__(self, folder: Path, until: dt.datetime) -> None:
        self._registry = Registry(folder)
        self._until = until
        self._steps_shown = 0
        self._changes_after = 0
        self._decisions_shown: set[str] = set()
        self._roles: rollout.Roles | None = None
        self._promoted_at: dt.datetime | None = None

    def run(self) -> dict[str, Any]:
        """Fly, and sum up."""
        started = time.monotonic()
        print("reading the flights and training version 1 ...", flush=True)
        flights = load_flights()
        live = flights[(flights.scheduled >= FIRST_DAY) & (flights.scheduled < self._until)]
        with Timeline(len(live)) as timeline:
            timeline.say(
                f"{len(flights):,} real flights of 2013; version 1 learns from those that had landed before March"
            )
            self._launch(flights, timeline)
            with running(self._registry) as processes:
                self._fly(Traffic(live), processes, timeline)
                summary = self._sum_up(processes, time.monotonic() - started)
            self._close(summary, timeline)
        return summary

    def _launch(self, flights: pd.DataFrame, timeline: Timeline) -> None:
        """Train version 1 and take it through its gate into production."""
        known = flights[flights.landed < FIRST_DAY].sort_values("landed", kind="stable")
        late = known.late.to_numpy(float)
        self._registry.train("1", known[FEATURES], late)
        auc = measure("auc_roc", out_of_sample(known[FEATURES], late), late)
        first = ModelVersion("flights", "1", created_at=FIRST_DAY, metrics={"auc_roc": auc})
        judged = GATE(Evidence(metrics=first.metrics))
        if not judged:
            raise TenureError(f"version 1 fails its gate: {'; '.join(judged.failures)}")
        steps = [
            (Stage.EVALUATED, f"AUC {auc:.3f} out of sample on {len(known):,} flights; the gate asks for 0.65"),
            (Stage.SHADOW, "the first version: there is no champion to shadow"),
            (Stage.STAGING, "the first version: there is no traffic to take a share of"),
            (Stage.PRODUCTION, "goes live"),
        ]
        for stage, reason in steps:
            first = first.transition(stage, actor="demo", reason=reason, now=FIRST_DAY)
        self._registry.save(Lineage((first,)))
        self._show_steps(timeline)

    def _fly(self, traffic: Traffic, processes: Processes, timeline: Timeline) -> None:
        hour = FIRST_DAY
        while hour < self._until:
            traffic.hour(hour, processes)
            hour += HOUR
            if hour.hour == 0:
                self._end_day(hour, processes, timeline)
                timeline.flew(hour - DAY, traffic.flown(hour))

    def _end_day(self, now: dt.datetime, processes: Processes, timeline: Timeline) -> None:
        self._settle(processes)
        for change in processes.ask("verdicts", {"after": self._changes_after})["changes"]:
            self._changes_after = max(self._changes_after, change["time"])
            timeline.verdict(change, moment(change["time"]))
        for decision in processes.ask("decisions")["decisions"]:
            if decision["id"] not in self._decisions_shown:
                self._decisions_shown.add(decision["id"])
                timeline.decision(decision)
        self._show_steps(timeline)
        rollout.step(self._registry, processes.ask, now)
        self._show_steps(timeline)
        roles = rollout.roles_of(self._registry.lineage())
        if roles != self._roles:
            if self._roles is not None and roles.champion != "1" and self._promoted_at is None:
                self._promoted_at = now
            self._roles = roles
            document = {"champion": roles.champion, "canary": roles.canary, "shadows": roles.shadows}
            processes.post("/roles", document)

    def _settle(self, processes: Processes) -> None:
        """Wait until all rows are stored, all due checks have run, and every decision is delivered and carried out."""
        deadline = time.monotonic() + SETTLE_TIMEOUT
        processes.post("/flush", {})
        while True:
            progress = processes.ask("progress")
            if progress["settled"] and progress["pending"] == 0:
                states = processes.control_states()
                if not {"received", "running"} & set(states.values()):
                    return
            if time.monotonic() > deadline:
                raise Unsettled(f"the agent did not settle in {SETTLE_TIMEOUT:.0f} s: {progress}")
            time.sleep(0.01)

    def _show_steps(self, timeline: Timeline) -> None:
        steps = [(one.version, step) for one in self._registry.lineage().versions for step in one.log]
        steps.sort(key=lambda pair: pair[1].time)
        for version, step in steps[self._steps_shown :]:
            timeline.step(version, step)
        self._steps_shown = len(steps)

    def _sum_up(self, processes: Processes, seconds: float) -> dict[str, Any]:
        sent = processes.post("/flush", {})
        self._settle(processes)
        status = processes.ask("status")
        counts = status["verdict_counts"]
        levels = ("OK", "WARNING", "CRITICAL", "INSUFFICIENT_DATA", "ERROR")
        keys = ("id", "action", "trigger", "urgency", "reason", "event_time", "delivered")
        return {
            "emitted": sent["emitted"],
            "stored": status["stored"],
            "dropped": sent["dropped"],
            "verdicts": {level.lower(): counts.get(level, 0) for level in levels},
            "decisions": [{key: d[key] for key in keys} for d in processes.ask("decisions")["decisions"]],
            "quality": self._quality(processes),
            "seconds": round(seconds, 1),
        }

    def _quality(self, processes: Processes) -> dict[str, Any]:
        """Version 1 against whatever was in service, on the same rows after the first promotion."""
        end = micros(self._until)
        metrics = ["auc_roc", "brier"]
        arguments: dict[str, Any] = {"model": "flights", "end": end, "metrics": metrics}
        if self._promoted_at is None:
            arguments |= {"start": micros(FIRST_DAY), "series": [{"role": "champion"}]}
            answer = processes.ask("quality", arguments)
            before, after = answer["measures"][0], dict.fromkeys(metrics)
        else:
            series = [{"version": "1", "role": "shadow"}, {"role": "champion"}]
            answer = processes.ask("quality", arguments | {"start": micros(self._promoted_at), "series": series})
            before, after = answer["measures"]
        return {
            "before": before["auc_roc"],
            "after": after["auc_roc"],
            "metric": "auc_roc",
            "rows": answer["rows"],
            "brier": {"before": before["brier"], "after": after["brier"]},
        }

    def _close(self, summary: dict[str, Any], timeline: Timeline) -> None:
        quality, folder = summary["quality"], self._registry.folder
        timeline.say()
        if quality["after"] is None:
            timeline.say(f"No retraining was called for. AUC over {quality['rows']:,} flights: {quality['before']:.3f}")
        else:
            brier = quality["brier"]
            timeline.say(
                f"On the same {quality['rows']:,} later flights: AUC [bold]{quality['before']:.3f} -> "
                f"{quality['after']:.3f}[/], Brier {brier['before']:.4f} -> {brier['after']:.4f} "
                "(version 1 as nobody maintained it -> what was in service)"
            )
        lost = sum(summary["dropped"].values())
        timeline.say(
            f"{summary['emitted']:,} predictions and outcomes sent, {summary['stored']:,} stored, {lost:,} lost, "
            f"in {summary['seconds']:.0f} s"
        )
        timeline.say()
        timeline.say("Where to look next:")
        timeline.say(
            f"  tenure-agent run --config {folder}/tenure.yaml        the agent with what it just saw; then, beside it:"
        )
        timeline.say(f"  tenure-agent status --config {folder}/tenure.yaml     rows, verdicts, decisions")
        timeline.say("  README.md                                             ten lines that monitor your own model")


class Traffic:
    """The flights as requests: what lands by an hour is told before what leaves in it."""

    def __init__(self, live: pd.DataFrame) -> None:
        self._scheduled = live.scheduled.astype("datetime64[us, UTC]").astype("int64").to_numpy()
        self._columns = {name: live[name].tolist() for name in ("id", *FEATURES)}
        self._columns["scheduled"] = self._scheduled.tolist()
        landed = live[live.late.notna()].sort_values(["landed", "id"], kind="stable")
        self._landed = landed.landed.astype("datetime64[us, UTC]").astype("int64").to_numpy()
        self._truths = {"ids": landed.id.tolist(), "labels": landed.late.tolist()}
        self._truths["times"] = (self._landed / 1e6).tolist()
        self._told = self._flown = 0

    def hour(self, start: dt.datetime, processes: Processes) -> None:
        """Tell the outcomes known by `start`, then predict what leaves in the hour after it."""
        told = int(np.searchsorted(self._landed, micros(start), side="right"))
        if told > self._told:
            processes.post("/outcomes", {name: values[self._told : told] for name, values in self._truths.items()})
            self._told = told
        end = int(np.searchsorted(self._scheduled, micros(start + HOUR), side="left"))
        if end > self._flown:
            processes.post("/predict", {name: values[self._flown : end] for name, values in self._columns.items()})
            self._flown = end

    def flown(self, before: dt.datetime) -> int:
        """Flights of the day that ends now."""
        first = int(np.searchsorted(self._scheduled, micros(before - DAY), side="left"))
        return self._flown - first
