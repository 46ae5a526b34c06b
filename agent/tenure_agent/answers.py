"""What a running agent answers to command-line verbs: JSON documents, one contract per verb."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from typing import Any

from tenure.errors import TenureError
from tenure_agent import __version__
from tenure_agent.archive.archiving import Archiving
from tenure_agent.exports import Exports
from tenure_agent.ingest import Ingest
from tenure_agent.measures import default_metric, measure
from tenure_agent.records import ROLES, Verdict, iso
from tenure_agent.review import Reviewer
from tenure_agent.scheduler import EventScheduler, WallScheduler
from tenure_agent.store import Database, decisions, outcomes, predictions, question, verdicts
from tenure_agent.store.catalogue import Catalogue, Model
from tenure_agent.store.damage import files_set_aside
from tenure_agent.store.database import Cursor
from tenure_agent.store.export import FORMATS, Wanted

MOST_ROWS, MOST_SECONDS = 100_000, 300.0
LATEST = 4_102_444_800_000_000  # of event times: 2100


class Answers:
    """Every verb a running agent knows, each a coroutine from arguments to a JSON document."""

    VERBS = (
        *("status", "progress", "check", "decisions", "verdicts", "quality", "export", "export_part", "archive"),
        "sql",
    )

    def __init__(
        self,
        database: Database,
        catalogue: Catalogue,
        ingest: Ingest,
        reviewer: Reviewer,
        scheduler: WallScheduler | EventScheduler,
        exports: Exports,
        archiving: Archiving | None,
        addresses: Mapping[str, str],
    ) -> None:
        self._database = database
        self._catalogue = catalogue
        self._ingest = ingest
        self._reviewer = reviewer
        self._scheduler = scheduler
        self._exports = exports
        self._archiving = archiving
        self._addresses = addresses

    def verbs(self) -> dict[str, Any]:
        return {verb: getattr(self, verb) for verb in self.VERBS}

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
                for model in Catalogue(cursor).models.values()  # ours may know of a table that is not committed yet
            }
            said = [
                {k: row[k] for k in ("model", "version", "check", "segment", "level", "reason", "measures")}
                | {"evidence": row.get("evidence", {}), "time": iso(row["time"])}
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
            **taken_in(self._ingest, self._database, self._addresses),
            "settled": self._scheduler.settled(newest),
            "archive": None if self._archiving is None else self._archiving.state(),
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
            if review is not None:
                together = [] if review.multivariate is None else [review.multivariate]
                said += [review.drift, *review.segments, *together, review.performance, review.volume]
        return {
            "verdicts": [
                {
                    "model": verdict.model,
                    "version": verdict.version,
                    "check": verdict.check,
                    "segment": verdict.segment,
                    "level": verdict.level,
                    "reason": verdict.reason,
                    "rows": verdict.rows,
                    "window": {"start": iso(verdict.window.start), "end": iso(verdict.window.end)},
                    "measures": {name: value for name, value in verdict.measures.items() if math.isfinite(value)},
                    "evidence": verdict.evidence,
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
        """Rows with event times in [start, end) and the labels known by `known`, as a file to read by `export_part`."""
        role, form = str(arguments.get("role", ROLES[0])), str(arguments.get("form", "parquet"))
        if form not in FORMATS:
            raise TenureError(f"form: {form!r} is unknown. Try: {', '.join(FORMATS)}")
        asked, version = arguments.get("model"), arguments.get("version")
        wanted = Wanted(
            model=self._model(None).name if asked is None else str(asked),
            version=None if version is None else str(version),
            role=ROLES[_role({"role": role})],
            start=_time(arguments["start"]),
            end=_time(arguments.get("end", LATEST)),
            known=_time(arguments.get("known", LATEST)),
            labelled=bool(arguments.get("labelled", True)),
            form="csv" if form == "csv" else "parquet",
        )
        return await self._exports.write(wanted)

    async def export_part(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The next bytes of a file that `export` has written."""
        return await self._exports.part(arguments)

    async def archive(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Archive one range of what is stored by now, or up to the ingest number `upto` that an earlier answer named."""
        if self._archiving is None:
            raise TenureError("archive.url: nothing is archived. Try: archive: {url: ./archive} in tenure.yaml")
        return await self._archiving.step(int(arguments.get("upto", 0)))

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


def taken_in(ingest: Ingest, database: Database, addresses: Mapping[str, str]) -> dict[str, Any]:
    """What `status` says of any agent, a relay too."""
    return {
        "agent": __version__,
        "addresses": dict(addresses),
        "event_time": iso(ingest.newest) if ingest.newest else None,
        "stored": ingest.stored(),
        "dropped": ingest.dropped(),
        "lost_after_ack": ingest.lost_after_ack,
        "store": {
            "state": "full" if database.room.full else "ok",
            "free": database.room.free(),
            "set_aside": [str(path) for path in files_set_aside(database.path)],
        },
    }


def _finite(value: float) -> float | None:
    """JSON has no NaN."""
    return value if math.isfinite(value) else None


def _time(value: Any) -> int:
    return min(max(int(value), 0), LATEST)


def _role(one: Mapping[str, Any]) -> int:
    role = str(one.get("role", ROLES[0]))
    if role not in ROLES:
        raise TenureError(f"role: {role!r} is unknown. Try: {', '.join(ROLES)}")
    return ROLES.index(role)
