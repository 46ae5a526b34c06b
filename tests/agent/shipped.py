"""A reference as it ships with a model."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from tests.agent.live import columns

from tenure_agent.builder import Rows, build_reference
from tenure_agent.reference import Reference


def built(rows: int = 2000, model: str = "fraud", told: str = "a file") -> Reference:
    values = {("feature", name): array for name, array in columns(rows).items()}
    return build_reference(model, "3", Rows(values), told=told)


def hashed(file: Path) -> str:
    return sha256(file.read_bytes()).hexdigest()
