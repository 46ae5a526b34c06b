"""An archive that may fail, and what is in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from tenure_agent.archive.place import Directory, PlaceFailed
from tenure_agent.builder import Rows, build_reference
from tenure_agent.store import Database, expiry, references
from tenure_agent.store.catalogue import Catalogue
from tenure_proto.v1 import monitoring_pb2 as pb

SECOND, DAY = 10**6, 86_400 * 10**6
Batch = Callable[..., pb.Batch]
Put = Callable[..., None]
Value = Callable[..., float]


class Ailing(Directory):
    """A place that fails while `ill`; `written` counts what was put there."""

    ill = False
    written = 0

    def put(self, staged: Path, name: str) -> None:
        if self.ill:
            raise PlaceFailed("archive.url: it is ill. Try: later")
        self.written += 1
        super().put(staged, name)


def read(root: Path, part: str, columns: str = "*") -> list[tuple[Any, ...]]:
    """What is archived, by anybody's reader."""
    if not list(root.glob(f"{part}/*/*/*.parquet")):
        return []
    with duckdb.connect() as connection:
        query = f"SELECT {columns} FROM read_parquet('{root}/{part}/*/*/*.parquet', union_by_name = true) ORDER BY ALL"
        return connection.execute(query).fetchall()


def note(database: Database, catalogue: Catalogue, now: int) -> None:
    database.write(lambda cursor: expiry.note(cursor, catalogue, 14 * DAY, now)).result()


def refer(database: Database, catalogue: Catalogue) -> None:
    of = build_reference("fraud", "1", Rows({("feature", "x"): np.arange(10.0)}))
    at = catalogue.models["fraud"].versions["1"]
    database.write(lambda cursor: references.save(cursor, 1, at, of, 0)).result()


def count(database: Database) -> int:
    found = database.read(lambda cursor: cursor.execute("SELECT count(*) FROM rows_1").fetchall()).result()
    return int(found[0][0])
