"""Our own troubles in the host's log: each kind once a minute at most, however many rows it costs.

`logging` is imported with the first of them: the host's import shall not pay for it.
"""

from __future__ import annotations

import sys
import time

INTERVAL = 60.0
_said: dict[str, float] = {}


def say(kind: str, text: str, *values: object, trace: bool = False) -> None:
    """Warn of it, unless that was done just now; the counts in `Monitor.stats` tell how often it happened."""
    now = time.monotonic()
    if now - _said.get(kind, -INTERVAL) >= INTERVAL:
        _said[kind] = now
        import logging  # noqa: PLC0415

        logging.getLogger("tenure").warning(f"tenure: {text}", *values, exc_info=trace)  # noqa: G004  # ours, no value


def tell(text: str, *values: object) -> None:
    """What is no trouble, and worth knowing."""
    import logging  # noqa: PLC0415

    logging.getLogger("tenure").info(f"tenure: {text}", *values)  # noqa: G004  # ours, no value


def note(text: str, *values: object) -> None:
    """For who debugs; nobody does where `logging` was never imported."""
    logging = sys.modules.get("logging")
    if logging is not None:
        logging.getLogger("tenure").debug(f"tenure: {text}", *values)
