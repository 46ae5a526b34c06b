"""One printed result: a figure, and what it is measured against."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Line:
    """`value` in `unit`; `ratio` is value / base. `target` is what the ratio should keep ("<= 0.1"), or the value where
    there is no ratio.
    """

    suite: str
    name: str
    value: float
    unit: str
    base: str = ""
    ratio: float | None = None
    target: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the target is kept; None where there is none."""
        if not self.target:
            return None
        sign, bound = self.target.split()
        found = self.value if self.ratio is None else self.ratio
        return found <= float(bound) if sign == "<=" else found >= float(bound)

    def document(self) -> dict[str, object]:
        return asdict(self) | {"met": self.met}

    def __str__(self) -> str:
        text = f"{self.suite:9} {self.name:48} {self.value:14,.3f} {self.unit}"
        if self.ratio is not None:
            text += f"   {self.ratio:8.4f} x {self.base}"
        return text + (f"   (aim {self.target}: {'met' if self.met else 'not met'})" if self.target else "")


def per_call(function: Callable[[Any], object], argument: object, calls: int) -> float:
    """Seconds a call takes, the loop's own included."""
    started = time.perf_counter()
    for _ in range(calls):
        function(argument)
    return (time.perf_counter() - started) / calls
