"""How old rows are is told by when they came."""

from __future__ import annotations

from collections.abc import Callable

from tenure_agent.records import DAY, MINUTE
from tenure_agent.store import Database, expiry
from tenure_agent.store.catalogue import Catalogue
from tenure_proto.v1 import monitoring_pb2 as pb

Batch = Callable[..., pb.Batch]
Put = Callable[..., None]


def test_notes_of_age_are_few(database: Database, catalogue: Catalogue, put: Put, batch: Batch) -> None:
    for minute in range(100):
        put(batch({"x": [1.0]}))
        database.write(lambda cursor: expiry.note(cursor, catalogue, 14 * DAY, minute * MINUTE)).result()  # noqa: B023
    count = database.read(lambda cursor: cursor.execute("SELECT count(*) FROM ages").fetchall()).result()
    assert count == [(5,)]
