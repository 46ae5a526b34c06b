"""What a watched generator gave, kept until it ends: one record for the whole stream."""

from __future__ import annotations

import time
from typing import Any

from tenure.capture import PLAIN

MOST_TEXT = 1024


class Streamed:
    """What a generator gave: how many items, the time to the first, and their text or the last of them."""

    def __init__(self) -> None:
        self.items = 0
        self.seconds_to_first: float | None = None
        self._began = time.perf_counter()
        self._last: Any = None
        self._texts: list[str] = []
        self._length = 0

    def take(self, item: Any) -> None:
        if not self.items:
            self.seconds_to_first = time.perf_counter() - self._began
        self.items += 1
        if isinstance(item, str) and self._length < MOST_TEXT:
            self._texts.append(item)
            self._length += len(item)
        self._last = item

    def outputs(self) -> dict[str, Any]:
        said = "".join(self._texts)[:MOST_TEXT] if self._texts else self._last
        if type(said) not in PLAIN:
            said = None
        return {"prediction": said, "items": self.items, "seconds_to_first_item": self.seconds_to_first}
