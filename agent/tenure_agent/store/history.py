"""A labelled history: the rows of a file in time order, under the names Tenure gives them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb

from tenure.errors import SettingError
from tenure_agent.quoting import literal, quoted
from tenure_agent.records import FEATURE, OUTPUT, ROLES, SHADOW
from tenure_agent.store.predictions import one

NAMES = ("time", "id", "version", "role", "split", "prediction", "score", "label", "label_time")
NEEDED = ("time", "prediction")
REFERENCE = "reference"  # what `split` says of rows that are no traffic
EARLIEST, LATEST = "'1970-01-01 00:00:00+00'", "'2100-01-01 00:00:00+00'"  # others are a unit error
ROW_GROUP = 20_480  # rows read at once, at least
EXAMPLE = "2024-01-03T04:00:00Z"
NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "FLOAT", "DOUBLE", "DECIMAL")


@dataclass(frozen=True, slots=True)
class HistoryColumn:
    """A feature or an output: what it is stored as in the sorted file, and its kind on the wire."""

    stored: str
    name: str
    part: str
    kind: str


@dataclass(frozen=True, slots=True)
class History:
    """A file sorted by time.

    Parameters
    ----------
    path
        Parquet: time, known (int64, µs since 1970 UTC), id, version, role (0, 1, 2), reference (bool), label_number,
        label_text, and the columns.
    versions
        In the order they appear.
    reference_versions
        Versions with rows of a reference.
    live, labels
        How many rows are traffic, and how many of those have a label.
    first, last
        Event times of the first and the last live row.
    distinct
        Whether no two live rows share an id, shadows of a champion's row apart: then each label belongs to its own row.
    """

    path: Path
    columns: tuple[HistoryColumn, ...]
    versions: tuple[str, ...]
    reference_versions: tuple[str, ...]
    live: int
    labels: int
    first: int
    last: int
    distinct: bool


def sorted_history(data: Path, names: Mapping[str, str], label_delay: int, folder: Path, memory: int) -> History:
    """Sort a CSV or Parquet file by time.

    Parameters
    ----------
    names
        What columns are called in the file, by their name here; without an entry as here.
    label_delay
        Microseconds from a row to its label, where the file does not say.
    folder
        Where the sorted file goes, and what memory does not hold.
    memory
        Bytes to sort in.

    Raises
    ------
    SettingError
        A column is not there, or holds what it cannot.
    """
    connection = duckdb.connect(config={"memory_limit": f"{memory}B", "temp_directory": str(folder)})
    try:
        connection.execute("SET TimeZone = 'UTC'")
        return _sorted(connection, data, names, label_delay, folder)
    except duckdb.Error as error:
        why = str(error).splitlines()[0]
        raise SettingError("DATA", str(data), f"a CSV file with a header, or Parquet ({why})") from None
    finally:
        connection.close()


def _sorted(
    connection: duckdb.DuckDBPyConnection, data: Path, names: Mapping[str, str], label_delay: int, folder: Path
) -> History:
    reader = "read_parquet(?)" if data.suffix in {".parquet", ".pq"} else "read_csv(?, sample_size = -1)"
    connection.execute(f"CREATE VIEW given AS SELECT * FROM {reader}".replace("?", literal(str(data))))
    types = {str(name): str(kind) for name, kind, *_ in connection.execute("DESCRIBE given").fetchall()}
    found = _found(types, names)
    plain = {name: quoted(column) for name, column in found.items()}
    _check(connection, plain, {name: types[column] for name, column in found.items()})
    taken = set(found.values())
    columns = [
        HistoryColumn(f"c{i}", name, FEATURE, _kind(kind))
        for i, (name, kind) in enumerate(types.items())
        if name not in taken
    ]
    columns += [
        HistoryColumn(name, name, OUTPUT, _kind(types[found[name]]))
        for name in ("prediction", "score")
        if name in found
    ]
    file = folder / "history.parquet"
    ordered = f"FROM (SELECT {_moment(plain['time'])} AS own, lag(own) OVER () AS before FROM given)"
    [as_it_is] = one(connection.execute(f"SELECT coalesce(bool_and(own >= before), true) {ordered}"))
    order = "" if as_it_is else f" ORDER BY 1, {quoted(_NUMBER)}"
    connection.execute(
        f"COPY (SELECT {', '.join(_chosen(plain, types, found, columns, label_delay))} "
        f"FROM (SELECT *, row_number() OVER () AS {quoted(_NUMBER)} FROM given){order}) "
        f"TO {literal(str(file))} (FORMAT parquet, COMPRESSION uncompressed, ROW_GROUP_SIZE {ROW_GROUP})"
    )
    connection.execute(f"CREATE VIEW sorted AS SELECT * FROM read_parquet({literal(str(file))})")
    live, first, last, labels = one(
        connection.execute(
            "SELECT count(*), min(time), max(time), "
            "count(*) FILTER (known IS NOT NULL AND (label_number IS NOT NULL OR label_text IS NOT NULL)) "
            "FROM sorted WHERE NOT reference"
        )
    )
    ids = f"SELECT count(*) = count(DISTINCT hash(id)) FROM sorted WHERE NOT reference AND role != {SHADOW}"
    [distinct] = one(connection.execute(ids)) if "id" in plain else [True]
    versions = connection.execute("SELECT version, bool_or(reference) FROM sorted GROUP BY 1 ORDER BY min(time), 1")
    appeared = versions.fetchall()
    if not live:
        said = "has no rows" if not appeared else "has only rows of the reference"
        raise SettingError("DATA", str(data), f"a file with live rows: this one {said}")
    return History(
        file,
        tuple(columns),
        tuple(str(version) for version, _ in appeared),
        tuple(str(version) for version, reference in appeared if reference),
        int(live),
        int(labels),
        int(first),
        int(last),
        bool(distinct),
    )


_NUMBER = "row number in the file"


def _found(types: Mapping[str, str], names: Mapping[str, str]) -> dict[str, str]:
    """Which of the file's columns is what."""
    found = {}
    for name in NAMES:
        column = names.get(name, name)
        if column in types:
            found[name] = column
        elif name in names:
            raise SettingError(f"--column {name}", column, f"a column of the file: {', '.join(types)}")
        elif name in NEEDED:
            raise SettingError("DATA", name, f"--column {name}=NAME, one of {', '.join(types)}: no column is called so")
    return found


def _check(connection: duckdb.DuckDBPyConnection, plain: Mapping[str, str], types: Mapping[str, str]) -> None:
    """Refuse times, roles and versions that are none."""
    for name in ("time", "label_time"):
        if name not in plain:
            continue
        if not types[name].startswith(("TIMESTAMP", "DATE", "VARCHAR")):
            raise SettingError(name, types[name], f"a column of times such as {EXAMPLE}")
        moment_ = f"try_cast({plain[name]} AS TIMESTAMPTZ)"
        wrong = f"{moment_} NOT BETWEEN {EARLIEST} AND {LATEST} OR {moment_} IS NULL"
        if name == "label_time":
            wrong = f"{plain[name]} IS NOT NULL AND ({wrong})"
        _refuse(connection, name, plain[name], wrong, f"a time from 1970 to 2100 such as {EXAMPLE}")
    if "role" in plain:
        _refuse(connection, "role", plain["role"], f"{plain['role']} NOT IN {ROLES}", ", ".join(ROLES))


def _refuse(connection: duckdb.DuckDBPyConnection, name: str, column: str, wrong: str, remedy: str) -> None:
    if not one(connection.execute(f"SELECT count(*) FROM given WHERE {wrong}"))[0]:
        return  # most often: to number all rows takes long
    query = (
        f"SELECT number, value FROM (SELECT row_number() OVER () AS number, CAST({column} AS VARCHAR) AS value, {wrong} "
        "AS wrong FROM given) WHERE wrong LIMIT 1"
    )
    found = connection.execute(query).fetchone()
    if found is not None:
        raise SettingError(f"{name} of row {found[0]}", found[1], remedy)


def _chosen(
    plain: Mapping[str, str],
    types: Mapping[str, str],
    found: Mapping[str, str],
    columns: list[HistoryColumn],
    label_delay: int,
) -> list[str]:
    """What the sorted file holds."""
    time = _moment(plain["time"])
    known = _moment(plain["label_time"]) if "label_time" in plain else f"{time} + {label_delay}"
    role = " ".join(f"WHEN {literal(role)} THEN {i}" for i, role in enumerate(ROLES))
    label = plain.get("label")
    text = label is not None and _kind(types[found["label"]]) == "TEXT"
    return [
        f"{time} AS time",
        f"{known} AS known",
        f"CAST({plain.get('id', quoted(_NUMBER))} AS VARCHAR) AS id",
        f"coalesce(CAST({plain['version']} AS VARCHAR), '1') AS version" if "version" in plain else "'1' AS version",
        f"CAST(CASE {plain['role']} {role} ELSE 0 END AS UTINYINT) AS role"
        if "role" in plain
        else "0::UTINYINT AS role",
        f"coalesce({plain['split']} = {literal(REFERENCE)}, false) AS reference"
        if "split" in plain
        else "false AS reference",
        f"{_value(label, 'NUMBER') if label and not text else 'NULL::DOUBLE'} AS label_number",
        f"{_value(label, 'TEXT') if label and text else 'NULL::VARCHAR'} AS label_text",
        *(
            f"{_value(quoted(found.get(c.name, c.name) if c.part == OUTPUT else c.name), c.kind)} AS {c.stored}"
            for c in columns
        ),
    ]


def _kind(type_: str) -> str:
    """A column's kind on the wire, by its type in DuckDB."""
    if type_ == "BOOLEAN":
        return "BOOLEAN"
    if type_.startswith(("TIMESTAMP", "DATE")):
        return "DATETIME"
    return "NUMBER" if type_.removeprefix("U").startswith(NUMBERS) else "TEXT"


def _moment(column: str) -> str:
    return f"epoch_us(CAST({column} AS TIMESTAMPTZ))"


def _value(column: str, kind: str) -> str:
    if kind == "DATETIME":
        return f"CAST({_moment(column)} AS DOUBLE)"
    if kind == "TEXT":
        return f"CAST({column} AS VARCHAR)"
    return f"nullif(CAST({column} AS DOUBLE), 'nan'::DOUBLE)"
