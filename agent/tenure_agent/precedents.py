"""What was decided for a version before, and what has come since: so that nothing is decided twice."""

from __future__ import annotations

from dataclasses import dataclass

from tenure_agent.checks import performance as performance_check
from tenure_agent.model_config import ModelConfig
from tenure_agent.records import Action
from tenure_agent.store import decisions, predictions, verdicts
from tenure_agent.store.catalogue import Model
from tenure_agent.store.database import Cursor
from tenure_agent.units import in_micros


@dataclass(frozen=True, slots=True)
class Precedents:
    """Event times of decisions, of the first row, and how many rows came after."""

    last_critical: int | None
    last_retrain: int | None
    last_retrain_of_version: int | None
    first_time: int
    new_rows: int

    def still_open(self, config: ModelConfig, now: int) -> bool:
        """A decision stays open while its cause holds, and for a cool-down after that."""
        decided = self.last_retrain_of_version
        if decided is None:
            return False
        return now - max(decided, self.last_critical or 0) < in_micros(config.retrain.cooldown)


def precedents(cursor: Cursor, model: Model, version: int, config: ModelConfig, now: int) -> Precedents:
    """Those of a version at an event time."""
    last_retrain = decisions.last_time(cursor, model.number, Action.RETRAIN)
    first = predictions.first_time(cursor, model)
    since = first if last_retrain is None else last_retrain
    return Precedents(
        last_critical=verdicts.last_critical(cursor, model.number, version, performance_check.CHECK),
        last_retrain=last_retrain,
        last_retrain_of_version=decisions.last_time(cursor, model.number, Action.RETRAIN, version),
        first_time=first,
        new_rows=predictions.rows_between(cursor, model, since, now) if config.retrain.new_rows else 0,
    )
