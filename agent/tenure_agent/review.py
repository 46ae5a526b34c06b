"""One review of one model: check, decide, keep what was said.

This is where pure checks and policy meet the store. A review at event time T sees rows before T and labels known by T,
so that it says the same whenever it runs.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from tenure.errors import TenureError
from tenure_agent.appraisal import Appraiser
from tenure_agent.checks import drift as drift_check
from tenure_agent.checks.failure import failed
from tenure_agent.config import Config
from tenure_agent.evidence import Evidence
from tenure_agent.labels import Labels
from tenure_agent.memory import give_back
from tenure_agent.metrics import Metrics
from tenure_agent.policy import ALARMING, Situation, decide
from tenure_agent.precedents import precedents
from tenure_agent.profiles import PROFILE_ROWS, Profiles
from tenure_agent.records import Decision, Level, Verdict, Window
from tenure_agent.reference import Reference
from tenure_agent.scheduler import schedule_due
from tenure_agent.store import Database, decisions, predictions, verdicts
from tenure_agent.store.catalogue import Catalogue, Model
from tenure_agent.store.database import Cursor
from tenure_agent.together import Together
from tenure_agent.traffic import Traffic
from tenure_agent.units import in_micros

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Review:
    """What one review found.

    Parameters
    ----------
    drift, performance, volume
        As they stand now.
    said
        What is new, oldest first: blocks judged at one review can say several things.
    segments
        The newest of each part of the rows.
    multivariate
        As it stands now; None where nobody asked for the check.
    """

    drift: Verdict
    performance: Verdict
    volume: Verdict
    said: Sequence[Verdict]
    decision: Decision | None
    segments: Sequence[Verdict] = ()
    multivariate: Verdict | None = None


class Reviewer:
    """Reviews models one at a time.

    Parameters
    ----------
    clock
        Wall time in microseconds since 1970 UTC, kept with decisions.
    replay
        Nobody looks at it later: no metrics, no verdicts kept but alarms; see also `Profiles`.
    paired
        Every label is stored together with its row; see `Labels`.
    """

    def __init__(
        self,
        database: Database,
        catalogue: Catalogue,
        config: Config,
        metrics: Metrics,
        clock: Callable[[], int],
        *,
        replay: bool = False,
        paired: bool = False,
    ) -> None:
        self._database = database
        self._catalogue = catalogue
        self._config = config
        self._metrics = metrics
        self._clock = clock
        self._replay = replay
        self._lock = asyncio.Lock()  # two at once would count rows twice, and decide twice
        self._appraiser = Appraiser(config)
        self._said: dict[tuple[int, int], Verdict] = {}  # of drift, newest
        self._evidence = Labels(paired=paired)
        self._only: dict[int, int] = {}  # what was found to be in service when last looked, by model
        self._traffic = Traffic(database, config)
        self.profiles = Profiles(database, config, clock, replay=replay)
        self._together = Together(database, config, self.profiles.settle)

    async def review(self, name: str, now: int) -> Review | None:
        """Check a model at an event time; keep the verdicts and the decision they lead to. None: nothing is served yet."""
        async with self._lock:
            try:
                return await self._review(name, now)
            finally:
                if not self._replay:
                    await asyncio.to_thread(give_back)

    async def replace_reference(self, store: Callable[[], Awaitable[tuple[Model, int]]]) -> None:
        """Have a version's reference replaced in the store, by what tells whose it is, while nothing is reviewed."""
        async with self._lock:
            model, version = await store()
            self.profiles.forget(model, version)
            self._said.pop((model.number, version), None)

    async def _review(self, name: str, now: int) -> Review | None:
        started = asyncio.get_running_loop().time()
        model, config = self._catalogue.models[name], self._config.model(name)
        revision = self._database.revision
        served = await self._database.async_read(lambda cursor: self._served(cursor, model, now, revision))
        if served is None:
            for verdict, _ in () if self._replay else await self._traffic.judge_unserved(model, now):
                self._metrics.show_verdict(verdict)
            return None
        version, labelled = served
        reference, broken = None, ""
        try:
            reference = await self.profiles.reference(model, version, now)
        except TenureError as error:
            logger.exception("the reference of %(model)s cannot be used", {"model": name})
            broken = f"the check failed: {error}"
        except Exception as error:
            logger.exception("the reference of %(model)s cannot be had", {"model": name})
            broken = failed(error)
        reference, unlearnt = await self._learnt(model, version, reference, now, revision)
        before = self._said.get((model.number, version))
        judged = await self._drift(model, version, reference, now, broken)
        drift = judged[-1]
        together = await self._together.look(model, version, reference, now)
        multivariate = self._together.standing(model, version, now)
        newest = self._evidence.newest(model, version)
        segments, news_of_segments = await self.profiles.judge_segments(model, version, now, newest)
        volume = await self._traffic.judge(model, version, now, newest)
        performance, performance_alone, emergency = self._appraiser.appraise(
            model, version, reference, labelled, now, unlearnt
        )
        decision = None
        retrain = config.retrain
        if Level.CRITICAL in {drift.level, performance.level} or retrain.schedule or retrain.new_rows:
            past = await self._database.async_read(lambda cursor: precedents(cursor, model, version, config, now))
            situation = Situation(
                name,
                model.version_name(version),
                now,
                config.mode,
                drift,
                performance,
                labels=len(labelled),
                schedule_due=schedule_due(retrain.schedule, past.last_retrain or past.first_time, now),
                new_rows_due=retrain.new_rows is not None and past.new_rows >= retrain.new_rows,
                new_rows=past.new_rows,
                emergency=emergency,
                open_retrain=past.still_open(config, now),
            )
            decision = decide(situation)
        news = [(verdict, verdict.level) for verdict in judged if verdict is not before]
        news += [(verdict, verdict.level) for verdict in together]
        said = [*news, *volume.said, (performance, performance_alone)]
        kept = [pair for pair in said if pair[0].level in ALARMING] if self._replay else said
        if kept or decision is not None:
            earlier = self._database.revision
            await self._database.async_write(lambda cursor: self._keep(cursor, model, version, kept, decision))
            self._evidence.wrote(earlier)
            self._traffic.saved(model)
        self._together.saved(model, version)
        self._appraiser.note(model, version, performance_alone, performance.level)
        if not self._replay:
            self._show([verdict for verdict, _ in said], len(labelled), decision)
            for verdict in segments:
                self._metrics.show_segment(verdict)
        self._metrics.check_seconds.observe(asyncio.get_running_loop().time() - started)
        new = [*(verdict for verdict, _ in said), *news_of_segments]
        return Review(drift, performance, volume.standing, new, decision, segments, multivariate)

    def _show(self, said: Sequence[Verdict], labels: int, decision: Decision | None) -> None:
        name, version = said[-1].model, said[-1].version
        for verdict in said:
            self._metrics.show_verdict(verdict)
        self._metrics.labels.labels(*self._metrics.known(name, version)).set(labels)
        if decision is not None:
            self._metrics.show_decision(decision)
            made = {"decision": decision.id, "action": decision.action, "model": name, "trigger": decision.trigger}
            logger.info("decision %(decision)s: %(action)s %(model)s because of %(trigger)s", made)

    def _served(self, cursor: Cursor, model: Model, now: int, revision: int) -> tuple[int, Evidence] | None:
        """The version in service, and its labels."""
        version = self._only.get(model.number) if len(model.versions) == 1 else None
        if version is None or not self._evidence.current(model, version, revision):
            version = predictions.champion(cursor, model, now)
        if version is None:
            return None
        self._only[model.number] = version
        self._appraiser.recall(cursor, model, version)
        told = self._config.model(model.name).performance
        window, delay = in_micros(told.window), in_micros(told.label_delay)
        return version, self._evidence.judged(cursor, model, version, now, window, delay, revision)

    async def _learnt(
        self, model: Model, version: int, reference: Reference | None, now: int, revision: int
    ) -> tuple[Reference | None, str]:
        """With losses, once there are labels to learn them from; else why they could not be learnt."""
        if reference is None or reference.losses:
            return reference, ""
        try:
            first = await self._database.async_read(
                lambda cursor: self._evidence.look(
                    cursor, model, version, since=0, known=now, newest=10 * PROFILE_ROWS, revision=revision
                )
            )
            return await self.profiles.learn_losses(model, version, reference, first), ""
        except Exception as error:
            logger.exception("the losses of %(model)s cannot be learnt", {"model": model.name})
            return reference, failed(error)

    async def _drift(
        self, model: Model, version: int, reference: Reference | None, now: int, broken: str
    ) -> list[Verdict]:
        """What is new to say, the newest last; where nothing is, what was said last."""
        name = model.version_name(version)

        def plain(level: Level, reason: str) -> list[Verdict]:
            return [Verdict(model.name, name, drift_check.CHECK, level, reason, Window(now, now), 0)]

        if broken:
            return plain(Level.ERROR, broken)
        if reference is None:
            return plain(Level.INSUFFICIENT_DATA, self.profiles.awaited(model, version))
        try:
            newest = self._evidence.newest(model, version)
            judged = await self.profiles.judge(model, version, reference, now, newest)
        except Exception as error:
            logger.exception("the drift check of %(model)s failed", {"model": model.name})
            return plain(Level.ERROR, failed(error))
        if judged is None:
            return plain(Level.INSUFFICIENT_DATA, "too few rows yet to tell how long a window must be")
        said = [replace(verdict, model=model.name, version=name) for verdict, _ in judged]
        key = model.number, version
        before = self._said.get(key)
        if not said:
            return [before] if before else plain(Level.INSUFFICIENT_DATA, "no block of a window is over yet")
        self._said[key] = said[-1]
        for column, share in self.profiles.missing(model, version).items() if not self._replay else ():
            self._metrics.show_missing(model.name, name, column, share)
        return [
            verdict
            for last, verdict in zip([before, *said], said, strict=False)
            if verdict is said[-1] or last is None or last.level is not verdict.level
        ]

    def _keep(
        self,
        cursor: Cursor,
        model: Model,
        version: int,
        said: list[tuple[Verdict, Level]],
        decision: Decision | None,
    ) -> None:
        verdicts.append(cursor, model.number, version, said)
        if not self._replay:
            self._traffic.save(cursor, model)
        if decision is not None:
            state = decisions.PENDING if self._config.control.url else decisions.RECORDED
            decisions.save(cursor, model.number, version, decision, self._clock(), state)
