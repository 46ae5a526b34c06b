"""What a spool's files are made of: records with checksums, and the mark of how far they were sent."""

from __future__ import annotations

import json
import struct
import zlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from tenure.backlog import Parcel

HEAD = struct.Struct("<4sIIII")  # mark, length of the rows, length of the report, checksum of these and of the report
MARK = b"tnr1"


@dataclass(slots=True)
class Segment:
    """One file, and the rows in it that were not read yet."""

    path: Path
    end: int = 0
    rows: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Torn:
    """A record whose report is not what was written."""

    rows: Mapping[str, int]


@dataclass(slots=True)
class Mark:
    """Where the oldest unacked record is, the number acked before it, and the producer's losses so far."""

    segment: int = 0
    offset: int = 0
    acked: int = 0
    losses: dict[tuple[str, str], int] = field(default_factory=dict)

    def text(self) -> str:
        losses = [[*key, rows] for key, rows in self.losses.items()]
        return json.dumps({"segment": self.segment, "offset": self.offset, "acked": self.acked, "losses": losses})

    @classmethod
    def read(cls, path: Path) -> Mark:
        said = json.loads(path.read_text())
        losses = {(model, reason): rows for model, reason, rows in said["losses"]}
        return cls(int(said["segment"]), int(said["offset"]), int(said["acked"]), losses)


def record_of(parcel: Parcel) -> bytes:
    told = json.dumps(dict(parcel.rows)).encode()
    return HEAD.pack(MARK, len(told), len(parcel.body), zlib.crc32(told), zlib.crc32(parcel.body)) + told + parcel.body


def read_record(file: BinaryIO, *, skip: bool = False) -> tuple[dict[str, int], int, bool, bytes] | None:
    """Rows, length, whether it is whole, and the report (empty with `skip`); None where no record can be read."""
    head = file.read(HEAD.size)
    if len(head) < HEAD.size:
        return None
    mark, told_length, length, told_sum, body_sum = HEAD.unpack(head)
    told = file.read(told_length) if mark == MARK else b""
    if mark != MARK or len(told) < told_length or zlib.crc32(told) != told_sum:
        return None
    body = b"" if skip else file.read(length)
    rows = {str(model): int(count) for model, count in json.loads(told).items()}
    return rows, HEAD.size + told_length + length, zlib.crc32(body) == body_sum, body
