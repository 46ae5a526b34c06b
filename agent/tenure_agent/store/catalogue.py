"""Names to numbers: models, versions and columns. Names come from outside and never become SQL."""

from __future__ import annotations

from dataclasses import dataclass, field

import duckdb

from tenure_agent.store.database import Cursor

MAX_MODELS, MAX_VERSIONS, MAX_COLUMNS, MAX_NAME = 100, 1000, 2000, 256


class LimitReached(Exception):  # it is an answer to the producer, with its reason, not a fault of ours
    """A name past a limit; `reason` is what the rows are rejected and counted with."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(slots=True)
class Column:
    """One feature or output of a model. It has a column of numbers, of texts, or both where its type changed."""

    number: int
    name: str
    part: str
    kinds: set[str] = field(default_factory=set)  # NUMBER, BOOLEAN, DATETIME, TEXT

    @property
    def has_numbers(self) -> bool:
        return bool(self.kinds - {"TEXT"})

    @property
    def has_texts(self) -> bool:
        return "TEXT" in self.kinds


@dataclass(slots=True)
class Model:
    number: int
    name: str
    versions: dict[str, int] = field(default_factory=dict)
    columns: dict[tuple[str, str], Column] = field(default_factory=dict)  # (part, name) →

    @property
    def table(self) -> str:
        return f"rows_{self.number}"

    def version_name(self, number: int) -> str:
        """A damaged row may hold a number that was never given."""
        return next((name for name, n in self.versions.items() if n == number), f"unknown {number}")


class Catalogue:
    """All names this store has seen. Changed only in the writer thread; read anywhere.

    Raises
    ------
    duckdb.Error
        Their numbers are not those that were given: the file is damaged where DuckDB does not see it.
    """

    def __init__(self, cursor: Cursor) -> None:
        self.models: dict[str, Model] = {}
        for number, name in cursor.execute("SELECT model, name FROM models ORDER BY model").fetchall():
            self.models[name] = Model(number, name)
        by_number = {model.number: model for model in self.models.values()}
        for model, version, name in cursor.execute(
            "SELECT model, version, name FROM versions ORDER BY model, version"
        ).fetchall():
            _check_number(model in by_number and version > 0)
            by_number[model].versions[name] = version
        for model, number, name, part, kind in cursor.execute(
            "SELECT model, number, name, part, kind FROM columns ORDER BY model, number"
        ).fetchall():
            _check_number(model in by_number and number > 0)
            column = by_number[model].columns.setdefault((part, name), Column(number, name, part))
            column.kinds.add(kind)

    def make_tables(self, cursor: Cursor) -> None:
        """Tables for the rows of all models, as in a store that knows their names and has none of their rows."""
        for model in self.models.values():
            _make_table(cursor, model)
            for column in model.columns.values():
                for text in (False, True):
                    if column.has_texts if text else column.has_numbers:
                        _add_column(cursor, model, column.number, text=text)

    def by_number(self, number: int) -> Model:
        return next(model for model in self.models.values() if model.number == number)

    def model(self, cursor: Cursor, name: str, now: int) -> Model:
        """The model of that name, made on first sight."""
        model = self.models.get(name)
        if model is None:
            _check_name(name, "model")
            if len(self.models) >= MAX_MODELS:
                raise LimitReached("too_many_models")
            model = Model(len(self.models) + 1, name)
            cursor.execute("INSERT INTO models VALUES (?, ?, ?)", [model.number, name, now])
            _make_table(cursor, model)
            self.models[name] = model
        return model

    def version(self, cursor: Cursor, model: Model, name: str, now: int) -> int:
        """The number of a model's version, given on first sight."""
        number = model.versions.get(name)
        if number is None:
            _check_name(name, "version")
            if len(model.versions) >= MAX_VERSIONS:
                raise LimitReached("too_many_versions")
            number = len(model.versions) + 1
            cursor.execute("INSERT INTO versions VALUES (?, ?, ?, ?)", [model.number, number, name, now])
            model.versions[name] = number
        return number

    def column(self, cursor: Cursor, model: Model, part: str, name: str, kind: str, now: int) -> Column:
        """A model's column, made on first sight and widened where its kind changes."""
        column = model.columns.get((part, name))
        if column is None:
            _check_name(name, "column")
            if len(model.columns) >= MAX_COLUMNS:
                raise LimitReached("too_many_columns")
            column = Column(len(model.columns) + 1, name, part)
        if kind not in column.kinds:
            text = kind == "TEXT"
            if not (column.has_texts if text else column.has_numbers):
                _add_column(cursor, model, column.number, text=text)
            cursor.execute(
                "INSERT INTO columns VALUES (?, ?, ?, ?, ?, ?)", [model.number, column.number, name, part, kind, now]
            )
            model.columns[part, name] = column
            column.kinds.add(kind)
        return column


def _check_number(given: bool) -> None:
    if not given:
        raise duckdb.Error("corrupt: a name with a number that was never given")


def _make_table(cursor: Cursor, model: Model) -> None:
    cursor.execute(
        f"CREATE TABLE {model.table} (batch BIGINT, time BIGINT, version INTEGER, role UTINYINT, id VARCHAR, "
        "latency FLOAT, error VARCHAR)"
    )


def _add_column(cursor: Cursor, model: Model, number: int, *, text: bool) -> None:
    stored = f"t{number} VARCHAR" if text else f"n{number} DOUBLE"
    cursor.execute(f"ALTER TABLE {model.table} ADD COLUMN {stored}")


def _check_name(name: str, what: str) -> None:
    if not name or len(name) > MAX_NAME:
        raise LimitReached(f"bad_{what}_name")
