"""Streams for the tests of the drift judge: a reference, and live rows block by block."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tenure_agent.builder import Rows, build_reference
from tenure_agent.checks.drift import Settings
from tenure_agent.past import Step
from tenure_agent.records import Verdict
from tenure_agent.reference import Reference
from tenure_agent.summary import Summary
from tenure_agent.tally import summarise
from tenure_agent.track import Track

Array = npt.NDArray[Any]
LENGTH = 60_000_000  # of a block
PER_BLOCK = 30
SETTINGS = Settings(150, 2.5)


def texts(values: Iterable[str | None]) -> Array:
    given = list(values)
    array = np.empty(len(given), object)
    array[:] = given
    return array


def columns(rows: int, seed: int = 0, *, normal: int = 2) -> dict[str, Array]:
    """Some normal columns, one that is mostly zero, with holes, and one of categories."""
    draw = np.random.default_rng(seed)
    found = {f"x{i}": draw.normal(size=rows) for i in range(normal)}
    found["amount"] = draw.exponential(size=rows) * (draw.uniform(size=rows) < 0.6)
    found["amount"][draw.uniform(size=rows) < 0.05] = np.nan
    found["country"] = texts(draw.choice(["DE", "FR", "IT", "ES"], rows, p=[0.5, 0.3, 0.15, 0.05]))
    return found


def built(values: Mapping[str, Array] | None = None, rows: int = 3000) -> Reference:
    values = columns(rows) if values is None else values
    return build_reference("fraud", "3", Rows({("feature", name): array for name, array in values.items()}))


def summaries(reference: Reference, values: Mapping[str, Array], per_block: int = PER_BLOCK) -> list[Summary]:
    """One for each block of so many rows."""
    rows = len(next(iter(values.values())))
    keyed = {("feature", name): array for name, array in values.items()}
    return summarise(reference.layout, keyed, np.arange(rows) // per_block, -(-rows // per_block))


def serve(track: Track, found: Iterable[Summary], first: int = 0) -> None:
    """Live rows, a summary for each block from the first on."""
    for block, summary in enumerate(found, first):
        track.add(block * LENGTH, summary)


def judged(track: Track, blocks: int, settings: Settings = SETTINGS) -> list[tuple[Verdict, Step]]:
    """What is said when so many blocks are over."""
    return list(track.judge(blocks * LENGTH, settings))
