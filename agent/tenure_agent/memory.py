"""What the C library holds of this process's memory beyond what is in use."""

from __future__ import annotations

import ctypes
import sys
from typing import Any

ARENA_MAX = -8  # M_ARENA_MAX in malloc.h


def share_one_heap() -> None:
    """One heap for all threads: an agent has many, and each with a heap of its own keeps what it freed to itself.

    To be called before there are threads. Where the C library is not glibc, nothing.
    """
    if (mallopt := _of_glibc("mallopt")) is not None:
        mallopt(ARENA_MAX, 1)


def give_back() -> None:
    """Memory that was freed goes back to the system: a check takes much for a moment, and glibc would keep it."""
    if (trim := _of_glibc("malloc_trim")) is not None:
        trim(0)


def _of_glibc(name: str) -> Any:
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
