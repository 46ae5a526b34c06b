"""Delayed outcomes, and the labelled predictions they make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tenure_agent.evidence import Labelled
from tenure_agent.store.catalogue import Catalogue, Model
from tenure_agent.store.database import Cursor
from tenure_agent.store.predictions import CHAMPION, filled, label_as_text, latest_outcomes, one, prediction_column

if TYPE_CHECKING:
    from tenure_agent.wire import Truths

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Extent:
    """What of a model's rows and outcomes there is: ingest numbers of the oldest row and of the newest of both.

    `slim` is how many rows are kept for their labels only.
    """

    oldest: int
    slim: int
    newest: int


def append(cursor: Cursor, catalogue: Catalogue, truths: Sequence[tuple[int, Truths]], now: int) -> None:
    """Append decoded outcomes of one model."""
    model = catalogue.model(cursor, truths[0][1].model, now)
    lengths = [len(t) for _, t in truths]
    numbers = np.concatenate([t.numbers for _, t in truths])
    values = np.concatenate([t.values for _, t in truths])
    arrays = {
        "batch": np.repeat(np.array([number for number, _ in truths], np.int64), lengths),
        "model": np.full(sum(lengths), model.number, np.int32),
        "id": np.concatenate([t.ids for _, t in truths]),
        "time": np.concatenate([t.times for _, t in truths]),
        "label_number": np.ma.masked_array(numbers, np.isnan(numbers)),
        "label_text": np.concatenate([t.texts for _, t in truths]),
        "value": np.ma.masked_array(values, np.isnan(values)),
    }
    names = ", ".join(arrays)
    cursor.register("incoming", arrays)
    try:
        cursor.execute(f"INSERT INTO outcomes ({names}) SELECT {names} FROM incoming")
    finally:
        cursor.unregister("incoming")


def extent(cursor: Cursor, model: Model, after: int) -> Extent:
    """
    Parameters
    ----------
    after
        An ingest number that is there no newer one than, or an older one.
    """
    query = (
        f"SELECT coalesce((SELECT batch FROM {model.table} LIMIT 1), 0), "
        "(SELECT count(*) FROM pending WHERE model = $model), "
        f"greatest($after, (SELECT max(batch) FROM {model.table} WHERE batch > $after), "
        "(SELECT max(batch) FROM outcomes WHERE batch > $after))"
    )
    return Extent(*map(int, one(cursor.execute(query, {"model": model.number, "after": after}))))


def labelled(
    cursor: Cursor,
    model: Model,
    version: int,
    *,
    since: int,
    after: int = -1,
    newest: int | None = None,
    known: int | None = None,
    last: bool = False,
    role: int = CHAMPION,
    paired: bool = False,
) -> Labelled:
    """Labelled predictions of a version that later ingest numbers have brought, be it the row or its label.

    Parameters
    ----------
    since
        Event time of the oldest prediction to look at, and of the oldest label.
    after
        An ingest number; -1: all there are.
    newest
        At most so many, counted back from the label known last by `known`; what is known later besides. None: all.
    known
        Event time; None: the end of time.
    last
        Of what is known by `known`, only the last label of each prediction: the sorting takes about as long as the rest.
    paired
        Every row and its labels came under one ingest number: older ones need not be gone through for each other.

    Returns
    -------
    In order; each label that came is an entry, also one that a later one corrects. A label is known no sooner than its
    prediction is made.
    """
    column = prediction_column(model)
    if column is None:
        return Labelled.none()
    stored, slim = (f"t{column.number}", "text") if column.has_texts else (f"n{column.number}", "number")
    label = label_as_text() if column.has_texts else "o.label_number"
    made = f"r.version = {version:d} AND r.role = {role:d} AND r.time >= {since:d}"
    chosen = f"{label} AS label, greatest(o.time, r.time) AS known, r.time, hash(o.id, r.time) AS ids, o.batch"
    told = f"SELECT * FROM outcomes WHERE model = {model.number} AND time >= {since:d} AND batch"
    own = f" AND r.batch > {after:d}" if paired else ""
    query = (
        f"WITH o AS MATERIALIZED ({told} > {after:d}), found AS ("
        f"SELECT r.{stored} AS p, {chosen} FROM {model.table} r JOIN o ON o.id = r.id WHERE {made}{own} UNION ALL "
        f"SELECT r.{slim}, {chosen} FROM pending r JOIN o ON md5_number(o.id) = r.id "
        f"WHERE r.model = {model.number} AND {made}"
    )
    if after >= 0 and not paired:
        query += (
            f" UNION ALL SELECT r.{stored}, {chosen} FROM (SELECT * FROM {model.table} WHERE batch > {after:d}) r "
            f"JOIN ({told} <= {after:d}) o ON o.id = r.id WHERE {made}"
        )
    query += "), whole AS MATERIALIZED (FROM found WHERE p IS NOT NULL AND label IS NOT NULL) "
    kept = "FROM whole"
    if newest is not None:
        late = "false" if known is None else f"known > {known:d}"
        rank = "row_number() OVER (PARTITION BY ids ORDER BY known DESC, batch DESC)"
        early = f"FROM whole WHERE NOT ({late}){f' QUALIFY {rank} = 1' if last else ''}"
        kept = f"({early} ORDER BY known DESC, time DESC, ids DESC LIMIT {newest:d}) UNION ALL FROM whole WHERE {late}"
    query += f"SELECT p, label, known, time, ids FROM ({kept}) ORDER BY batch"
    found = filled(cursor.execute(query).fetchnumpy())
    return Labelled(found["p"], found["label"], found["known"], found["time"], found["ids"]).in_order()


@dataclass(frozen=True, slots=True)
class Shared:
    """The same labelled rows as several versions scored them."""

    predictions: list[Array]
    labels: Array


def shared(cursor: Cursor, model: Model, series: Sequence[tuple[int | None, int]], span: tuple[int, int]) -> Shared:
    """Labelled rows with event time in [start, end) that every (version or any, role) scored, in one order."""
    column = prediction_column(model)
    if column is None or not series:
        return Shared([np.empty(0) for _ in series], np.empty(0))
    start, end = span
    stored = f"t{column.number}" if column.has_texts else f"n{column.number}"
    label = label_as_text() if column.has_texts else "o.label_number"
    joins = []
    for i, (version, role) in enumerate(series):
        of_version = "" if version is None else f" AND version = {version:d}"
        joins.append(
            f"JOIN (SELECT id, any_value({stored}) AS p{i} FROM {model.table} WHERE role = {role:d}{of_version} "
            f"AND time >= {start:d} AND time < {end:d} AND {stored} IS NOT NULL GROUP BY id) r{i} ON r{i}.id = o.id"
        )
    names = ", ".join(f"p{i}" for i in range(len(series)))
    query = (
        f"SELECT {names}, {label} AS label FROM ({latest_outcomes(model, end)}) o {' '.join(joins)} "
        "WHERE label IS NOT NULL ORDER BY o.known, o.id"
    )
    found = filled(cursor.execute(query).fetchnumpy())
    return Shared([found[f"p{i}"] for i in range(len(series))], found["label"])


def count_known(cursor: Cursor, model: Model, start: int, end: int) -> int:
    """Outcomes of a model that became known in [start, end]."""
    query = "SELECT count(*) FROM outcomes WHERE model = ? AND time >= ? AND time <= ?"
    return int(one(cursor.execute(query, [model.number, start, end]))[0])


def count_outcomes(cursor: Cursor) -> list[tuple[int, int]]:
    """Outcomes stored per model number."""
    return cursor.execute("SELECT model, count(*) FROM outcomes GROUP BY model ORDER BY model").fetchall()
