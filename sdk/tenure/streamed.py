"""What a watched generator gave, kept until it ends: one record for the whole stream."""

from __future__ import annotations

import time
from typing import Any

from tenure.answer import snapshot_output

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
        if isinstance(item, str):
            if self._length < MOST_TEXT:
                self._texts.append(item[: MOST_TEXT - self._length])
                self._length += len(self._texts[-1])
        else:
            self._last = item

    def outputs(self) -> dict[str, Any]:
        said = "".join(self._texts) if self._texts else snapshot_output(self._last)
        return {"prediction": said, "items": self.items, "seconds_to_first_item": self.seconds_to_first}
