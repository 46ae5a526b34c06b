"""The real streams quality is measured on: in their own order, as stationary block bootstraps, and shuffled.

Everything is read from the data beside the project (TENURE_SHARED, default ../shared); none of it is kept here.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Columns = dict[tuple[str, str], Array]

SETS = ("elec2", "bank", "valencia", "turbine", "noaa", "bike")
OUTPUTS = ("prediction", "score")
LIVE = 20_000


class NoData(Exception):
    """The folder with the data is not there."""


def shared() -> Path:
    """
    Raises
    ------
    NoData
        With what to do.
    """
    folder = Path(os.environ.get("TENURE_SHARED", "../shared"))
    if not (folder / "quality" / "scenarios" / "manifest.json").is_file():
        raise NoData(f"TENURE_SHARED: {str(folder)!r} holds no quality/scenarios. Try: TENURE_SHARED=/path/to/shared")
    return folder


@dataclass(frozen=True)
class Stream:
    """Rows in order, one a minute, of which the first are the reference.

    Parameters
    ----------
    benign
        Row numbers [start, end) in which the model's error stayed within tolerance, where that is known.
    event
        Number of the first row after a documented change.
    """

    name: str
    columns: Columns
    reference: int
    benign: tuple[tuple[int, int], ...] = ()
    event: int | None = None

    @property
    def rows(self) -> int:
        return len(next(iter(self.columns.values())))

    def take(self, rows: Array, name: str) -> Stream:
        """The same columns, with these rows."""
        return replace(self, name=name, columns={key: values[rows] for key, values in self.columns.items()})


@cache
def manifest() -> Mapping[str, Mapping[str, Any]]:
    files = json.loads((shared() / "quality" / "scenarios" / "manifest.json").read_text())["files"]
    return {entry["file"].removesuffix(".parquet"): entry for entry in files}


def _columns(query: str) -> dict[str, Array]:
    with duckdb.connect() as connection:
        found = connection.execute(query)
        names = [column[0] for column in found.description or ()]
        arrays = found.fetchnumpy()
    return {name: _plain(arrays[name]) for name in names}


def _plain(values: Any) -> Array:
    holes, data = np.ma.getmaskarray(values), np.ma.getdata(values)
    if data.dtype.kind in "biuf":
        return np.where(holes, np.nan, data.astype(np.float64))
    texts = np.empty(len(data), object)
    texts[:] = [None if hole or value is None else str(value) for value, hole in zip(data, holes, strict=True)]
    return texts


@cache
def scenario(name: str) -> Stream:
    """A given stream: champion rows in time order."""
    entry = manifest()[name]
    outputs = OUTPUTS if entry["task"] == "multiclass" else OUTPUTS[:1]
    names = ", ".join(f'"{column}"' for column in (*entry["features"], *outputs))
    path = shared() / "quality" / "scenarios" / f"{name}.parquet"
    found = _columns(f"SELECT {names} FROM '{path}' WHERE role = 'champion' ORDER BY time")
    columns = {("output" if column in OUTPUTS else "feature", column): values for column, values in found.items()}
    begin = np.datetime64("2024-01-01T00:00:00")
    minute = np.timedelta64(1, "m")

    def row(moment: str) -> int:
        return int((np.datetime64(moment.removesuffix("Z")) - begin) / minute)

    benign = tuple((row(start), row(end)) for start, end in entry["benign"]) if "benign" in entry else ()
    return Stream(name, columns, entry["reference_rows"], benign)


@cache
def dataset(name: str, leave_out: str) -> Columns:
    """A whole real data set, without one column (its time or its label)."""
    path = shared() / "data" / f"{name}.csv.gz"
    found = _columns(f"SELECT * EXCLUDE ({leave_out}) FROM read_csv('{path}')")
    return {("feature", column): values for column, values in found.items()}


# The stretch of each set before its first documented change (rows of the file), and about a week, a season or, where
# there is neither, 250 rows.
POOLS = {
    "elec2": (5000, 17_424, 45_312, 336),
    "bank": (6000, 23_997, 41_188, 250),
    "valencia": (4600, 10_512, 43_824, 168),
    "turbine": (5000, 20_000, 36_733, 168),
    "noaa": (3650, 18_159, 18_159, 182),
    "bike": (3000, 8645, 17_379, 168),
}


def block_null(name: str, seed: int) -> Stream:
    """A fresh stationary but dependent stream: blocks of consecutive rows, drawn with replacement from a quiet stretch."""
    stream = scenario(f"asis-{name}")
    start, end, total, block = POOLS[name]
    first = total - stream.rows  # a stream begins after the rows its model was trained on
    low, high = max(0, start - first), end - first
    draw = np.random.default_rng([seed, SETS.index(name)])

    def rows(count: int) -> Array:
        starts = draw.integers(low, high - block, -(-count // block))
        return np.add.outer(starts, np.arange(block)).ravel()[:count]

    drawn = np.concatenate([rows(3000), rows(LIVE)])
    return replace(stream.take(drawn, f"null-{name}-{seed}"), reference=3000, benign=())


def shuffled(name: str, seed: int) -> Stream:
    """A set's own rows in any order: independent, nothing changes."""
    stream = scenario(f"asis-{name}")
    order = np.random.default_rng([seed, 7, SETS.index(name)]).permutation(stream.rows)
    return replace(stream.take(order, f"shuffled-{name}-{seed}"), benign=())


def events() -> Iterator[Stream]:
    """Streams with a documented change, as data/drift_points.json has them."""
    for name, row in (("elec2", 17_424), ("bank", 23_997), ("valencia", 10_512)):
        stream = scenario(f"asis-{name}")
        yield replace(stream, name=name, event=row - (POOLS[name][2] - stream.rows))
    yield Stream("insects", dataset("insects_gradual_balanced", "class"), 3000, event=10_460)
    yield Stream("vito", dataset("air_quality_vito", "ts"), 1000, event=1231)
