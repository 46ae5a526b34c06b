"""One printed result: a figure, and what it is measured against."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Line:
    """`value` in `unit`; `ratio` is value / base, `target` what the ratio should keep ("<= 0.1"), if anything."""

    suite: str
    name: str
    value: float
    unit: str
    base: str = ""
    ratio: float | None = None
    target: str = ""

    def document(self) -> dict[str, object]:
        return asdict(self)

    def __str__(self) -> str:
        text = f"{self.suite:9} {self.name:44} {self.value:14,.3f} {self.unit}"
        if self.ratio is not None:
            text += f"   {self.ratio:8.4f} x {self.base}"
        return text + (f"   (aim {self.target})" if self.target else "")


def per_call(function: Callable[[Any], object], argument: object, calls: int) -> float:
    """Seconds a call takes, the loop's own included."""
    started = time.perf_counter()
    for _ in range(calls):
        function(argument)
    return (time.perf_counter() - started) / calls
