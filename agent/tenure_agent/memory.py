"""Memory that was freed goes back to the system: a check takes much for a moment, and the C library would keep it."""

from __future__ import annotations

import ctypes
import sys


def give_back() -> None:
    """Where the C library is not glibc, nothing: others give it back by themselves, or never."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
