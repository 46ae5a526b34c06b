"""Summaries by block, any number of them: those touched last at hand, the others packed as they would be on disk."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping

from tenure_agent.bins import Layout
from tenure_agent.past import WINDOW
from tenure_agent.summary import Packed, Summary

LEAST = WINDOW + 4  # a window, the blocks that still grow, and one that is late


class Shelf(MutableMapping[int, Summary]):
    """What is put there comes back as it was; so many are at hand, and never fewer than `LEAST`."""

    def __init__(self, layout: Layout, at_hand: int = 0) -> None:
        self._layout = layout
        self._at_hand = max(LEAST, at_hand)
        self._held: dict[int, Summary] = {}  # touched last at the end
        self._packed: dict[int, Packed] = {}

    def __getitem__(self, block: int) -> Summary:
        found = self._held[block] if block in self._held else self._packed[block].unpacked(self._layout)
        self[block] = found
        return found

    def __setitem__(self, block: int, summary: Summary) -> None:
        self._packed.pop(block, None)
        self._held.pop(block, None)
        self._held[block] = summary
        if len(self._held) > self._at_hand:
            oldest = next(iter(self._held))
            self._packed[oldest] = Packed.of(self._held.pop(oldest))

    def __delitem__(self, block: int) -> None:
        del (self._held if block in self._held else self._packed)[block]

    def __contains__(self, block: object) -> bool:
        return block in self._held or block in self._packed

    def __iter__(self) -> Iterator[int]:
        yield from self._held
        yield from self._packed

    def __len__(self) -> int:
        return len(self._held) + len(self._packed)
