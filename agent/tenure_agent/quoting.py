"""Names and texts as SQL writes them: what comes from outside is data, whatever it holds."""

from __future__ import annotations


def quoted(name: str) -> str:
    """An identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text."""
    return "'" + text.replace("'", "''") + "'"
