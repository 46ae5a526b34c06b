"""What a running relay answers to command-line verbs: how it stands with its hub, and who knows the rest."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from tenure.errors import TenureError
from tenure_agent.answers import Answers, taken_in
from tenure_agent.backlog import Backlog
from tenure_agent.ingest import Ingest
from tenure_agent.relay import Relay
from tenure_agent.store import Database


class RelayAnswers:
    """Every verb an agent knows; a relay itself knows two of them."""

    def __init__(
        self,
        database: Database,
        ingest: Ingest,
        backlog: Backlog,
        relay: Relay,
        clock: Callable[[], int],
        addresses: Mapping[str, str],
    ) -> None:
        self._database = database
        self._ingest = ingest
        self._backlog = backlog
        self._relay = relay
        self._clock = clock
        self._addresses = addresses

    def verbs(self) -> dict[str, Callable[[Mapping[str, Any]], Awaitable[Any]]]:
        known: dict[str, Any] = {"status": self.status, "progress": self.progress}
        return {verb: known.get(verb, self._elsewhere) for verb in Answers.VERBS}

    async def status(self, _: Mapping[str, Any]) -> dict[str, Any]:
        """What came in, and what of it the hub has not yet."""
        unsent = self._backlog.unsent
        return {
            **taken_in(self._ingest, self._database, self._addresses),
            "upstream": {
                "address": self._relay.address,
                "connected": self._relay.connected,
                "reports": unsent.reports,
                "bytes": unsent.size,
                "oldest_seconds": round(self._backlog.oldest(self._clock()), 3),
            },
        }

    async def progress(self, _: Mapping[str, Any]) -> dict[str, Any]:
        """Whether the hub has everything."""
        waiting = self._backlog.unsent.reports
        return {"event_time": self._ingest.newest, "settled": not waiting, "pending": waiting}

    async def _elsewhere(self, _: Mapping[str, Any]) -> Any:
        hub = self._relay.address
        raise TenureError(f"this agent is a relay: it sends everything on and keeps no rows. Try: --agent {hub}")
