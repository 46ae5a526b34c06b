"""How each version's performance stands: single checks, and the episodes they make."""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import replace
from itertools import islice

from tenure_agent import losses
from tenure_agent.checks import performance as performance_check
from tenure_agent.checks.failure import failed
from tenure_agent.config import Config
from tenure_agent.episodes import settle
from tenure_agent.evidence import Evidence
from tenure_agent.measures import LOWER_IS_BETTER, default_metric
from tenure_agent.model_config import ModelConfig
from tenure_agent.records import Level, Verdict, Window
from tenure_agent.reference import Reference
from tenure_agent.store import verdicts
from tenure_agent.store.catalogue import Model
from tenure_agent.store.database import Cursor
from tenure_agent.units import in_micros

logger = logging.getLogger(__name__)

UNJUDGED = frozenset({Level.INSUFFICIENT_DATA, Level.ERROR})
TASK_ROWS = 5000  # tell the task where nobody said it


class Appraiser:
    """Remembers what the newest checks of each version said."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._histories: dict[tuple[int, int], deque[tuple[Level, Level]]] = {}

    def recall(self, cursor: Cursor, model: Model, version: int) -> None:
        """Take up what was said before a restart."""
        key = model.number, version
        if key not in self._histories:
            config = self._config.model(model.name)
            depth = config.performance.open_after + config.quiet_checks
            found = verdicts.recent(cursor, model.number, version, performance_check.CHECK, depth)
            self._histories[key] = deque(found, maxlen=depth)

    def note(self, model: Model, version: int, alone: Level, shown: Level) -> None:
        """What a check said by itself, and the level people saw."""
        if alone not in UNJUDGED:
            self._histories[model.number, version].append((alone, shown))

    def appraise(
        self, model: Model, version: int, reference: Reference | None, found: Evidence, now: int, unlearnt: str = ""
    ) -> tuple[Verdict, Level, bool]:
        """The verdict people see, the check's own level, and whether the metric is past its emergency value.

        Parameters
        ----------
        unlearnt
            Why the reference's losses could not be learnt, if so: what the metric says by itself counts nevertheless.
        """
        config = self._config.model(model.name)
        settings = config.performance
        window = Window(now - in_micros(settings.window), now)
        name = model.version_name(version)
        task = config.task or losses.task_of(*found.first(TASK_ROWS))
        metric = settings.metric or default_metric(task)
        try:
            verdict = performance_check.check_performance(
                model.name,
                name,
                reference.losses if reference is not None else (),
                found,
                window,
                tolerance=settings.tolerance,
                min_labels=settings.min_labels,
                metric=metric,
                minimum=settings.minimum,
            )
        except Exception as error:
            logger.exception("the performance check of %(model)s failed", {"model": model.name})
            broken = Verdict(model.name, name, performance_check.CHECK, Level.ERROR, failed(error), window, len(found))
            return broken, Level.ERROR, False
        if verdict.level is not Level.INSUFFICIENT_DATA and _past(metric, verdict.measures[metric], settings.emergency):
            return replace(verdict, level=Level.CRITICAL), Level.CRITICAL, True
        if unlearnt and verdict.level is Level.INSUFFICIENT_DATA:
            verdict = replace(verdict, level=Level.ERROR, reason=unlearnt)
        return self._settled(model, version, verdict, config), verdict.level, False

    def _settled(self, model: Model, version: int, verdict: Verdict, config: ModelConfig) -> Verdict:
        """The verdict people see: its level after episodes, and a reason that says where level and check differ."""
        if verdict.level in UNJUDGED:
            return verdict
        history = self._histories[model.number, version]
        before = history[-1][1] if history else Level.OK
        open_after, close_after = config.performance.open_after, config.quiet_checks
        needed = open_after if before is Level.OK else max(open_after, close_after)  # only an end looks far back
        newest = [alone for alone, _ in islice(reversed(history), needed)]
        alone = [*reversed(newest), verdict.level]
        level = settle(alone, before, open_after=open_after, close_after=close_after)
        reason = verdict.reason
        if level is Level.OK and verdict.level is not Level.OK:
            reason = f"not confirmed yet by {open_after} of {open_after + 1} checks: {reason}"
        elif level is not Level.OK and verdict.level is Level.OK:
            reason = f"{reason} now; closes after {close_after} quiet checks"
        return replace(verdict, level=level, reason=reason)


def _past(metric: str, value: float, emergency: float | None) -> bool:
    if emergency is None:
        return False
    return value > emergency if metric in LOWER_IS_BETTER else value < emergency
