"""Rows to columns: the batch that goes over the wire.

A numeric column is one little-endian float64 block, a text column a dictionary and codes. Nothing here imports numpy
or pandas; arrays and frames are used through their own methods when the host hands them in.
"""

from __future__ import annotations

import datetime as dt
import sys
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from tenure.capture import EPOCH, LATEST, MISSING_TYPES, UNSUPPORTED, is_missing, micros_of, wire_text
from tenure.cells import plain, values_of, wire_name
from tenure_proto.v1 import monitoring_pb2 as pb

_LITTLE = sys.byteorder == "little"
_TEXTS, _BOOLEANS = frozenset({str, type(None)}), frozenset({bool, type(None)})
_NUMBERS, _GAPPY_TEXTS = frozenset({float, int, type(None)}), frozenset({str, float})
_NAT = -(2**63)
NAN = float("nan")


class Unsortable(Exception):
    """A value that is neither number nor text."""


def unpacked(typecode: str, block: bytes) -> array[Any]:
    """The values `packed` packed."""
    values = array(typecode)
    values.frombytes(block)
    if not _LITTLE:
        values.byteswap()
    return values


def packed(typecode: str, values: Iterable[Any]) -> bytes:
    """Values as a little-endian block of `typecode` (d, f, q, Q, I)."""
    block = array(typecode, values)
    if not _LITTLE:
        block.byteswap()
    return block.tobytes()


def encode_columns(name: str, values: Sequence[Any], skipped: Counter[str] | None = None) -> list[pb.Column]:
    """One column as it is sent; two of the same name where numbers and texts are mixed.

    Parameters
    ----------
    name
        The feature's name; any text.
    values
        A list, tuple, numpy array, pandas or polars Series: one value per row. None, NaN, NaT, NA and null are
        missing. An Arrow column will do too.
    skipped
        Takes the number of values that can be no feature (lists, arbitrary objects), by name: they are missing.
    """
    dtype = str(getattr(values, "dtype", None) or getattr(values, "type", None) or "").lower()
    if dtype:
        column = _encode_array(name, values, dtype)
        if column is not None:
            return [column]
        values = values_of(values)
        if dtype.startswith(("category", "dictionary")):  # categories are text, whatever they are called
            values = [as_text(value) for value in values]
    if not values:
        return []
    if type(values[0]) is float:  # most columns are: no look at each, what is no number raises
        with suppress(Exception):
            return [pb.Column(name=wire_name(name), kind=pb.NUMBER, numbers=packed("d", values))]
    kinds = set(map(type, values))
    if _GAPPY_TEXTS <= kinds <= _GAPPY_TEXTS | _TEXTS:  # as pandas writes a missing text
        values = [None if value != value else value for value in values]  # noqa: PLR0124
        kinds = set(map(type, values))
    if kinds <= _TEXTS and str in kinds:
        return [text_column(name, values)]
    booleans = kinds <= _BOOLEANS and bool in kinds
    if booleans or _are_numbers(kinds):
        numbers = [NAN if value is None else value for value in values] if type(None) in kinds else values
        with suppress(OverflowError):
            return [
                pb.Column(
                    name=wire_name(name), kind=pb.BOOLEAN if booleans else pb.NUMBER, numbers=packed("d", numbers)
                )
            ]
    return _encode_mixed(name, values, skipped)


def _are_numbers(kinds: set[type]) -> bool:
    """Whether values of these types can be packed without a look at each."""
    return all(
        kind in _NUMBERS or (kind.__module__ == "numpy" and kind.__name__.startswith(("float", "int", "uint")))
        for kind in kinds
    )


def micros(values: Sequence[Any], now: int) -> list[int]:
    """Event times of a table as microseconds since 1970 UTC; `now` where a row has none that can be used."""
    dtype = str(getattr(values, "dtype", None) or getattr(values, "type", None) or "").lower()
    if dtype.startswith(("datetime", "timestamp")) and "pyarrow" not in dtype:
        return [int(moment) if 0 <= moment <= LATEST else now for moment in _moments(values)]
    found = []
    for value in values.to_pylist() if hasattr(values, "to_pylist") else values:
        try:
            found.append(now if is_missing(value) else micros_of(value))
        except Exception:  # noqa: BLE001  # a host's object may raise anything when it is read
            found.append(now)
    return found


def _moments(values: Any) -> Any:
    """A datetime array, Series or column as an int64 array of microseconds since 1970 UTC."""
    pandas = hasattr(values, "tz_localize")  # it keeps a zone, which only it can take off
    block = values.to_numpy(dtype="datetime64[us]") if pandas else _block(values)
    if hasattr(block, "filled"):
        block = block.filled(block.dtype.type("NaT"))
    return block.astype("datetime64[us]").astype("int64")


def _encode_array(name: str, values: Any, dtype: str) -> pb.Column | None:
    """A typed array in one copy, or None where its type is not numeric."""
    try:
        return _encode_block(name, values, dtype)
    except Exception:  # noqa: BLE001  # a library's array may raise anything; then it is read value by value
        return None


def _encode_block(name: str, values: Any, dtype: str) -> pb.Column | None:
    if dtype.startswith(("datetime", "timestamp")) and "pyarrow" not in dtype:
        moments = _moments(values)
        numbers = moments.astype("<f8")
        numbers[moments == _NAT] = NAN
        return pb.Column(name=wire_name(name), kind=pb.DATETIME, numbers=numbers.tobytes())
    if dtype.startswith("timedelta64") and not hasattr(values, "to_numpy"):
        seconds = values / values.dtype.type(1, "s")
        return pb.Column(name=wire_name(name), kind=pb.NUMBER, numbers=_filled(seconds).astype("<f8").tobytes())
    if not dtype.startswith(("float", "double", "halffloat", "int", "uint", "bool")):
        return None
    kind = pb.BOOLEAN if dtype.startswith("bool") else pb.NUMBER
    nullable = hasattr(values, "isna") and str(values.dtype)[0].isupper()
    block = values.to_numpy(dtype="float64", na_value=NAN) if nullable else _block(values)  # of pandas' nullable types
    if str(block.dtype) == "object":
        return None
    return pb.Column(name=wire_name(name), kind=kind, numbers=_filled(block.astype("<f8")).tobytes())


def _block(values: Any) -> Any:
    """A column of any library as a numpy array."""
    if not hasattr(values, "to_numpy"):
        return values
    one = hasattr(values, "to_pylist") and not hasattr(values, "chunks")  # an Arrow array, which else refuses to copy
    return values.to_numpy(zero_copy_only=False) if one else values.to_numpy()


def _filled(block: Any) -> Any:
    """What a masked array hides is missing."""
    return block.filled(NAN) if hasattr(block, "filled") else block


def _encode_mixed(name: str, values: Sequence[Any], skipped: Counter[str] | None) -> list[pb.Column]:
    """Value by value: numbers go to one column, texts to another, what is missing to neither."""
    numbers: list[float] = []
    texts: list[str | None] = []
    kinds: set[pb.Kind] = set()
    for value in values:
        try:
            number, text, kind = _sort_value(value)
        except Exception:  # noqa: BLE001  # one cell that cannot be read must not cost its whole table
            number, text, kind = NAN, None, None
            if skipped is not None:
                skipped[name] += 1
        numbers.append(number)
        texts.append(text)
        if kind is not None:
            kinds.add(kind)
    encoded = []
    numeric = kinds - {pb.TEXT}
    if numeric or not kinds:
        kind = numeric.pop() if len(numeric) == 1 else pb.NUMBER
        encoded.append(pb.Column(name=wire_name(name), kind=kind, numbers=packed("d", numbers)))
    if pb.TEXT in kinds:
        encoded.append(text_column(name, texts))
    return encoded


def _micros(value: dt.date) -> int:
    """Microseconds since 1970 UTC of a feature, which unlike an event may lie before it: a date of birth."""
    if not isinstance(value, dt.datetime):
        return (value - EPOCH.date()).days * 86_400_000_000
    moment = value if value.tzinfo is not None else value.replace(tzinfo=dt.UTC)
    return (moment - EPOCH) // dt.timedelta(microseconds=1)


def _sort_numpy_time(value: Any) -> tuple[float, str | None, pb.Kind | None]:
    if value != value:  # noqa: PLR0124  # NaT
        return NAN, None, None
    if type(value).__name__ == "datetime64":
        return float(value.astype("datetime64[us]").astype("int64")), None, pb.DATETIME
    return float(value.astype("timedelta64[us]").astype("int64")) / 1e6, None, pb.NUMBER


def _sort_value(given: Any) -> tuple[float, str | None, pb.Kind | None]:
    value = plain(given)
    if value is UNSUPPORTED:
        raise Unsortable
    if value is None or type(value).__name__ in MISSING_TYPES:
        return NAN, None, None
    if isinstance(value, str):
        return NAN, value, pb.TEXT
    if isinstance(value, bool):
        return float(value), None, pb.BOOLEAN
    if type(value).__name__ in {"datetime64", "timedelta64"}:
        return _sort_numpy_time(value)
    if isinstance(value, dt.date):
        return float(_micros(value)), None, pb.DATETIME
    if isinstance(value, dt.timedelta):
        return value.total_seconds(), None, pb.NUMBER
    if not isinstance(value, int | float):  # an UUID, a time of day
        return NAN, str(value), pb.TEXT
    try:
        number = float(value)
    except OverflowError:
        number = float("inf") if value > 0 else float("-inf")
    return number, None, None if is_missing(number) else pb.NUMBER  # pandas writes a missing text as NaN


def as_text(value: Any) -> str | None:
    """A category or label as text, a whole number without its point; None where it is missing or nothing of the kind."""
    try:
        number, text, kind = _sort_value(value)
    except Exception:  # noqa: BLE001
        return None
    if kind in {None, pb.TEXT}:
        return text
    return written(number) if kind == pb.NUMBER else str(value)


def present(column: pb.Column) -> int:
    """Rows that have a value in it."""
    if column.kind != pb.TEXT:
        return sum(number == number for number in unpacked("d", column.numbers))  # noqa: PLR0124
    return sum(map(int.bit_count, column.validity)) if column.validity else len(column.codes) // 4


def written(number: float) -> str:
    return str(int(number)) if number.is_integer() else repr(number)


def text_column(name: str, values: Sequence[str | None]) -> pb.Column:
    index: dict[str | None, int] = {}
    codes = [index.setdefault(value, len(index)) for value in values]
    column = pb.Column(name=wire_name(name), kind=pb.TEXT)
    if None in index:
        column.validity = _bitmap(value is not None for value in values)
    column.texts.extend("" if text is None else wire_text(text) for text in index)
    column.codes = packed("I", codes)
    return column


def _bitmap(valid: Iterable[bool]) -> bytes:
    bits = ["01"[bit] for bit in valid]
    return int("".join(reversed(bits)), 2).to_bytes((len(bits) + 7) // 8, "little")
