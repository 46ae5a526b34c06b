"""Room that removed rows still hold.

DuckDB gives a row group back once the last of its 122,880 rows is gone. Where models share a table, a few rows that are
kept for long would hold on to the room of all that came with them.
"""

from __future__ import annotations

from itertools import takewhile

from tenure_agent.store.connection import Cursor
from tenure_agent.store.predictions import one

GROUP = 122_880
SPARSE = GROUP // 4  # rows left of a group that are worth moving
WASTE = 2 * GROUP  # removed rows to put up with


def pack(cursor: Cursor, table: str) -> int:
    """Move what little is left of a table's oldest row groups to its end, in order; how many rows.

    Their room is used again from the next checkpoint on.
    """
    held = one(cursor.execute("SELECT estimated_size FROM duckdb_tables() WHERE table_name = ?", [table]))[0]
    if held - one(cursor.execute(f"SELECT count(*) FROM {table}"))[0] <= WASTE:
        return 0
    query = f"SELECT rowid // {GROUP} AS part, count(*) FROM {table} GROUP BY part ORDER BY part"
    groups = cursor.execute(query).fetchall()
    sparse = list(takewhile(lambda group: group[1] < SPARSE, groups[:-1]))  # the last one is being filled
    if not sparse:
        return 0
    oldest = f"rowid < {(sparse[-1][0] + 1) * GROUP}"
    cursor.execute(f"INSERT INTO {table} SELECT * FROM {table} WHERE {oldest}")
    return int(one(cursor.execute(f"DELETE FROM {table} WHERE {oldest}"))[0])
