"""Rows expire in the order they came, by age or for room; what late labels still need of them stays as slim rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tenure_agent.records import FEATURE
from tenure_agent.store import archive, predictions
from tenure_agent.store.catalogue import Catalogue, Model
from tenure_agent.store.database import Cursor
from tenure_agent.store.predictions import one

KEEP = 0.8  # of the room allowed is left taken, so that not every run has to make some
NOTES = 1000  # of the age allowed at most, kept as pairs of ingest number and time


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may be kept. Times are in microseconds, sizes in bytes; by a model's name, `horizons` is how long after
    a prediction its label is waited for, `segments` the features whose values are kept with it. `archived` rows only
    go by age; for room, others do.
    """

    age: int
    size: int
    horizons: Mapping[str, int]
    segments: Mapping[str, Sequence[str]] = field(default_factory=dict)
    archived: bool = False


@dataclass(frozen=True, slots=True)
class Expired:
    """What one run removed: whole rows, of which `slimmed` left a slim one, outcomes and slim rows.

    `lost` is how many of the rows and outcomes should have been archived first.
    """

    rows: int = 0
    slimmed: int = 0
    outcomes: int = 0
    pending: int = 0
    lost: int = 0

    def __add__(self, other: Expired) -> Expired:
        return Expired(
            self.rows + other.rows,
            self.slimmed + other.slimmed,
            self.outcomes + other.outcomes,
            self.pending + other.pending,
            self.lost + other.lost,
        )


def used_bytes(cursor: Cursor) -> int:
    """Bytes of the file that hold something, as of the last checkpoint."""
    return int(one(cursor.execute("SELECT used_blocks * block_size FROM pragma_database_size()"))[0])


def note(cursor: Cursor, catalogue: Catalogue, age: int, now: int) -> None:
    """Keep that what is stored by now came before now."""
    newest = predictions.newest_batch(cursor, catalogue)
    cursor.execute("DELETE FROM ages WHERE time > ?", [now])  # the clock was wrong then
    batch, time = one(cursor.execute("SELECT max(batch), max(time) FROM ages"))
    if batch is None or (newest > batch and now - time >= age // NOTES):
        cursor.execute("INSERT INTO ages VALUES (?, ?)", [newest, now])


def expire(cursor: Cursor, catalogue: Catalogue, limits: Limits, now: int, used: int) -> Expired:
    """Remove what is too old, and the oldest of what is too much.

    Parameters
    ----------
    now
        Microseconds since 1970 UTC, on the clock that `note` is told of.
    used
        See `used_bytes`; to be told after a checkpoint, as rows removed count until then.
    """
    old = one(cursor.execute("SELECT coalesce(max(batch), 0) FROM ages WHERE time <= ?", [now - limits.age]))[0]
    cursor.execute("DELETE FROM ages WHERE batch < ?", [old])
    models = list(catalogue.models.values())
    much, scarce = _much(cursor, models, used, limits.size)
    done = Expired()
    for model in models:
        number = f"model = {model.number}"
        alive = "false" if scarce else f"time > {now - limits.horizons.get(model.name, 0):d}"
        kept = archive.reach(cursor, model.number).archived
        aged = min(old, kept) if limits.archived else old
        # The version in service keeps its rows while it has no reference: that is to be taken from them.
        serves = (
            f"role = {predictions.CHAMPION} AND version = {predictions.champion(cursor, model, now + 1) or 'version'}"
        )
        waits = f"{serves} AND version NOT IN (SELECT version FROM refs WHERE {number})"
        gone = f"batch <= {much:d} OR (batch <= {aged:d} AND NOT ({waits}))"
        told = f"{number} AND batch <= {max(aged, much):d} AND NOT {alive}"
        early = f"batch > {kept:d} AND batch <= {much:d}" if limits.archived else "false"
        done += Expired(
            lost=_count(cursor, model.table, early) + _count(cursor, "outcomes", f"{told} AND {early}"),
            slimmed=_slim(cursor, model, gone, alive, limits.segments.get(model.name, ())),
            rows=_delete(cursor, model.table, gone),
            outcomes=_delete(cursor, "outcomes", told),
            pending=_delete(cursor, "pending", f"{number} AND NOT {alive}"),
        )
        archive.expired(cursor, model.number, max(aged, much))
    return done


def _much(cursor: Cursor, models: list[Model], used: int, size: int) -> tuple[int, bool]:
    """The ingest number up to which rows go for want of room, and whether what labels wait for must go with them."""
    if used <= size or not models:
        return 0, False
    whole = " UNION ALL ".join(f"SELECT batch FROM {model.table}" for model in models)
    rows = one(cursor.execute(f"SELECT count(*) FROM ({whole})"))[0]
    used = round(used * _share_alive(cursor, models, rows))
    if used <= size:
        return 0, False
    slim = one(cursor.execute("SELECT (SELECT count(*) FROM outcomes) + (SELECT count(*) FROM pending)"))[0]
    scarce = rows < slim / 10  # no whole rows to speak of are left to remove
    of = f"{whole} UNION ALL SELECT batch FROM outcomes" if scarce else whole
    cut = one(cursor.execute(f"SELECT quantile_disc(batch, {1 - KEEP * size / used:f}) FROM ({of})"))[0]
    return int(cut or 0), scarce


def _share_alive(cursor: Cursor, models: list[Model], rows: int) -> float:
    """Removed rows take room in the file until all of their row group (122,880 rows) is gone."""
    held = 0
    for model in models:
        query = f"SELECT sum(count) FROM pragma_storage_info('{model.table}') WHERE column_name = 'batch'"
        held += int(one(cursor.execute(f"{query} AND segment_type != 'VALIDITY'"))[0] or 0)
    return min(1.0, rows / held) if held else 1.0


def _slim(cursor: Cursor, model: Model, gone: str, alive: str, segments: Sequence[str]) -> int:
    column = predictions.prediction_column(model)
    if column is None:
        return 0
    number = f"n{column.number}" if column.has_numbers else "NULL"
    text = f"t{column.number}" if column.has_texts else "NULL"
    by = {name: model.columns[FEATURE, name] for name in segments if (FEATURE, name) in model.columns}
    values = ", ".join(predictions.value_as_text(of) for of in by.values())
    kept = f"MAP(?::VARCHAR[], [{values}])" if by else "NULL"
    inserted = cursor.execute(
        f"INSERT INTO pending SELECT {model.number}, md5_number(id), time, version, role, {number}, {text}, {kept} "
        f"FROM {model.table} WHERE ({gone}) AND {alive} AND id IS NOT NULL",
        [list(by)] if by else [],
    )
    return int(one(inserted)[0])


def _count(cursor: Cursor, table: str, which: str) -> int:
    return int(one(cursor.execute(f"SELECT count(*) FROM {table} WHERE {which}"))[0])


def _delete(cursor: Cursor, table: str, which: str) -> int:
    return int(one(cursor.execute(f"DELETE FROM {table} WHERE {which}"))[0])


def count_unmatched(cursor: Cursor, catalogue: Catalogue, after: int, upto: int) -> dict[str, int]:
    """Outcomes with ingest numbers in (after, upto] whose prediction is not stored, or no longer: by model."""
    found = {}
    for model in list(catalogue.models.values()):
        query = (
            f"SELECT count(*) FROM outcomes o WHERE model = {model.number} AND batch > ? AND batch <= ? "
            f"AND NOT EXISTS (SELECT 1 FROM {model.table} r WHERE r.id = o.id) "
            f"AND NOT EXISTS (SELECT 1 FROM pending p WHERE p.model = {model.number} AND p.id = md5_number(o.id))"
        )
        found[model.name] = int(one(cursor.execute(query, [after, upto]))[0])
    return found
