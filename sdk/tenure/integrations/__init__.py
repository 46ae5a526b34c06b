"""Adapters to other libraries, one file each; each imports its library only when it is used."""

from __future__ import annotations

import importlib
from typing import Any


def needed(name: str) -> Any:
    """The module `name`.

    Raises
    ------
    ModuleNotFoundError
        It is not installed; the message holds the line that installs it.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise ModuleNotFoundError(f"{name} is not installed. Try: pip install {name}", name=name) from None
