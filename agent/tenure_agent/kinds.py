"""Columns that hold nothing to compare later values with: ids, counters, points in time, free text."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

ENOUGH = 1000  # values, before their order says anything
FEW = 50  # different texts that are never too many
SHARED = 5  # rows a text needs to be more than somebody's own
ID_NAME = re.compile(r"(^|[_\W])(id|uuid|guid|key|number|no|nr)$|[a-z](Id|ID|UUID|Key)$")
MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}.*)?")
EPOCH = (946_684_800.0, 4_102_444_800.0)  # 2000 to 2100 in seconds


def unfit_numbers(name: str, values: Array) -> str | None:
    """Why a column of numbers tells nothing; None where it does.

    Parameters
    ----------
    values
        float64 without NaN, in the order of time.
    """
    earlier, later = values[:-1], values[1:]
    whole = bool((np.floor(values) == values).all())
    if len(values) >= ENOUGH and whole and (later > earlier).all():
        return "rising whole numbers, none of them twice: an id or a counter"
    if len(values) >= ENOUGH and (later >= earlier).all() and _epoch(values):
        return "rising seconds since 1970: a point in time, which always moves on"
    if whole and len(values) > FEW and ID_NAME.search(name) and len(np.unique(values)) > len(values) / 2:
        return "whole numbers, most of them once, and its name: an id"
    return None


def unfit_texts(names: Array, counts: Array) -> str | None:
    """Why a column of texts tells nothing; None where it does.

    Parameters
    ----------
    names, counts
        The different texts, and how many rows each has.
    """
    if all(MOMENT.fullmatch(name) for name in names[:ENOUGH]):
        return "points in time, which always move on"
    rows = int(counts.sum())
    if len(names) > FEW and counts[counts < SHARED].sum() > rows / 2:
        return f"{len(names):,} different texts in {rows:,} rows: an id or free text"
    return None


def _epoch(values: Array) -> bool:
    """Whether rising numbers are seconds since 1970, or thousandths and so on of them."""
    if values[0] == values[-1]:
        return False
    return any(EPOCH[0] <= values[0] / unit and values[-1] / unit <= EPOCH[1] for unit in (1.0, 1e3, 1e6, 1e9))
