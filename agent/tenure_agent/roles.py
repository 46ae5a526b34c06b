"""What the columns of a file of rows are there for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tenure.errors import SettingError

BOOKKEEPING = ("id", "version", "role", "split", "label_time")  # of a labelled history: no features, unless declared
OUTPUTS = ("prediction", "score")


@dataclass(frozen=True)
class Roles:
    """What a file's columns are there for.

    Parameters
    ----------
    time, label, prediction, score
        Names of columns; None: the column of that very name, if there is one.
    declared
        Column name → numeric, categorical, boolean or ignore.
    """

    time: str | None = None
    label: str | None = None
    prediction: str | None = None
    score: str | None = None
    declared: Mapping[str, str] = field(default_factory=dict)

    def resolve(self, names: Sequence[str]) -> tuple[dict[str, str], list[str]]:
        """Role → column, and the columns that are features.

        Raises
        ------
        SettingError
            A name that no column has.
        """
        known = set(names)
        found = {}
        for role in ("time", "label", *OUTPUTS):
            given: str | None = getattr(self, role)
            if given is not None and given not in known:
                raise SettingError(f"--{role}", given, _one_of(names))
            if (given or role) in known and self.declared.get(given or role) != "ignore":
                found[role] = given or role
        for name in self.declared:
            if name not in known:
                raise SettingError("--column", name, _one_of(names))
        held = set(found.values()) | {name for name, kind in self.declared.items() if kind == "ignore"}
        held |= set(BOOKKEEPING) - set(self.declared)
        return found, [name for name in names if name not in held]


def _one_of(names: Sequence[str]) -> str:
    return f"one of {', '.join(names[:20])}{', …' if len(names) > 20 else ''}"
