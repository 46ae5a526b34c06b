"""One model version as it goes: its newest blocks in memory, and what was made of those before."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator

import numpy as np

from tenure_agent.bins import Array
from tenure_agent.checks.drift import CHECK, Newest, Settings, check_drift
from tenure_agent.checks.failure import failed
from tenure_agent.null import Nulls
from tenure_agent.past import WINDOW, Past, Step
from tenure_agent.records import Level, Verdict, Window
from tenure_agent.reference import Reference
from tenure_agent.shelf import Shelf
from tenure_agent.summary import Summary

logger = logging.getLogger(__name__)


class Track:
    """
    Parameters
    ----------
    length
        Of one block in microseconds; a window has ten.
    steps
        The newest blocks judged before, oldest first.
    at_hand
        How many blocks to hold as they are; see `Shelf`.
    """

    def __init__(self, reference: Reference, length: int, steps: Iterable[Step] = (), at_hand: int = 0) -> None:
        self.reference = reference
        self.length = length
        self._nulls = Nulls(reference)
        self._blocks = Shelf(reference.layout, at_hand)
        self._counts: dict[int, Array] = {}  # of those blocks, over coarse bins
        self._none: Array = np.zeros_like(self._nulls.total)
        self.newest: Newest | None = None
        self.upto = 0  # the ingest number up to which rows were taken in
        self.past = Past(len(reference.columns), len(self._nulls.total))
        for step in steps:
            self.past.append(step)

    def add(self, time: int, summary: Summary) -> None:
        """Take in rows of one block.

        Parameters
        ----------
        time
            Event time of any of them, in microseconds since 1970 UTC. Rows too late for the next window are not needed.
        """
        block = time // self.length
        if self.past.next is None or block > self.past.next - WINDOW:
            known = self._blocks.get(block)
            self._blocks[block] = summary if known is None else known + summary
            self._counts[block] = self.reference.coarse.counts(self._blocks[block])

    def due(self, now: int) -> range:
        """The blocks to be judged at an event time: those that are over."""
        first = min(self._blocks, default=None) if self.past.next is None else self.past.next
        return range(first, now // self.length) if first is not None else range(0)

    def window(self, block: int) -> Newest:
        """The window that ends with a block."""
        numbers = range(block - WINDOW + 1, block + 1)
        return Newest(
            block,
            Window(numbers[0] * self.length, (block + 1) * self.length),
            self.reference.layout,
            [self._blocks[number] for number in numbers if number in self._blocks],
            np.stack([self._counts.get(number, self._none) for number in numbers]),
        )

    def judge(self, now: int, settings: Settings) -> Iterator[tuple[Verdict, Step]]:
        """Judge every block that is due, in order; where a whole window is empty, only the last of them.

        One whose check fails is an error, and takes no other with it.
        """
        due = self.due(now)
        block = due.start
        while block < due.stop:
            if not any(number in self._blocks for number in range(block + 1 - WINDOW, block + 1)):
                last = due.stop - 1
                filled = min((number for number in self._blocks if block < number < last), default=last)
                if filled > block:
                    self.past.skip(filled - 1)
                    block = filled
            self.newest = self.window(block)
            verdict, step = self._judged(self.newest, settings)
            self.past.append(step)
            for gone in [number for number in self._blocks if number <= block + 1 - WINDOW]:
                del self._blocks[gone], self._counts[gone]
            block += 1
            yield verdict, step

    def _judged(self, newest: Newest, settings: Settings) -> tuple[Verdict, Step]:
        reference = self.reference
        try:
            return check_drift(reference, self._nulls, self.past, newest, settings)
        except Exception as error:
            logger.exception("the drift check of %(model)s failed", {"model": reference.model})
            said = (CHECK, Level.ERROR, failed(error), newest.window, 0)
            unjudged = Step.unjudged(newest.block, newest.own, self.past.critical)
            return Verdict(reference.model, reference.version, *said), unjudged
