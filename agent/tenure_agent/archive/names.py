"""Names of archived files: `predictions/model=fraud/day=2026-01-31/<store>-<first>-<last>.parquet`.

A name follows from what is in the file, so a file that is written again replaces itself.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from dataclasses import dataclass
from urllib.parse import quote

from tenure_agent.store.archive import File, Part, Range

EPOCH = dt.date(1970, 1, 1)
LONGEST = 200  # characters of a folder's name; file systems take 255 bytes
FORM = re.compile(r"/day=(\d{4}-\d\d-\d\d)/([0-9a-f]{12})-(\d{12,})-(\d{12,})\.parquet$")


@dataclass(frozen=True, slots=True)
class Archived:
    """What the name of an archived file says: whose it is, its day since 1970, and its range of ingest numbers."""

    name: str
    store: str
    day: int
    first: int
    last: int


def folder(part: Part, model: str) -> str:
    """A model's files of one part. Its name is data: percent-quoted, and told by its hash where it is very long."""
    shown = quote(model, safe="")
    if len(shown) > LONGEST:
        shown = f"{shown[:LONGEST].rpartition('%')[0]}~{hashlib.sha256(model.encode()).hexdigest()[:16]}"
    return f"{part}/model={shown}"


def name(store: str, range_: Range, file: File) -> str:
    day = EPOCH + dt.timedelta(days=file.day)
    return f"{folder(file.part, range_.model)}/day={day}/{store}-{range_.first:012d}-{range_.last:012d}.parquet"


def read(name: str) -> Archived | None:
    """What a name says; None where it is not one of ours."""
    found = FORM.search(name)
    if found is None:
        return None
    day = (dt.date.fromisoformat(found[1]) - EPOCH).days
    return Archived(name, found[2], day, int(found[3]), int(found[4]))
