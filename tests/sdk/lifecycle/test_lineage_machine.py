"""Every verb on any version at any time: one version in production at most, and only histories the table allows."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tenure.lifecycle import (
    ALLOWED_TRANSITIONS,
    Lineage,
    ModelVersion,
    Stage,
    TransitionRefused,
    close,
    promote,
    roll_back,
    successor,
)

NOW = datetime(2024, 6, 17, 9, tzinfo=UTC)
DAY = timedelta(days=1)
FORWARD = {
    Stage.EXPERIMENTING: Stage.EVALUATED,
    Stage.RETRAINING: Stage.EVALUATED,
    Stage.EVALUATED: Stage.SHADOW,
    Stage.SHADOW: Stage.STAGING,
}
FAILING = {Stage.RETRAINING, Stage.EVALUATED, Stage.SHADOW, Stage.STAGING}

index = st.integers(0, 5)


class LineageMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.lineage = Lineage()

    def attempt(self, move: Callable[[], tuple[ModelVersion, ...]], *, legal: bool) -> None:
        if legal:
            self.lineage = self.lineage.put(*move())
        else:
            with pytest.raises(TransitionRefused, match="Try: "):
                self.lineage.put(*move())

    def pick(self, i: int, *stages: Stage) -> ModelVersion:
        """Any version, but one in these stages if there is one: most random steps would lead nowhere."""
        versions = [v for v in self.lineage.versions if v.stage in stages] or self.lineage.versions
        return versions[i % len(versions)]

    def names(self) -> set[str]:
        return {v.version for v in self.lineage.versions}

    def in_hold(self, version: ModelVersion) -> bool:
        return version.stage is Stage.DEPRECATED and self.now - version.log[-1].time <= 7 * DAY

    @initialize()
    def begin(self) -> None:
        self.experiment()
        self.prepare(0)
        self.step(0, Stage.PRODUCTION)

    @rule(days=st.integers(1, 9))
    def wait(self, days: int) -> None:
        self.now += days * DAY

    @precondition(lambda self: len(self.lineage.versions) < 6)
    @rule()
    def experiment(self) -> None:
        name = next(name for name in map(str, range(6)) if name not in self.names())
        self.attempt(lambda: (ModelVersion("fraud", name, created_at=self.now),), legal=True)

    @rule(i=index, to=st.sampled_from(Stage))
    def step(self, i: int, to: Stage) -> None:
        version = self.pick(i)
        legal = to in ALLOWED_TRANSITIONS[version.stage]
        if to is Stage.PRODUCTION:
            legal &= self.lineage.serving is None
            legal &= version.stage is not Stage.DEPRECATED or self.in_hold(version)
        self.attempt(lambda: (version.transition(to, actor="ci", reason="a step", now=self.now),), legal=legal)

    @rule(i=index)
    def prepare(self, i: int) -> None:
        where = self.lineage.versions.index(self.pick(i, *FORWARD))
        while (version := self.lineage.versions[where]).stage in FORWARD:
            self.step(where, FORWARD[version.stage])

    @rule(i=index, to=st.sampled_from(Stage))
    def step_back_in_time(self, i: int, to: Stage) -> None:
        version = self.pick(i)
        past = (version.log[-1].time if version.log else version.created_at) - timedelta(microseconds=1)
        self.attempt(lambda: (version.transition(to, actor="ci", reason="a step", now=past),), legal=False)

    @rule(i=index, name=st.integers(0, 5).map(str))
    def retrain(self, i: int, name: str) -> None:
        self.now += timedelta(microseconds=1)  # the same retrain at the same time would be the same value, put twice
        parent = self.pick(i, Stage.PRODUCTION)
        legal = parent.stage is Stage.PRODUCTION and name not in self.names()
        self.attempt(lambda: (successor(parent, name, actor="agent", reason="drift", now=self.now),), legal=legal)

    @rule(i=index)
    def fail(self, i: int) -> None:
        version = self.pick(i)
        self.attempt(
            lambda: (close(version, actor="ci", reason="failed", now=self.now),), legal=version.stage in FAILING
        )

    @rule(i=index, j=index)
    def promote(self, i: int, j: int) -> None:
        new, old = self.pick(i, Stage.STAGING), self.pick(j, Stage.PRODUCTION)
        legal = new.stage is Stage.STAGING and old.stage is Stage.PRODUCTION
        self.attempt(lambda: promote(new, old, actor="lead", reason="canary held", now=self.now), legal=legal)

    @rule(i=index, j=index)
    def roll_back(self, i: int, j: int) -> None:
        former, serving = self.pick(i, Stage.DEPRECATED), self.pick(j, Stage.PRODUCTION)
        legal = self.in_hold(former) and serving.stage is Stage.PRODUCTION
        self.attempt(lambda: roll_back(former, serving, actor="agent", reason="errors", now=self.now), legal=legal)

    @invariant()
    def one_version_in_production_at_most(self) -> None:
        serving = [v for v in self.lineage.versions if v.stage is Stage.PRODUCTION]
        assert serving == ([self.lineage.serving] if self.lineage.serving else [])

    @invariant()
    def every_log_is_a_legal_path_to_where_the_version_stands(self) -> None:
        for version in self.lineage.versions:
            assert all(step.target in ALLOWED_TRANSITIONS[step.source] for step in version.log)
            assert all(before.target is after.source for before, after in pairwise(version.log))
            assert [step.target for step in version.log[-1:]] in ([], [version.stage])

    @invariant()
    def times_never_go_back_and_no_rollback_is_late(self) -> None:
        for version in self.lineage.versions:
            times = [version.created_at, *(step.time for step in version.log)]
            assert times == sorted(times)
            for before, after in pairwise(version.log):
                if (after.source, after.target) == (Stage.DEPRECATED, Stage.PRODUCTION):
                    assert after.time - before.time <= 7 * DAY


TestLineage = LineageMachine.TestCase
TestLineage.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
