"""What a gate is given, what it answers, and how two of them make one."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self, TypeAlias

from tenure.errors import SettingError


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is known about a version when a gate judges it; what is not known fails the gates that ask for it.

    Parameters
    ----------
    metrics, champion
        Metric name to value: of the version, and of the champion it is compared with.
    agreement
        Share of shadowed calls, 0 to 1, on which the version and the champion answered alike.
    shadow_days
        Days the version has spent in shadow.

    Raises
    ------
    SettingError
        `agreement` is outside 0 to 1: a 95 that means 95 % would pass every gate.

    Examples
    --------
    >>> Evidence(metrics={"precision": 0.912}, champion={"precision": 0.905}, agreement=0.97).shadow_days is None
    True
    """

    metrics: Mapping[str, float] = field(default_factory=dict, hash=False)
    champion: Mapping[str, float] = field(default_factory=dict, hash=False)
    agreement: float | None = None
    shadow_days: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "metrics", dict(self.metrics))  # the caller's own dicts may go on changing
        object.__setattr__(self, "champion", dict(self.champion))
        if self.agreement is not None and (self.agreement < 0 or self.agreement > 1):
            raise SettingError("agreement", self.agreement, "a share between 0 and 1")


@dataclass(frozen=True, slots=True)
class GateResult:
    """A gate's answer: true when passed, else each thing it misses in `failures`.

    Raises
    ------
    SettingError
        `passed` and `failures` contradict each other.

    Examples
    --------
    >>> bool(GateResult(passed=False, failures=("agreement: 0.9100 < required 0.95",)))
    False
    """

    passed: bool
    failures: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.passed == bool(self.failures):
            raise SettingError("failures", self.failures, "none when passed, at least one when not")

    @classmethod
    def of(cls, failures: Iterable[str | None]) -> Self:
        """Pass when there is nothing but None."""
        told = tuple(failure for failure in failures if failure is not None)
        return cls(passed=not told, failures=told)

    def __bool__(self) -> bool:
        return self.passed


Check: TypeAlias = Callable[[Evidence], GateResult]


class Gate(ABC):
    """A check that composes: `a & b` needs both and reports the failures of both, `a | b` needs either."""

    __slots__ = ()

    @abstractmethod
    def __call__(self, evidence: Evidence) -> GateResult:
        """Judge the evidence."""

    def __and__(self, other: Check) -> "Gate":
        return _Both(self, other) if callable(other) else NotImplemented

    def __rand__(self, other: Check) -> "Gate":
        return _Both(other, self) if callable(other) else NotImplemented

    def __or__(self, other: Check) -> "Gate":
        return _Either(self, other) if callable(other) else NotImplemented

    def __ror__(self, other: Check) -> "Gate":
        return _Either(other, self) if callable(other) else NotImplemented

    def __bool__(self) -> bool:
        raise SettingError("gate", self, "& for 'and', | for 'or': the words would drop one of the gates")


@dataclass(frozen=True, slots=True)
class _Both(Gate):
    left: Check
    right: Check

    def __call__(self, evidence: Evidence) -> GateResult:
        return GateResult.of((*self.left(evidence).failures, *self.right(evidence).failures))


@dataclass(frozen=True, slots=True)
class _Either(Gate):
    left: Check
    right: Check

    def __call__(self, evidence: Evidence) -> GateResult:
        left, right = self.left(evidence).failures, self.right(evidence).failures
        return GateResult.of((f"[{'; '.join(left)}] or [{'; '.join(right)}]",) if left and right else ())
