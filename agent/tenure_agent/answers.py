"""What a running agent answers to command-line verbs: JSON documents, one contract per verb."""

from __future__ import annotations

import asyncio
import math
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
from tenure_agent.store import Database, decisions, outcomes, predictions, question, verdicts
from tenure_agent.store.catalogue import Catalogue, Model
from tenure_agent.store.damage import files_set_aside
from tenure_agent.store.database import Cursor

MOST_ROWS, MOST_SECONDS = 100_000, 300.0
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
            "progress": self.progress,
            "check": self.check,
            "decisions": self.decisions,
            "verdicts": self.verdicts,
            "quality": self.quality,
            "export": self.export,
            "sql": self.sql,
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
            "lost_after_ack": self._ingest.lost_after_ack,
            "store": {
                "state": "full" if self._database.room.full else "ok",
                "free": self._database.room.free(),
                "set_aside": [str(path) for path in files_set_aside(self._database.path)],
            },
            **await self._database.async_read(read),
        }

    async def progress(self, _: Mapping[str, Any]) -> dict[str, Any]:
        """How far the agent is: the newest event time, whether all that was due by then has run, decisions to post."""
        newest = self._ingest.newest
        settled = self._scheduler.settled(newest)
        pending = (await self._database.async_read(decisions.counts))[decisions.PENDING] if settled else None
        return {"event_time": newest, "settled": settled, "pending": pending}

    async def check(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Review a model now, or all of them."""
        asked = arguments.get("model")
        names = [self._model(asked).name] if asked else list(self._catalogue.models)
        said: list[Verdict] = []
        for name in names:
            review = await self._reviewer.review(name, self._ingest.newest + 1)
            said += [] if review is None else [review.drift, review.performance]
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
                    "measures": {name: value for name, value in verdict.measures.items() if math.isfinite(value)},
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
        """Metrics of one or more versions or roles, side by side on the labelled rows that all of them scored.

        `series` is a list of {version, role}; without a version, whichever had the role.
        """
        model = self._model(arguments.get("model"))
        series = [(self._version(model, one.get("version")), _role(one)) for one in arguments["series"]]
        span = int(arguments["start"]), int(arguments["end"])
        shared = await self._database.async_read(lambda cursor: outcomes.shared(cursor, model, series, span))
        metrics = arguments.get("metrics") or [default_metric("binary")]
        measured = [
            {name: _finite(measure(name, predictions_, shared.labels)) for name in metrics}
            for predictions_ in shared.predictions
        ]
        return {"rows": len(shared.labels), "measures": measured}

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

    async def sql(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """What a query reads: columns, rows and whether these are all."""
        query = str(arguments.get("query", ""))
        rows = min(max(int(arguments.get("rows", 1000)), 1), MOST_ROWS)
        seconds = min(max(float(arguments.get("seconds", 10.0)), 0.1), MOST_SECONDS)
        asked = self._database.ask(lambda cursor: question.ask(cursor, query, rows=rows, seconds=seconds))
        found = await asyncio.wrap_future(asked)
        columns = [{"name": name, "type": type_} for name, type_ in found.columns]
        return {"columns": columns, "rows": found.rows, "complete": found.complete}

    def _version(self, model: Model, name: Any) -> int | None:
        if name is None or str(name) in model.versions:
            return None if name is None else model.versions[str(name)]
        raise TenureError(f"version: {name!r} is unknown. Try: {', '.join(model.versions)}")

    def _model(self, name: Any) -> Model:
        known = self._catalogue.models
        if name in known:
            return known[name]
        if name is None and len(known) == 1:
            return next(iter(known.values()))
        raise TenureError(f"model: {name!r} is unknown. Try: {', '.join(known) or 'wait for its first prediction'}")


def _finite(value: float) -> float | None:
    """JSON has no NaN."""
    return value if math.isfinite(value) else None


def _role(one: Mapping[str, Any]) -> int:
    role = str(one.get("role", ROLES[0]))
    if role not in ROLES:
        raise TenureError(f"role: {role!r} is unknown. Try: {', '.join(ROLES)}")
    return ROLES.index(role)
