"""Room that removed rows still hold.

DuckDB gives a row group back once the last of its 122,880 rows is gone. Where models share a table, a few rows that are
kept for long would hold on to the room of all that came with them.
"""

from __future__ import annotations

from tenure_agent.store.connection import Cursor
from tenure_agent.store.predictions import one

GROUP = 122_880
SPARSE = GROUP // 4  # rows left of a group that are worth moving
WASTE = 2 * GROUP  # removed rows to put up with


def pack(cursor: Cursor, table: str) -> int:
    """Move what little is left of row groups to the table's end, in order; how many rows.

    Their room is used again from the next checkpoint on.
    """
    held = one(cursor.execute("SELECT estimated_size FROM duckdb_tables() WHERE table_name = ?", [table]))[0]
    if held - one(cursor.execute(f"SELECT count(*) FROM {table}"))[0] <= WASTE:
        return 0
    query = f"SELECT rowid // {GROUP} AS part, count(*) FROM {table} GROUP BY part ORDER BY part"
    groups = cursor.execute(query).fetchall()
    sparse = [str(part) for part, rows in groups[:-1] if rows < SPARSE]  # the last one is being filled
    if not sparse:
        return 0
    few = f"rowid < {groups[-1][0] * GROUP} AND rowid // {GROUP} IN ({', '.join(sparse)})"  # not those that are moved
    cursor.execute(f"INSERT INTO {table} SELECT * FROM {table} WHERE {few}")
    return int(one(cursor.execute(f"DELETE FROM {table} WHERE {few}"))[0])
