"""How long a window is where nobody said it: the shortest that holds enough rows, in ten blocks."""

from __future__ import annotations

import datetime as dt

from tenure_agent.model_config import DriftConfig
from tenure_agent.past import WINDOW
from tenure_agent.records import MINUTE

TARGET_SHARE, MIN_SHARE, OF_REFERENCE = 5 / 3, 0.6, 5  # rows a window is to hold, and at least holds
SHORTEST_BLOCK, LONGEST_BLOCK = 6, 3 * 24 * 60  # minutes


def block_length(drift: DriftConfig, reference_rows: int, rows: int, span: int) -> int:
    """Microseconds of one block: a tenth of the window that is configured, or of the shortest that holds enough rows.

    Parameters
    ----------
    rows, span
        So many rows came in so many microseconds.
    """
    if drift.window is not None:
        length = -(-drift.window // dt.timedelta(microseconds=WINDOW))
        unit = MINUTE if length >= MINUTE else 1  # in whole buckets of summaries
        return int(-(-length // unit) * unit)
    wanted, _ = wanted_rows(drift.min_rows, reference_rows)
    minutes = -(-round(span * wanted / max(rows, 1)) // (MINUTE * WINDOW))
    return min(max(minutes, SHORTEST_BLOCK), LONGEST_BLOCK) * MINUTE


def wanted_rows(min_rows: int, reference: int) -> tuple[float, int]:
    """Rows a window is to hold, and must at least: a short reference can judge short windows only."""
    wanted = min(TARGET_SHARE * min_rows, reference / OF_REFERENCE)
    return wanted, min(min_rows, round(MIN_SHARE * wanted))
