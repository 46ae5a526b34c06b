"""What is wrong with a configuration, told with the field, the value and a way out."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from tenure.errors import SettingError, TenureError


@dataclass(frozen=True, slots=True)
class Fault:
    """One of them. `told` is empty where the value is a whole section."""

    field: str
    told: str
    remedy: str

    def __str__(self) -> str:
        told = f"{self.told}. " if self.told else ""
        return f"{self.field}: {told}Try: {self.remedy}" if self.field else f"{told}Try: {self.remedy}"


class ConfigError(TenureError):
    """A configuration that cannot be used; one line per fault."""

    def __init__(self, source: str, faults: Sequence[Fault]) -> None:
        super().__init__("\n".join(f"{source}: {fault}" for fault in faults))
        self.faults = tuple(faults)


class Misfits(ValueError):
    """Fields that are each right by themselves and do not go together: what a validator raises."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(str(fault) for fault in faults))
        self.faults = tuple(faults)


def refused(error: SettingError) -> Fault:
    """The same, of a value whose own reader refused it."""
    return Fault(error.field, f"{error.value!r} cannot be used", error.remedy)


def faults_of(error: ValidationError, root: type[BaseModel]) -> list[Fault]:
    """Every fault that pydantic found in a document for `root`."""
    found: list[Fault] = []
    for one in error.errors():
        raised = one.get("ctx", {}).get("error")
        found += raised.faults if isinstance(raised, Misfits) else [_fault(one, root)]
    return found


def _fault(found: Any, root: type[BaseModel]) -> Fault:
    location, value = found["loc"], found["input"]
    path = ".".join(str(part) for part in location)
    if found["type"] == "extra_forbidden":
        known = _keys_at(root, location[:-1])
        near = difflib.get_close_matches(str(location[-1]), known, n=1)
        return Fault(path, "unknown key", near[0] if near else f"one of {', '.join(known)}")
    if found["type"] == "value_error":
        remedy = str(found["ctx"]["error"])
    else:
        remedy = str(found["msg"]).removeprefix("Input should be ")
    if isinstance(value, Mapping | BaseModel):
        return Fault(path, "", remedy)
    told = str(value) if isinstance(value, date) else f"{value!r:.200}"
    shown = "the value" if str(location[-1]).endswith("url") else told  # a URL may hold a password
    return Fault(path, f"{shown} cannot be used", remedy)


def _keys_at(section: type[BaseModel], location: Sequence[Any]) -> list[str]:
    """The keys of a section; in a mapping of sections any name leads to one."""
    parts = iter(location)
    for part in parts:
        annotation = section.model_fields[str(part)].annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            section = annotation
        else:
            section = get_args(annotation)[-1]
            next(parts)
    return list(section.model_fields)
