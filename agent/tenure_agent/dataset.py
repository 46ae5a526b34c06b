"""Files of rows, however large: staged in a database of their own, and gone through in chunks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import duckdb
import numpy as np

from tenure.errors import SettingError
from tenure_agent.bins import BOOLEAN, NUMERIC, PRIVATE, Array
from tenure_agent.builder import SAMPLE, STRETCH, Key, Lazy
from tenure_agent.filetypes import TEXT, DatasetUnreadable, micros, relation, staged_type, unreadable
from tenure_agent.quoting import quoted
from tenure_agent.roles import BOOKKEEPING, OUTPUTS, Roles

LABEL = ("label", "label")
CELLS = 1_000_000  # of a chunk
MEMORY = "160MiB"  # of the database; numpy's copies come on top


class Table:
    """A file's rows in the order of time, or of the file where it has none.

    Only columns that are used are kept, as numbers or texts, in a database inside `folder`; it is gone through as often
    as is asked for, and no more than a chunk of it is ever in memory.

    Parameters
    ----------
    folder
        An empty folder of the caller's, on a disk with room for the rows.
    told
        Called with what is being done and the share of it that is done.
    """

    def __init__(self, folder: Path, told: Callable[[str, float], None] = lambda *_: None) -> None:
        self._told = told
        self._connection = duckdb.connect(
            folder / "rows.duckdb",
            config={
                "memory_limit": MEMORY,
                "temp_directory": str(folder / "spill"),
                "threads": 2,
                "autoinstall_known_extensions": False,
            },
        )
        self._connection.execute("SET enable_progress_bar = true; SET enable_progress_bar_print = false")
        self._columns: dict[Key, str] = {}
        self.rows = 0
        self.span = (0, 0)
        self.notices: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def load(self, path: Path, roles: Roles, *, where: str | None = None, missing: Sequence[str] = ()) -> None:
        """Take in a file.

        Parameters
        ----------
        where
            A condition in SQL on the file's columns.
        missing
            Texts of a CSV that stand for no value.

        Raises
        ------
        DatasetUnreadable
            The file is broken, of another type, or holds no rows.
        SettingError
            A column that is not there, or a condition that is none.
        """
        try:
            source = relation(self._connection, path, missing)
            types = self._types(source)
            condition = f"({where})" if where else "true"
            if where:
                self._check(source, where)
            found, features = roles.resolve(list(types))
            self._stage(source, condition, types, found, features, roles.declared)
            if not self.rows:
                told = "no rows" if where is None else f"no rows where {where}"
                raise DatasetUnreadable(f"{path}: {told}. Try: another file or condition")
            self._explain(types, roles.declared)
        except duckdb.Error as error:
            raise unreadable(path, error) from None

    def _types(self, source: str) -> dict[str, str]:
        described = self._connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()  # noqa: S608  # quoted
        return {name: kind for name, kind, *_ in described}

    def _check(self, source: str, where: str) -> None:
        try:
            self._connection.execute(f"DESCRIBE SELECT * FROM {source} WHERE ({where})")  # noqa: S608  # the user's own
        except (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException) as error:
            way_out = f"a condition like \"split = 'reference'\" ({str(error).splitlines()[0]})"
            raise SettingError("--where", where, way_out) from None

    def _stage(
        self,
        source: str,
        condition: str,
        types: Mapping[str, str],
        roles: Mapping[str, str],
        features: Sequence[str],
        declared: Mapping[str, str],
    ) -> None:
        wanted: list[tuple[Key, str]] = [(("feature", name), name) for name in features]
        wanted += [(("output", role), roles[role]) for role in OUTPUTS if role in roles]
        wanted += [(LABEL, roles["label"])] if "label" in roles else []
        chosen: list[str] = []
        for key, name in wanted:
            staged = staged_type(types[name])
            if staged is None:
                self.notices.append(f"{name}: left out, {types[name]} is neither a number nor a text")
                continue
            column = f"c{len(chosen)}"
            chosen.append(f"{quoted(name)}::{staged} AS {column}")
            number = staged == "VARCHAR" and declared.get(name) in {NUMERIC, BOOLEAN}
            truth = f"coalesce(TRY_CAST({column} AS DOUBLE), TRY_CAST({column} AS BOOLEAN)::DOUBLE)"
            self._columns[key] = truth if number else column
        time = roles.get("time")
        moment = "NULL::BIGINT" if time is None else micros(time, types[time])
        columns = ", ".join([*chosen, f"{moment} AS t"])
        query = f"CREATE TABLE rows AS SELECT {columns} FROM {source} WHERE {condition}"  # noqa: S608  # the user's own
        self._run("reading", query)
        self.rows = self._number("SELECT count(*) FROM rows")
        if time is not None and self.rows:
            self._order(time)

    def _order(self, time: str) -> None:
        """Bring the rows into the order of time, where they are not in it."""
        untimed = self._number("SELECT count(*) FROM rows WHERE t IS NULL")
        if untimed == self.rows:
            raise SettingError("--time", time, "a column of dates, timestamps, or numbers of seconds since 1970")
        if untimed or self._number("SELECT count(*) FROM (SELECT t < lag(t) OVER () AS back FROM rows) WHERE back"):
            query = "CREATE TABLE ordered AS SELECT * FROM rows WHERE t IS NOT NULL ORDER BY t, rowid"
            self._run("sorting", query)
            self._connection.execute("DROP TABLE rows; ALTER TABLE ordered RENAME TO rows")
            self.rows -= untimed
        if untimed:
            self.notices.append(f"{time}: {untimed:,} rows without a time are left out")
        first, last = self._connection.execute("SELECT min(t), max(t) FROM rows").fetchall()[0]
        self.span = int(first), int(last)

    def _explain(self, types: Mapping[str, str], declared: Mapping[str, str]) -> None:
        """Note what a person may not have meant."""
        for name in BOOKKEEPING:
            if name in types and name not in declared:
                self.notices.append(
                    f"{name}: left out, bookkeeping. Try: --column {name}=categorical if it is a feature"
                )
        for number, ((part, name), value) in enumerate(self._columns.items()):
            column = f"c{number}"
            if value != column:
                lost = self._number(f"SELECT count({column}) - count({value}) FROM rows")  # noqa: S608
                if lost:
                    self.notices.append(f"{name}: {lost:,} texts are no numbers: taken as missing")
            elif part == "feature" and name not in declared and TEXT.match(types[name]):
                self._explain_text(name, column)

    def _explain_text(self, name: str, column: str) -> None:
        """Texts that are mostly numbers had another mark for what is missing."""
        query = f"SELECT count({column}), count(TRY_CAST({column} AS DOUBLE)) FROM rows"  # noqa: S608
        held, numbers = self._connection.execute(query).fetchall()[0]
        if not held / 2 < numbers < held:
            return
        query = (
            f"SELECT {column}, count(*) FROM rows WHERE {column} IS NOT NULL AND TRY_CAST({column} AS DOUBLE) IS NULL "  # noqa: S608
            f"GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 1"
        )
        [(text, rows)] = self._connection.execute(query).fetchall()
        share = f"{name}: texts, but {numbers / held:.0%} of them are numbers"
        if rows >= PRIVATE:
            self.notices.append(
                f"{share}, others {text!r}. Try: --missing {text} with a CSV, or --column {name}=numeric"
            )
        else:
            self.notices.append(f"{share}. Try: --column {name}=numeric")

    def sample(self) -> Mapping[Key, Array]:
        """About 200,000 rows in short stretches spread evenly, or all where there are no more; read as they are asked for."""
        return self.evenly([key for key in self._columns if key != LABEL])

    def evenly(self, keys: Sequence[Key], stretch: int = STRETCH) -> Mapping[Key, Array]:
        """Up to 200,000 rows of some columns (of all there are), in order, in stretches of so many rows, spread evenly."""
        every = -(-self.rows // SAMPLE)
        where = f"(rowid // {stretch}) % {every} = 0"
        return Lazy([key for key in keys if key in self._columns], lambda key: self._read([key], where)[key])

    def chunks(self, wanted: Collection[Key]) -> Iterator[Mapping[Key, Array]]:
        """All rows in order, of the wanted columns."""
        keys = [key for key in self._columns if key in wanted]
        if not keys:
            return
        length = max(1000, CELLS // len(keys))
        for start in range(0, self.rows, length):
            self._told("counting", start / self.rows)
            yield self._read(keys, f"rowid BETWEEN {start} AND {start + length - 1}")
        self._told("counting", 1.0)

    def _read(self, keys: Sequence[Key], where: str) -> dict[Key, Array]:
        columns = ", ".join(f"{self._columns[key]} AS v{i}" for i, key in enumerate(keys))
        found = self._connection.execute(f"SELECT {columns} FROM rows WHERE {where}").fetchnumpy()  # noqa: S608
        return {key: _plain(found.pop(f"v{i}")) for i, key in enumerate(keys)}

    def _number(self, query: str) -> int:
        return int(self._connection.execute(query).fetchall()[0][0])

    def _run(self, doing: str, query: str) -> None:
        """A long query in a thread: its progress is told, and what interrupts the waiting interrupts it."""
        failure: list[Exception] = []

        def work() -> None:
            try:
                self._connection.execute(query)
            except duckdb.Error as error:
                failure.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            while thread.is_alive():
                self._told(doing, max(self._connection.query_progress(), 0.0) / 100)
                thread.join(0.1)
        finally:
            while thread.is_alive():  # an interrupt before the query has begun is lost
                self._connection.interrupt()
                thread.join(0.05)
        if failure:
            raise failure[0]


def _plain(values: Any) -> Array:
    """A column as the builder takes it: float64 with NaN, datetime64, or text objects with None."""
    data, holes = np.ma.getdata(values), np.ma.getmaskarray(values)
    if data.dtype.kind == "M":
        return np.asarray(data)
    if data.dtype.kind == "O":
        data[holes] = None
        return np.asarray(data)
    numbers = data.astype(np.float64, copy=False)
    numbers[holes] = np.nan
    return numbers
