"""Files of rows as DuckDB reads them: CSV and Parquet by itself, Arrow through pyarrow where that is installed."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb

from tenure.errors import TenureError
from tenure_agent.quoting import literal, quoted

PARQUET = {".parquet", ".pq"}
ARROW = {".arrow", ".feather", ".ipc"}
NUMBER = re.compile(r"U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?$|FLOAT$|DOUBLE$|DECIMAL\(|BOOLEAN$")
TEXT = re.compile(r"VARCHAR$|ENUM\(|UUID$")
MOMENT = re.compile(r"DATE$|TIMESTAMP")
WAY_OUT = "a CSV with a header, Parquet, or Arrow (needs pyarrow)"


class DatasetUnreadable(TenureError):
    """A file of rows that cannot be used."""


def relation(connection: duckdb.DuckDBPyConnection, path: Path, missing: Sequence[str] = ()) -> str:
    """What to select a file's rows from, in SQL.

    Parameters
    ----------
    connection
        Where the rows of an Arrow file come to stand as `arrow_rows`, to be gone through once.
    missing
        Texts of a CSV that stand for no value, beside nothing at all.

    Raises
    ------
    DatasetUnreadable
        An Arrow file, and pyarrow is absent or cannot read it.
    """
    suffix = path.suffix.lower()
    if suffix in ARROW:
        connection.register("arrow_rows", _arrow(path))
        return "arrow_rows"
    if suffix in PARQUET:
        return f"read_parquet({literal(str(path))})"
    holes = ", ".join(literal(text) for text in ("", *missing))
    return f"read_csv({literal(str(path))}, header = true, nullstr = [{holes}])"


def unreadable(path: Path, error: Exception) -> DatasetUnreadable:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return DatasetUnreadable(f"{path}: cannot be read ({reason}). Try: {WAY_OUT}")


def staged_type(kind: str) -> str | None:
    """The type a column is kept as; None where its values are neither numbers, texts nor times."""
    if NUMBER.match(kind):
        return "DOUBLE"
    if TEXT.match(kind):
        return "VARCHAR"
    return "TIMESTAMP" if MOMENT.match(kind) else None


def micros(name: str, kind: str) -> str:
    """Microseconds since 1970 UTC, in SQL: of a time without a zone as if in UTC, of a number by how large it is."""
    column = quoted(name)
    if kind.startswith("TIMESTAMP WITH"):
        return f"epoch_us({column})"
    if NUMBER.match(kind):
        size = f"abs({column}::DOUBLE)"
        factor = f"CASE WHEN {size} < 1e11 THEN 1e6 WHEN {size} < 1e14 THEN 1e3 WHEN {size} < 1e17 THEN 1 ELSE 1e-3 END"
        return f"TRY_CAST({column}::DOUBLE * {factor} AS BIGINT)"
    return f"epoch_us(TRY_CAST({column} AS TIMESTAMP))"


def _arrow(path: Path) -> Any:
    """A reader of a file's record batches, of which one at a time is in memory."""
    try:
        arrow = importlib.import_module("pyarrow")
        ipc = importlib.import_module("pyarrow.ipc")
    except ImportError:
        raise DatasetUnreadable(
            f"{path}: an Arrow file cannot be read without pyarrow. Try: pip install pyarrow, or the rows as Parquet"
        ) from None
    try:
        held = arrow.memory_map(str(path))
        try:
            file = ipc.open_file(held)
        except arrow.ArrowInvalid:  # a stream has no footer
            held.seek(0)
            return ipc.open_stream(held)
        return arrow.RecordBatchReader.from_batches(file.schema, _batches(file))
    except (arrow.ArrowException, OSError) as error:
        raise unreadable(path, error) from None


def _batches(file: Any) -> Iterator[Any]:
    for number in range(file.num_record_batches):
        yield file.get_batch(number)
