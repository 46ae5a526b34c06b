"""What a running agent answers to command-line verbs: JSON documents, one contract per verb."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tenure.errors import TenureError
from tenure_agent import __version__
from tenure_agent.ingest import Ingest
from tenure_agent.measures import default_metric, measure
from tenure_agent.records import Verdict, iso
from tenure_agent.review import Reviewer
from tenure_agent.scheduler import EventScheduler, WallScheduler
from tenure_agent.store import Database, decisions, outcomes, predictions, verdicts
from tenure_agent.store.catalogue import Catalogue, Model
from tenure_agent.store.database import Cursor

ROLES = ("champion", "challenger", "shadow")


class Answers:
    """Every verb a running agent knows, each a coroutine from arguments to a JSON document."""

    def __init__(
        self,
        database: Database,
        catalogue: Catalogue,
        ingest: Ingest,
        reviewer: Reviewer,
        scheduler: WallScheduler | EventScheduler,
        addresses: Mapping[str, str],
    ) -> None:
        self._database = database
        self._catalogue = catalogue
        self._ingest = ingest
        self._reviewer = reviewer
        self._scheduler = scheduler
        self._addresses = addresses

    def verbs(self) -> dict[str, Any]:
        return {
            "status": self.status,
            "check": self.check,
            "decisions": self.decisions,
            "verdicts": self.verdicts,
            "quality": self.quality,
            "export": self.export,
        }

    async def status(self, _: Mapping[str, Any]) -> dict[str, Any]:
        """What is stored, what was said last, what is on its way."""

        def read(cursor: Cursor) -> dict[str, Any]:
            labelled = dict(outcomes.count_outcomes(cursor))
            stored = {
                model.name: {
                    "predictions": [
                        {"version": version, "role": ROLES[role], "rows": rows}
                        for version, role, rows in predictions.stored_counts(cursor, model)
                    ],
                    "outcomes": labelled.get(model.number, 0),
                }
                for model in self._catalogue.models.values()
            }
            said = [
                {k: row[k] for k in ("model", "version", "check", "level", "reason", "measures")}
                | {"time": iso(row["time"])}
                for row in verdicts.newest(cursor)
            ]
            return {
                "models": stored,
                "verdicts": said,
                "verdict_counts": verdicts.counts(cursor),
                "outbox": decisions.counts(cursor),
            }

        newest = self._ingest.newest
        return {
            "agent": __version__,
            "addresses": dict(self._addresses),
            "event_time": iso(newest) if newest else None,
            "settled": self._scheduler.settled(newest),
            "stored": self._ingest.stored(),
            "dropped": self._ingest.dropped(),
            **await self._database.async_read(read),
        }

    async def check(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Review a model now, or all of them."""
        asked = arguments.get("model")
        names = [self._model(asked).name] if asked else list(self._catalogue.models)
        said: list[Verdict] = []
        for name in names:
            said += await self._reviewer.review(name, self._ingest.newest + 1)
        return {
            "verdicts": [
                {
                    "model": verdict.model,
                    "version": verdict.version,
                    "check": verdict.check,
                    "level": verdict.level,
                    "reason": verdict.reason,
                    "rows": verdict.rows,
                    "window": {"start": iso(verdict.window.start), "end": iso(verdict.window.end)},
                    "measures": dict(verdict.measures),
                }
                for verdict in said
            ]
        }

    async def decisions(self, _: Mapping[str, Any]) -> dict[str, Any]:
        """Every decision with its state."""
        letters = await self._database.async_read(decisions.listed)
        return {"decisions": [letter.document() for letter in letters]}

    async def verdicts(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Changes of verdicts after an event time (microseconds)."""
        after = int(arguments.get("after", 0))
        return {"changes": await self._database.async_read(lambda cursor: verdicts.changes(cursor, after))}

    async def quality(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """A metric of one version and role over labelled predictions made in [start, end)."""
        model = self._model(arguments.get("model"))
        version = model.versions.get(str(arguments.get("version")))
        if version is None:
            raise TenureError(f"version: {arguments.get('version')!r} is unknown. Try: {', '.join(model.versions)}")
        start, end = int(arguments["start"]), int(arguments["end"])
        role = ROLES.index(str(arguments.get("role", "champion")))

        def read(cursor: Cursor) -> outcomes.Labelled:
            return outcomes.labelled(cursor, model, version, since=start, known=end, newest=10_000_000, role=role)

        found = await self._database.async_read(read)
        metrics = arguments.get("metrics") or [default_metric("binary")]
        measured = {name: measure(name, found.predictions, found.labels) for name in metrics}
        return {"rows": len(found), "measures": measured}

    async def export(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Labelled champion rows of [start, end), labels known by `known`, as a Parquet file."""
        model = self._model(arguments.get("model"))
        start, end = int(arguments["start"]), int(arguments["end"])
        known = int(arguments.get("known", end))
        path = self._database.exports / f"{model.number}-{start}-{end}-{known}.parquet"
        rows = await self._database.async_read(
            lambda cursor: predictions.export_labelled(cursor, model, start, end, known, str(path))
        )
        return {"path": str(Path(path)), "rows": rows}

    def _model(self, name: Any) -> Model:
        known = self._catalogue.models
        if name in known:
            return known[name]
        if name is None and len(known) == 1:
            return next(iter(known.values()))
        raise TenureError(f"model: {name!r} is unknown. Try: {', '.join(known) or 'wait for its first prediction'}")
