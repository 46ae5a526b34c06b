"""A reference file that came from outside: read within bounds, and tried before anything is held against it."""

from __future__ import annotations

import base64
import json
import math
import zlib
from collections.abc import Iterator, Mapping
from itertools import chain, pairwise
from typing import Any

import numpy as np

from tenure.errors import TenureError
from tenure_agent import covariance
from tenure_agent.bins import BOOLEAN, CATEGORICAL, NUMERIC, ColumnBins
from tenure_agent.checks.drift import Settings
from tenure_agent.losses import LossProfile
from tenure_agent.model_config import MOST_SEGMENTS
from tenure_agent.past import WINDOW
from tenure_agent.records import FEATURE, HOUR, OUTPUT, Level
from tenure_agent.reference import Reference, ReferenceUnreadable
from tenure_agent.segments import MOST_VALUES
from tenure_agent.summary import MAGNITUDES
from tenure_agent.track import Track

MOST_TEXT = 24 << 20  # bytes of a file once it is decompressed: DuckDB holds a few of them at a time
MOST_NUMBERS = 1 << 21  # in it: each takes many times its bytes when it is read
MOST_COLUMNS, MOST_NAME = 2000, 256
MOST_PARTS = MOST_SEGMENTS * (MOST_VALUES + 1)
MOST_INTEGERS = 1 << 23  # of the summaries of the whole and its segments
MOST_BINS = 1 << 20  # of one summary: several of the whole are at hand at a time
MOST_INFLATED = 256 << 20  # bytes of all that is compressed inside
MOST_TIME = 1 << 62
PIECE = 1 << 20
SUMMARY_HEAD = 10
_COVARIANCE = ("matrix", *covariance.ARRAYS)

TOO_LARGE, MALFORMED, OTHER_MODEL = "too_large", "malformed", "other_model"
NONE_OF_OURS = "it is no reference that this agent can read. Try: tenure-agent reference build"


class Unfit(TenureError):
    """A file that no version is held against; `reason` is what it is counted with. The message quotes nothing of it."""

    def __init__(self, reason: str, why: str) -> None:
        super().__init__(why)
        self.reason = reason


def inspected(content: bytes, model: str) -> tuple[Reference, str]:
    """What a file holds, and its text.

    Raises
    ------
    Unfit
        It is too large, is no reference or another model's, or the drift check cannot work with it.
    """
    text = _inflated(content)
    try:
        _bound(json.loads(text))
        found = Reference.loads(text, "the file")
        _check(found)
    except Unfit:
        raise
    except ReferenceUnreadable as error:
        raise Unfit(MALFORMED, NONE_OF_OURS if error.__cause__ else str(error)) from None
    except (Exception, RecursionError, MemoryError):  # noqa: BLE001  # nobody can foresee what is wrong with it
        raise Unfit(MALFORMED, NONE_OF_OURS) from None
    if found.model != model:
        raise Unfit(
            OTHER_MODEL, f"it is of another model. Try: tenure-agent reference build --model {model[:MOST_NAME]}"
        )
    return found, text


def _inflated(content: bytes) -> str:
    machine = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        text = machine.decompress(content, MOST_TEXT + 1)
    except zlib.error:
        raise Unfit(MALFORMED, NONE_OF_OURS) from None
    if len(text) > MOST_TEXT:
        raise Unfit(TOO_LARGE, f"it holds over {MOST_TEXT >> 20} MiB. Try: fewer columns or segments")
    if not machine.eof or machine.unused_data:
        raise Unfit(MALFORMED, NONE_OF_OURS)
    if text.count(b",") + text.count(b"[") + text.count(b":") > MOST_NUMBERS:
        raise Unfit(TOO_LARGE, f"it holds over {MOST_NUMBERS:,} numbers. Try: fewer columns")
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise Unfit(MALFORMED, NONE_OF_OURS) from None


def _bound(document: Any) -> None:
    """Nothing has been made of it yet: whatever it is, what comes next takes no more memory than this allows."""
    columns, segments = document["columns"], document.get("segments", [])
    if len(columns) > MOST_COLUMNS or len(segments) > MOST_PARTS:
        raise Unfit(TOO_LARGE, f"it holds over {MOST_COLUMNS:,} columns or {MOST_PARTS} segments. Try: fewer")
    bins = sum(len(column["edges"]) + len(column["categories"]) + 1 for column in columns)
    each = bins + len(columns) * MAGNITUDES
    if each > MOST_BINS or each * (len(segments) + 1) > MOST_INTEGERS:
        raise Unfit(TOO_LARGE, "its columns and segments together take too much memory. Try: fewer")
    if "covariance" in document and len(document["covariance"]["columns"]) > covariance.MOST_COLUMNS:
        raise ValueError("more columns go together than are looked at")
    left = MOST_INFLATED
    for packed, wbits in _packed(document):
        left -= _size(packed, wbits, left)


def _size(packed: bytes, wbits: int, most: int) -> int:
    """Bytes it holds once it is decompressed, piece by piece."""
    machine, size = zlib.decompressobj(wbits), 0
    while packed and not machine.eof:
        size += len(machine.decompress(packed, PIECE))
        packed = machine.unconsumed_tail
        if size > most:
            told = f"it holds over {MOST_INFLATED >> 20} MiB of counts. Try: fewer columns or segments"
            raise Unfit(TOO_LARGE, told)
    return size


def _packed(document: Mapping[str, Any]) -> Iterator[tuple[bytes, int]]:
    for part in (document, *document.get("segments", ())):
        yield base64.b85decode(part["summary"])[SUMMARY_HEAD:], -zlib.MAX_WBITS
        yield base64.b85decode(part["block_counts"]), zlib.MAX_WBITS
    for name in _COVARIANCE if "covariance" in document else ():
        yield base64.b85decode(document["covariance"][name]), zlib.MAX_WBITS


def _check(found: Reference) -> None:
    """
    Raises
    ------
    ValueError
        It cannot be worked with; anything else may be raised, too.
    """
    texts = (found.model, found.version, found.source, *found.notices)
    keys = [column.key for column in found.columns]
    names = [segment.name for segment in found.segments]
    if not keys or len(set(keys)) < len(keys) or len(set(names)) < len(names) or not all(map(_is_text, texts)):
        raise ValueError("names")
    if not all(map(_is_sound, found.columns)) or not found.rows:
        raise ValueError("columns")
    if not all(map(_is_measured, found.losses)):
        raise ValueError("losses")
    if (
        not all(isinstance(time, int) for time in found.span)
        or not -MOST_TIME < found.span[0] <= found.span[1] < MOST_TIME
    ):
        raise ValueError("times")
    together = found.covariance
    if together is not None and not all(np.isfinite(getattr(together, name)).all() for name in _COVARIANCE):
        raise ValueError("covariance")
    for part in chain([found], map(found.of, found.segments)):
        if (
            min(
                part.summary.counts.min(),
                part.summary.rows.min(),
                part.summary.missing.min(),
                part.blocks.min(initial=0),
            )
            < 0
        ):
            raise ValueError("counts")
        track = Track(part, HOUR)
        track.add(0, part.summary)
        if any(verdict.level is Level.ERROR for verdict, _ in track.judge(WINDOW * HOUR, Settings(1, 1.0))):
            raise ValueError("it cannot be held against itself")


def _is_measured(loss: LossProfile) -> bool:
    numbers, counts = (loss.mean, loss.variance, loss.scale), (loss.batch, loss.freedom, loss.rows)
    counted = all(isinstance(count, int) and count >= 0 for count in counts) and loss.rows > 0
    return _is_text(loss.channel) and counted and loss.scale > 0 and all(map(math.isfinite, numbers))


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_sound(column: ColumnBins) -> bool:
    edges, names = column.edges, column.categories
    named = _is_text(column.name) and 0 < len(column.name) <= MOST_NAME and column.part in {FEATURE, OUTPUT}
    if column.kind == CATEGORICAL:
        return named and not edges and all(map(_is_text, names)) and len(set(names)) == len(names)
    rising = all(low < high for low, high in pairwise(edges))
    finite = all(map(math.isfinite, (column.centre, *edges)))
    return named and column.kind in {NUMERIC, BOOLEAN} and not names and bool(edges) and rising and finite
