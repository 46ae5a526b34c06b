"""Rows to columns: the batch that goes over the wire.

A numeric column is one little-endian float64 block, a text column a dictionary and codes. Nothing here imports numpy
or pandas; arrays and frames are used through their own methods when the host hands them in.
"""

from __future__ import annotations

import datetime as dt
import enum
import sys
import uuid
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from tenure.capture import EPOCH, LATEST, MOST_NAME, micros_of, wire_text
from tenure.errors import SettingError
from tenure_proto.v1 import monitoring_pb2 as pb

_LITTLE = sys.byteorder == "little"
_MISSING_TYPES = frozenset({"NaTType", "NAType", "NoneType", "MaskedConstant"})
_NO_NUMBERS = frozenset({"bytes", "bytearray", "memoryview", "datetime64", "timedelta64", "MaskedConstant"})
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
    dtype = getattr(values, "dtype", None) or getattr(values, "type", None)
    if dtype is not None:
        fast = _encode_array(name, values, str(dtype))
        if fast is not None:
            return [fast]
        listed = getattr(values, "tolist", None) or getattr(values, "to_pylist", None)
        values = list(values) if listed is None else listed()
    if not values:
        return []
    first = type(values[0])
    if first is not str:
        if not _NO_NUMBERS.isdisjoint({type(value).__name__ for value in values}):
            return _encode_mixed(name, values, skipped)  # numpy would give them as numbers of a unit unknown
        try:
            block = packed("d", values)
        except Exception:  # noqa: BLE001  # a host's object may raise anything when it is read
            return _encode_mixed(name, values, skipped)
        kind = pb.BOOLEAN if first is bool and set(map(type, values)) == {bool} else pb.NUMBER
        return [pb.Column(name=wire_name(name), kind=kind, numbers=block)]
    if set(map(type, values)) == {str}:
        return [text_column(name, values)]
    return _encode_mixed(name, values, skipped)


def wire_name(name: str) -> str:
    """A name as the agent takes it: not empty, at most 256 characters."""
    return wire_text(name)[:MOST_NAME] or "_"


def micros(values: Sequence[Any], now: int) -> list[int]:
    """Event times of a table as microseconds since 1970 UTC; `now` where a row has none that can be used."""
    if str(getattr(values, "dtype", "")).lower().startswith("datetime"):
        return [int(moment) if 0 <= moment <= LATEST else now for moment in _moments(values)]
    found = []
    for value in values:
        try:
            found.append(now if is_missing(value) else micros_of(value))
        except (SettingError, TypeError, ValueError):
            found.append(now)
    return found


def _moments(values: Any) -> Any:
    """A datetime array, Series or column as an int64 array of microseconds since 1970 UTC."""
    if hasattr(values, "tz_localize"):  # pandas keeps a zone, which only it can take off
        array_ = values.to_numpy(dtype="datetime64[us]")
    else:
        array_ = values.to_numpy() if hasattr(values, "to_numpy") else values
    if hasattr(array_, "filled"):
        array_ = array_.filled(array_.dtype.type("NaT"))
    return array_.astype("datetime64[us]").astype("int64")


def _encode_array(name: str, values: Any, dtype: str) -> pb.Column | None:
    """A typed array in one copy, or None where its type is not numeric."""
    lowered = dtype.lower()
    if lowered.startswith(("datetime", "timestamp")) and "pyarrow" not in lowered:
        moments = _moments(values)
        numbers = moments.astype("<f8")
        numbers[moments == _NAT] = NAN
        return pb.Column(name=wire_name(name), kind=pb.DATETIME, numbers=numbers.tobytes())
    if lowered.startswith("timedelta64") and not hasattr(values, "to_numpy"):
        seconds = values / values.dtype.type(1, "s")
        return pb.Column(name=wire_name(name), kind=pb.NUMBER, numbers=_filled(seconds).astype("<f8").tobytes())
    if not lowered.startswith(("float", "double", "int", "uint", "bool")):
        return None
    kind = pb.BOOLEAN if lowered.startswith("bool") else pb.NUMBER
    if hasattr(values, "to_numpy"):
        if dtype[0].isupper() and hasattr(values, "isna"):  # pandas' nullable types
            block = values.to_numpy(dtype="float64", na_value=NAN)
        else:
            block = values.to_numpy()
    else:
        block = values
    if str(block.dtype) == "object":
        return None
    return pb.Column(name=wire_name(name), kind=kind, numbers=_filled(block.astype("<f8")).tobytes())


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


def is_missing(value: Any) -> bool:
    """True for None, NaN, NaT and NA."""
    return value is None or type(value).__name__ in _MISSING_TYPES or bool(value != value)  # noqa: PLR0124


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


def _sort_value(value: Any) -> tuple[float, str | None, pb.Kind | None]:  # noqa: C901  # one line per type
    if value is None or type(value).__name__ in _MISSING_TYPES:
        return NAN, None, None
    if isinstance(value, str):
        return NAN, value, pb.TEXT
    if isinstance(value, bool):
        return float(value), None, pb.BOOLEAN
    if type(value).__name__ in {"datetime64", "timedelta64"}:
        return _sort_numpy_time(value)
    if isinstance(value, bytes | bytearray | memoryview) or getattr(value, "ndim", None):
        raise Unsortable
    if isinstance(value, dt.date):
        return float(_micros(value)), None, pb.DATETIME
    if isinstance(value, dt.timedelta):
        return value.total_seconds(), None, pb.NUMBER
    if isinstance(value, enum.Enum):
        return _sort_value(value.value)
    if isinstance(value, uuid.UUID | dt.time):
        return NAN, str(value), pb.TEXT
    try:
        number = float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf"), None, pb.NUMBER
    except (TypeError, ValueError):
        raise Unsortable from None
    return number, None, None if is_missing(number) else pb.NUMBER  # pandas writes a missing text as NaN


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
    bits = [*valid]
    block = bytearray((len(bits) + 7) // 8)
    for i, bit in enumerate(bits):
        if bit:
            block[i >> 3] |= 1 << (i & 7)
    return bytes(block)
