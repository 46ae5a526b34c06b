"""Files of rows: CSV and Parquet as columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt

from tenure.errors import TenureError

Array = npt.NDArray[Any]


class DatasetUnreadable(TenureError):
    """A file of rows that cannot be used."""


def read_columns(path: Path) -> dict[str, Array]:
    """All columns of a file: float64 with NaN, or text objects with None, in the file's order.

    Raises
    ------
    DatasetUnreadable
        The file is neither CSV nor Parquet, or broken.
    """
    reader = "read_parquet" if path.suffix in {".parquet", ".pq"} else "read_csv"
    connection = duckdb.connect()
    try:
        relation = connection.execute(f"SELECT * FROM {reader}(?)", [str(path)])  # noqa: S608  # one of two names
        types = {str(column[0]): str(column[1]) for column in relation.description or ()}
        columns = relation.fetchnumpy()
    except duckdb.Error as error:
        reason = str(error).splitlines()[0]
        raise DatasetUnreadable(f"{path}: cannot be read ({reason}). Try: a CSV with a header, or Parquet") from None
    finally:
        connection.close()
    return {name: _plain(columns[name]) for name in types}


def _plain(values: Any) -> Array:
    masked = np.ma.getmaskarray(values)
    data = np.ma.getdata(values)
    if data.dtype.kind == "M":
        data = data.astype("datetime64[us]").astype(np.int64)
    if data.dtype.kind in "biuf":
        numbers = data.astype(np.float64)
        numbers[masked] = np.nan
        return numbers
    texts = np.empty(len(data), object)
    texts[:] = [None if hole or value is None else str(value) for value, hole in zip(data, masked, strict=True)]
    return texts
