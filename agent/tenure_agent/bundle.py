"""Summaries of rows just read, until they are stored: added up where there are few, packed where there are many."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

from tenure_agent.bins import Layout
from tenure_agent.summary import Packed, Summary, add

Name = TypeVar("Name")


class Bundle(Generic[Name]):
    """Summaries by role or segment, and by time; its length is how many are not packed."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._held: dict[tuple[Name, int], Summary] = {}
        self.packed: list[tuple[Name, int, Packed]] = []

    def __len__(self) -> int:
        return len(self._held)

    def add(self, found: Iterable[tuple[tuple[Name, int], Summary]]) -> None:
        """Take in what more rows make."""
        add(self._held, found)

    def pack(self) -> None:
        """Take less room; what comes later under the same keys is beside it."""
        self.packed += [(name, time, Packed.of(summary)) for (name, time), summary in self._held.items()]
        self._held.clear()

    def kept(self) -> list[tuple[Name, int, Summary | Packed]]:
        """All of them, as they are."""
        found: list[tuple[Name, int, Summary | Packed]] = list(self.packed)
        found += [(name, time, summary) for (name, time), summary in self._held.items()]
        return found

    def __iter__(self) -> Iterator[tuple[Name, int, Summary]]:
        for name, time, packed in self.packed:
            yield name, time, packed.unpacked(self._layout)
        for (name, time), summary in self._held.items():
            yield name, time, summary
