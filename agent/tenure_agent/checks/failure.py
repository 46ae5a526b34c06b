"""What is said of a check that failed."""

from __future__ import annotations


def failed(error: Exception) -> str:
    """A library's own words may quote a value."""
    return f"the check failed: {type(error).__name__}, see the agent's log"
