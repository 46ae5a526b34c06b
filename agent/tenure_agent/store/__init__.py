"""Everything that is SQL. One file per family of tables; nothing else in the agent writes a query."""

from tenure_agent.store.damage import StoreFull, StoreLost
from tenure_agent.store.database import Database, DatabaseLocked

__all__ = ["Database", "DatabaseLocked", "StoreFull", "StoreLost"]
