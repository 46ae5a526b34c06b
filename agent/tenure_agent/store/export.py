"""Training data: predictions with their labels, of the store and of archived files as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tenure_agent.quoting import literal, quoted
from tenure_agent.records import MINUTE, ROLES
from tenure_agent.store import archive, views
from tenure_agent.store.archive import Reach
from tenure_agent.store.catalogue import Catalogue
from tenure_agent.store.database import Cursor
from tenure_agent.store.predictions import as_text, label_as_text, one

FORMATS = ("parquet", "csv")
ADDED = ("known", "label")
VALUES = 4 << 20  # joined and sorted at a time: memory stays bounded however much is asked for
GROUP = 20_480  # rows of Parquet held in memory until they are written
STEPS = 10_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows: event times in [start, end), of one version or any, in one role; labels known by `known`.

    `labelled` leaves out the rest. Times are microseconds since 1970.
    """

    model: str
    version: str | None
    role: str
    start: int
    end: int
    known: int
    labelled: bool = True
    form: Literal["parquet", "csv"] = "parquet"


@dataclass(frozen=True, slots=True)
class Archived:
    """Local copies of archived files. What the store has with ingest numbers up to `upto` is in them too."""

    predictions: Sequence[Path] = ()
    outcomes: Sequence[Path] = ()
    upto: int = 0


class Moved(Exception):  # not an error: what is to be read has gone to the archive meanwhile
    """Rows have expired since the files were chosen."""


@dataclass(frozen=True, slots=True)
class _Source:
    """Where some of the rows are, and the names and types of its columns."""

    rows: str
    columns: dict[str, tuple[str, str]]  # name → expression, type
    micros: str  # event time as a number
    during: str  # with {start} and {end}: a condition that skips what lies outside


def write(
    cursor: Cursor, wanted: Wanted, archived: Archived, reach: Reach, path: Path, scratch: Path, share: int = 1
) -> int:
    """Write a file into the export directory, by event time.

    Parameters
    ----------
    cursor
        In a transaction.
    reach
        By which `archived` was chosen.
    scratch
        A directory in the export directory.
    share
        Of the memory that rows of numbers are given: more than 1 where texts are long.

    Returns
    -------
    The number of its rows.

    Raises
    ------
    Moved
        Choose again.
    """
    catalogue = Catalogue(cursor)
    model = catalogue.models.get(wanted.model)
    sources = [_of_files(files, wanted) for files in _alike(cursor, archived.predictions)]
    told = [_told_in_files(archived.outcomes, wanted)] if archived.outcomes else []
    if model is not None:
        if archive.reach(cursor, model.number).expired > max(reach.expired, archived.upto):
            raise Moved
        sources.append(_of_store(cursor, catalogue, wanted, archived.upto))
        told.append(_told_in_store(model.number, wanted, archived.upto))
    rows = 0
    parts: list[Path] = []
    parquet = f"FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {max(2048, GROUP // share):d}"
    for span in _spans(cursor, sources, wanted, VALUES // share):
        parts.append(scratch / f"part-{len(parts)}.parquet")
        query = _query(sources, " UNION ALL ".join(told), span, labelled=wanted.labelled)
        rows += _copied(cursor, query, parts[-1], parquet)
    if rows:
        _copied(cursor, f"FROM {_read(parts)}", path, "FORMAT csv, HEADER" if wanted.form == "csv" else parquet)
    return rows


def _copied(cursor: Cursor, query: str, path: Path, options: str) -> int:
    return int(one(cursor.execute(f"COPY ({query}) TO {literal(str(path))} ({options})"))[0])


def _spans(cursor: Cursor, sources: Sequence[_Source], wanted: Wanted, values: int) -> list[tuple[int, int]]:
    """The time asked for in stretches of about as many rows each; those without rows are left out."""
    if not sources:
        return []
    asked = [source.during.format(start=wanted.start, end=wanted.end) for source in sources]
    times = " UNION ALL ".join(
        f"SELECT {source.micros} AS time FROM {source.rows} AND {during}"
        for source, during in zip(sources, asked, strict=True)
    )
    first, last = one(cursor.execute(f"SELECT min(time), max(time) FROM ({times})"))
    if first is None:
        return []
    step = max(MINUTE, (last - first) // STEPS)
    counted = cursor.execute(
        f"SELECT (time - {first:d}) // {step:d}, count(*) FROM ({times}) GROUP BY 1 ORDER BY 1"
    ).fetchall()
    most = values // max(len(source.columns) for source in sources)
    ends, rows = [], 0
    for number, count in counted:
        if rows and rows + count > most:
            ends.append(first + number * step)
            rows = 0
        rows += count
    return list(zip([first, *ends], [*ends, last + 1], strict=True))


def _query(sources: Sequence[_Source], told: str, span: tuple[int, int], *, labelled: bool) -> str:
    types: dict[str, tuple[str, set[str]]] = {}  # by name as DuckDB tells them apart
    for source in reversed(sources):  # the store's names first
        for name, (_, type_) in source.columns.items():
            types.setdefault(name.lower(), (name, set()))[1].add(type_)
    places = [f"{source.rows} AND {source.during.format(start=span[0], end=span[1])}" for source in sources]
    parts = []
    for source, place in zip(sources, places, strict=True):
        here = {name.lower(): column for name, column in source.columns.items()}
        chosen = [
            f"{_converted(*here[key], _common(found)) if key in here else 'NULL'} AS {quoted(name)}"
            for key, (name, found) in types.items()
        ]
        parts.append(f"SELECT {', '.join(chosen)} FROM {place}")
    ids = " UNION ALL ".join(
        f"SELECT {source.columns['id'][0]} AS id FROM {place}" for source, place in zip(sources, places, strict=True)
    )
    newest = (
        f"SELECT id, max(time) AS known, arg_max(label, (time, batch)) AS label FROM ({told}) "
        f"WHERE id IN (FROM ({ids})) GROUP BY id"
    )
    names = [name for name, _ in types.values()]
    shown = views.distinct([*ADDED, *(f"feature.{name}" if name.lower() in ADDED else name for name in names)])
    columns = [f"p.{quoted(name)} AS {quoted(label)}" for name, label in zip(names, shown[len(ADDED) :], strict=True)]
    own = len(views.OWN)
    columns[own:own] = ["o.known", "o.label"]
    join = "JOIN" if labelled else "LEFT JOIN"
    which = "WHERE o.label IS NOT NULL" if labelled else ""
    return (
        f"SELECT {', '.join(columns)} FROM ({' UNION ALL '.join(parts)}) p {join} ({newest}) o ON o.id = p.id {which}"
    )


def _common(types: set[str]) -> str:
    """A column that was numbers and text is text; numbers, truth values and times are numbers."""
    if len(types) == 1:
        return next(iter(types))
    return "DOUBLE" if types <= {"DOUBLE", "FLOAT", "BOOLEAN", "TIMESTAMP"} else "VARCHAR"


def _converted(value: str, type_: str, target: str) -> str:
    if type_ == target:
        return value
    number = f"epoch_us({value})" if type_ == "TIMESTAMP" else value
    if type_ != "VARCHAR":
        number = f"CAST({number} AS DOUBLE)"
    return number if target == "DOUBLE" or type_ == "VARCHAR" else as_text(number)


def _of_store(cursor: Cursor, catalogue: Catalogue, wanted: Wanted, after: int) -> _Source:
    model = catalogue.models[wanted.model]
    version = "" if wanted.version is None else f" AND r.version = {model.versions.get(wanted.version, 0):d}"
    rows = f"{views.rows(model)} WHERE r.batch > {after:d} AND r.role = {ROLES.index(wanted.role):d}{version}"
    columns = views.columns(model)
    chosen = ", ".join(f"{value} AS {quoted(name)}" for name, value in columns)
    types = cursor.execute(f"DESCRIBE SELECT {chosen} FROM {views.rows(model)}").fetchall()
    named = {name: (value, str(row[1])) for (name, value), row in zip(columns, types, strict=True)}
    return _Source(rows, named, "r.time", "r.time >= {start:d} AND r.time < {end:d}")


def _alike(cursor: Cursor, files: Sequence[Path]) -> list[list[tuple[Path, list[tuple[str, str]]]]]:
    """Files grouped by their columns: those of one group are read as one."""
    groups: dict[tuple[tuple[str, str], ...], list[tuple[Path, list[tuple[str, str]]]]] = {}
    for file in files:
        told = cursor.execute(f"DESCRIBE SELECT * FROM {_read([file])}").fetchall()
        columns = [(str(row[0]), str(row[1])) for row in told]
        groups.setdefault(tuple(columns), []).append((file, columns))
    return list(groups.values())


def _of_files(files: Sequence[tuple[Path, list[tuple[str, str]]]], wanted: Wanted) -> _Source:
    rows = f"{_read([file for file, _ in files])} WHERE role = {literal(wanted.role)}"
    if wanted.version is not None:
        rows += f" AND version = {literal(wanted.version)}"
    named = {archive.from_files(name): (quoted(name), type_) for name, type_ in files[0][1]}
    during = "time >= make_timestamp({start:d}) AND time < make_timestamp({end:d})"
    return _Source(rows, named, "epoch_us(time)", during)


def _told_in_store(model: int, wanted: Wanted, after: int) -> str:
    return (
        f"SELECT o.id, make_timestamp(o.time) AS time, {label_as_text()} AS label, o.batch FROM outcomes o "
        f"WHERE o.model = {model:d} AND o.batch > {after:d} AND o.time <= {wanted.known:d}"
    )


def _told_in_files(files: Sequence[Path], wanted: Wanted) -> str:
    return f"SELECT id, time, label, batch FROM {_read(files)} WHERE time <= make_timestamp({wanted.known:d})"


def _read(files: Sequence[Path]) -> str:
    return f"read_parquet([{', '.join(literal(str(file)) for file in files)}], hive_partitioning = false)"
