"""The blocks of a wire message as arrays: every length checked, no text longer than a limit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tenure_proto.v1 import monitoring_pb2 as pb

Array = npt.NDArray[Any]

MAX_TEXT = 1 << 16  # of one value or id
MAX_ERROR = 128
MAX_CATEGORIES = 1 << 14  # of a dictionary that is longer than its rows
LATEST = 4102444800 * 1_000_000  # 2100: later times are a unit error


class Malformed(Exception):  # an answer to the producer, not a fault of ours
    """A message that contradicts itself or goes past a limit; its rows are rejected and counted with `reason`."""

    def __init__(self, detail: str, reason: str = "malformed") -> None:
        super().__init__(detail)
        self.reason = reason


def take_block(block: bytes, dtype: str, rows: int, name: str) -> Array:
    values = np.frombuffer(block, dtype) if len(block) % np.dtype(dtype).itemsize == 0 else np.empty(0)
    if len(values) != rows:
        raise Malformed(f"{name}: {len(block)} bytes for {rows} rows")
    return values


def take_times(block: bytes, rows: int) -> Array:
    times = take_block(block, "<i8", rows, "times")
    if times.min() < 0 or times.max() > LATEST:
        raise Malformed("times: outside 1970-2100")
    return times


def take_numbers(column: pb.Column, rows: int) -> Array:
    """NaN where missing."""
    values = take_block(column.numbers, "<f8", rows, "numbers")
    if column.validity:
        values = np.where(_validity(column, rows), values, np.nan)
    return values


def take_categories(column: pb.Column, rows: int) -> tuple[Array, int]:
    """Texts as objects, None where missing, and their length once each row has its own."""
    codes = take_block(column.codes, "<u4", rows, "codes")
    count = len(column.texts)
    if count > max(rows, MAX_CATEGORIES):
        raise Malformed(f"texts: {count} for {rows} rows", "too_many_categories")
    if not count or codes.max() >= count:
        raise Malformed("codes: outside the dictionary")
    dictionary, lengths = take_texts(column.texts)
    values = dictionary[codes]
    if column.validity:
        values[~_validity(column, rows)] = None
    return values, int(lengths[codes].sum())


def take_texts(texts: Sequence[str]) -> tuple[Array, Array]:
    """Texts as objects, and the length of each."""
    values = np.empty(len(texts), object)
    values[:] = list(texts)
    lengths = np.fromiter(map(len, values), np.int64, len(values))
    if lengths.max(initial=0) > MAX_TEXT:
        raise Malformed(f"a text of {lengths.max()}", "text_too_long")
    return values, lengths


def take_errors(errors: Iterable[pb.ErrorRow], rows: int) -> Array:
    """The error's type of each row, None where there was none."""
    values = np.full(rows, None, object)
    for error in errors:
        if error.row >= rows:
            raise Malformed(f"errors: row {error.row} of {rows}")
        values[error.row] = error.type[:MAX_ERROR]
    return values


def _validity(column: pb.Column, rows: int) -> Array:
    bits = np.unpackbits(np.frombuffer(column.validity, "u1"), bitorder="little")
    if len(bits) < rows:
        raise Malformed("validity: too short")
    return bits[:rows].astype(bool)
