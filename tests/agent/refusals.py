"""What a configuration is refused for."""

from __future__ import annotations

from typing import Any

import pytest

from tenure_agent.config import parse_config
from tenure_agent.faults import ConfigError


def faults(document: Any) -> list[str]:
    """Every fault of a document."""
    with pytest.raises(ConfigError) as refused:
        parse_config(document, "tenure.yaml")
    return [str(fault) for fault in refused.value.faults]


def only(document: Any) -> str:
    """The only fault of a document."""
    [fault] = faults(document)
    return fault
