"""The store as people query it: real names instead of numbers, times as timestamps.

`predictions_<model>` one row per prediction: id, time, version, role, latency, error, a column per feature and, as
                      `output.<name>`, per output (a feature of a taken name reads `feature.<name>`)
`pending`             of predictions whose row is gone and whose label may still come: model, version, role, time,
                      prediction, segments (feature → value)
`outcomes`            model, id, time it became known, label, value
`summaries`           model, version, role, segment, time, hash of its reference, bytes
`verdicts`            model, version, check, segment, level shown, alone (the check's own), start, end, reason, detail (JSON)
`decisions`           model, version, action, trigger, urgency, mode, reason, time, evidence (JSON), state, attempts
"""

from __future__ import annotations

from collections.abc import Iterable

from tenure_agent.quoting import quoted
from tenure_agent.records import OUTPUT
from tenure_agent.store.catalogue import Catalogue, Column, Model
from tenure_agent.store.database import Cursor
from tenure_agent.store.predictions import as_text, label_as_text, stored_names

ROLE = "['champion', 'challenger', 'shadow'][{0}.role + 1]"
OWN = {
    "id": "r.id",
    "time": "make_timestamp(r.time)",
    "version": "v.name",
    "role": ROLE.format("r"),
    "latency": "r.latency",
    "error": "r.error",
}


def create(cursor: Cursor) -> list[str]:
    """Make the views on a cursor of one's own, where they hide the tables of the same names; their names."""
    found = cursor.execute("SELECT current_database()").fetchone()
    place = f"{quoted(found[0] if found else '')}.main"
    made = _fixed(place)
    models = list(Catalogue(cursor).models.values())
    names = distinct(f"predictions_{model.name}" for model in models)
    made |= {name: _predictions(model, place) for name, model in zip(names, models, strict=True)}
    for name, query in made.items():
        cursor.execute(f"CREATE TEMP VIEW {quoted(name)} AS {query}")
    return list(made)


def _fixed(place: str) -> dict[str, str]:
    names = (
        f"JOIN {place}.models m ON m.model = t.model "
        f"JOIN {place}.versions v ON v.model = t.model AND v.version = t.version"
    )
    pending = (
        f"SELECT m.name AS model, v.name AS version, {ROLE.format('t')} AS role, make_timestamp(t.time) AS time, "
        f"coalesce(t.text, {as_text('t.number')}) AS prediction, t.segments FROM {place}.pending t {names}"
    )
    outcomes = (
        f"SELECT m.name AS model, o.id, make_timestamp(o.time) AS time, {label_as_text()} AS label, o.value "
        f"FROM {place}.outcomes o JOIN {place}.models m ON m.model = o.model"
    )
    summaries = (
        f"SELECT m.name AS model, v.name AS version, {ROLE.format('t')} AS role, t.segment, make_timestamp(t.bucket) AS time, "
        f"t.hash, octet_length(t.summary) AS bytes FROM {place}.summaries t {names}"
    )
    verdicts = (
        'SELECT m.name AS model, v.name AS version, t."check", t.segment, t.level, t.alone, make_timestamp(t."start") AS "start", '
        f'make_timestamp(t.time) AS "end", t.reason, t.detail FROM {place}.verdicts t {names}'
    )
    decisions = (
        'SELECT t.id, m.name AS model, v.name AS version, t.action, t."trigger", t.urgency, t.mode, t.reason, '
        "make_timestamp(t.time) AS time, t.evidence, t.state, t.attempts, t.last_error "
        f"FROM {place}.decisions t {names}"
    )
    return {
        "pending": pending,
        "outcomes": outcomes,
        "summaries": summaries,
        "verdicts": verdicts,
        "decisions": decisions,
    }


def _predictions(model: Model, place: str) -> str:
    chosen = ", ".join(f"{value} AS {quoted(name)}" for name, value in columns(model))
    return f"SELECT {chosen} FROM {rows(model, place)}"


def columns(model: Model) -> list[tuple[str, str]]:
    """What people see of a model's predictions: a name, and what stands for it in `rows`."""
    labels = []
    for part, name in model.columns:
        labels.append(f"output.{name}" if part == OUTPUT else f"feature.{name}" if name.lower() in OWN else name)
    values = [*OWN.values(), *(_value(column) for column in model.columns.values())]
    return list(zip(distinct([*OWN, *labels]), values, strict=True))


def rows(model: Model, place: str = "main") -> str:
    """Where they come from: `r` the rows, `v` their versions."""
    return f"{place}.{model.table} r JOIN {place}.versions v ON v.model = {model.number} AND v.version = r.version"


def _value(column: Column) -> str:
    """A column whose type changed is text; one that was never anything else is a truth value or a time."""
    stored = [f"r.{name}" for name in stored_names(column)]
    if len(stored) == 2:
        return f"coalesce({stored[1]}, {as_text(stored[0])})"
    if column.kinds == {"BOOLEAN"}:
        return f"CAST({stored[0]} AS BOOLEAN)"
    if column.kinds == {"DATETIME"}:  # one value that is no time must not spoil the query
        return f"CASE WHEN abs({stored[0]}) < 9.2e18 THEN make_timestamp(CAST({stored[0]} AS BIGINT)) END"
    return stored[0]


def distinct(names: Iterable[str]) -> list[str]:
    """Names told apart as DuckDB does, by more than their case: the later ones get a number."""
    taken: set[str] = set()
    made = []
    for name in names:
        number, free = 1, name
        while free.lower() in taken:
            number += 1
            free = f"{name}_{number}"
        taken.add(free.lower())
        made.append(free)
    return made
