"""Our own troubles in the host's log: each kind once a minute at most, however many rows it costs."""

from __future__ import annotations

import time

INTERVAL = 60.0
_said: dict[str, float] = {}


def due(kind: str) -> bool:
    """Whether to say it now; the counts in `Monitor.stats` tell how often it happened."""
    now = time.monotonic()
    if now - _said.get(kind, -INTERVAL) < INTERVAL:
        return False
    _said[kind] = now
    return True
