"""What may leave the process: which rows, which columns, and in what form. Applied by the sender, before encoding."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tenure.errors import SettingError

if TYPE_CHECKING:
    from tenure.settings import Settings

HASH, DROP, BUCKET = "hash", "drop", "bucket"
RULES = (HASH, DROP, BUCKET)
TEXT_BUCKETS = 64
SAMPLED_OUT = "sampled_out"
_own_key = os.urandom(32)  # where none is given: hashes agree within this process and its forks only


@dataclass(frozen=True, slots=True, eq=False)
class Screen:
    """What of a model's rows is sent. A name stands for everything nested in it too: `user` for `user.email`.

    Parameters
    ----------
    sample
        Share of the ids that is kept. The id alone decides, so that outcomes, shadows and other processes agree.
    include, exclude
        Features that are sent (None: all), and features and named outputs that are not.
    redact
        Name → hash, drop or bucket.
    key
        Of the keyed hash.
    max_columns, max_text
        Columns per batch and characters per text; what is beyond them is left out.
    """

    sample: float = 1.0
    include: frozenset[str] | None = None
    exclude: frozenset[str] = frozenset()
    redact: Mapping[str, str] = field(default_factory=dict)
    key: bytes = field(default=b"", repr=False)
    max_columns: int = 1000
    max_text: int = 4096

    def __post_init__(self) -> None:
        if isinstance(self.sample, bool) or not 0 <= self.sample <= 1:
            raise SettingError("sample", self.sample, "a share between 0 and 1")
        for name, rule in self.redact.items():
            if rule not in RULES:
                raise SettingError(f"redact[{name!r}]", rule, f"one of {', '.join(RULES)}")

    @classmethod
    def of(
        cls,
        settings: Settings,
        sample: float = 1.0,
        include: Iterable[str] | None = None,
        exclude: Iterable[str] = (),
        redact: Mapping[str, str] | None = None,
    ) -> Screen:
        """A monitor's screen; the key is the settings', the environment's, or this process's own."""
        for name, given in (("include", include), ("exclude", exclude)):
            if isinstance(given, str):
                raise SettingError(name, given, f"a list of names: [{given!r}]")
        key = settings.redact_key or os.environ.get("TENURE_REDACT_KEY", "")
        return cls(
            sample,
            None if include is None else frozenset(include),
            frozenset(exclude),
            dict(redact or {}),
            _blake2b(key, 64)[:32] if key else _own_key,
            settings.max_columns,
            settings.max_text,
        )

    def keeps(self, id: str) -> bool:
        """Whether the prediction of that id, and its outcome, are in the sample."""
        if self.sample >= 1:
            return True
        return int.from_bytes(_blake2b(id), "big") < self.sample * 2**64

    def shows(self, name: str) -> bool:
        """Whether a feature of that name is sent at all."""
        if self.include is None and not self.exclude and not self.redact:
            return True
        known = _with_ancestors(name)
        return (self.include is None or not self.include.isdisjoint(known)) and not self.hides(name)

    def hides(self, name: str) -> bool:
        """Whether a named output is left out."""
        return not self.exclude.isdisjoint(_with_ancestors(name)) or self.rule(name) == DROP

    def rule(self, name: str) -> str | None:
        """How values of that name are redacted; the nearest ancestor's rule counts."""
        if not self.redact:
            return None
        return next((self.redact[known] for known in _with_ancestors(name) if known in self.redact), None)

    def hashed(self, text: str) -> str:
        """A keyed hash: the same text gives the same 16 hexadecimal digits wherever the key is the same."""
        return self._digest(text).hex()

    def bucket_of_text(self, text: str) -> str:
        return f"bucket-{self._digest(text)[0] % TEXT_BUCKETS:02}"

    def _digest(self, text: str) -> bytes:
        return _blake2b(text, key=self.key)

    def check_id(self, name: object) -> None:
        """Refuse an id that would leave the process as it is although its name is to be redacted."""
        if isinstance(name, str) and self.rule(name) is not None:
            raise SettingError("id", name, "an id that is not redacted: ids leave the process as they are")


def _blake2b(text: str, size: int = 8, key: bytes = b"") -> bytes:
    from hashlib import blake2b  # noqa: PLC0415  # in the sender's time: it is a tenth of the host's import

    return blake2b(text.encode("utf-8", "replace"), digest_size=size, key=key).digest()


def bucket_of_number(number: float) -> float:
    """One significant digit; NaN, infinities and 0 stand for themselves."""
    return float(f"{number:.0e}")


def _with_ancestors(name: str) -> list[str]:
    known = [name]
    while "." in name:
        name = name.rpartition(".")[0]
        known.append(name)
    return known
