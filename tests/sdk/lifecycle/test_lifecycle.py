"""What the package shows, and that its examples are true."""

import doctest
import importlib

import pytest

from tenure import lifecycle

MODULES = ["gates", "judgement", "lineage", "stages"]


def test_public_names_are_sorted_and_there() -> None:
    assert lifecycle.__all__ == sorted(lifecycle.__all__)
    assert [name for name in lifecycle.__all__ if not hasattr(lifecycle, name)] == []


@pytest.mark.parametrize("module", MODULES)
def test_examples(module: str) -> None:
    result = doctest.testmod(importlib.import_module(f"tenure.lifecycle.{module}"))

    assert result.attempted > 0
    assert result.failed == 0
