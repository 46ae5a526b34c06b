"""Every error Tenure raises.

TenureError
├── SettingError       a setting, argument or config value that cannot be used
├── TransportError     the agent could not be reached, or did not answer in time
└── TransitionRefused  a lifecycle step that is not allowed (tenure.lifecycle)
"""

from __future__ import annotations


class TenureError(Exception):
    """Base of every error Tenure raises."""


class SettingError(TenureError):
    """A value that cannot be used: names the field, the value and a way out."""

    def __init__(self, field: str, value: object, remedy: str) -> None:
        super().__init__(f"{field}: {value!r} cannot be used. Try: {remedy}.")
        self.field = field
        self.value = value
        self.remedy = remedy


class TransportError(TenureError):
    """The agent could not be reached, or did not answer in time."""
