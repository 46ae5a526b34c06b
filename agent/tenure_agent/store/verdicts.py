"""Verdicts: what each check said by itself, and the level people were shown."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tenure_agent.records import Level, Verdict, Window
from tenure_agent.store.catalogue import Model
from tenure_agent.store.connection import Cursor
from tenure_agent.store.predictions import one

KEPT = 400 * 86_400 * 1_000_000  # microseconds: a year, and what it is compared with
LEARNT = 180  # the newest of the multivariate check, which learns from them after a restart
MOST = 10_000  # of a model, kept whole; of older ones as many at most


def append(cursor: Cursor, model: int, version: int, said: Sequence[tuple[Verdict, Level]]) -> None:
    """Of each pair the level is the check's own, the verdict's the one after episodes."""
    rows = [
        (
            model,
            version,
            verdict.check,
            alone,
            verdict.level,
            verdict.window.end,
            verdict.window.start,
            verdict.reason,
            _detail(verdict),
            verdict.segment,
        )
        for verdict, alone in said
    ]
    if rows:
        places = ", ".join(["(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"] * len(rows))
        cursor.execute(f"INSERT INTO verdicts VALUES {places}", [value for row in rows for value in row])


def _detail(verdict: Verdict) -> str:
    thresholds = {reading.detector: _short(reading.threshold) for reading in reversed(verdict.readings)}
    detail: dict[str, Any] = {
        "rows": verdict.rows,
        "measures": {name: value for name, value in verdict.measures.items() if math.isfinite(value)},
        "thresholds": thresholds,
        "readings": _by_column(verdict, thresholds),
    }
    if verdict.evidence:
        detail["evidence"] = verdict.evidence
    return json.dumps(detail, separators=(",", ":"), allow_nan=False)


def _by_column(verdict: Verdict, thresholds: Mapping[str, float | None]) -> list[dict[str, Any]]:
    """Readings as short as can be, for there are many: what is usual of them is left out.

    One document per column: its name, and by detector, unless it is 0 and OK, the `statistic`; `p` below 1, `threshold`
    where it is not that in `thresholds`, `n` where it is not the verdict's rows, `level` where it is not OK.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for reading in verdict.readings:
        said: dict[str, Any] = {"statistic": _short(reading.statistic)}
        if reading.p_value is not None and reading.p_value < 1:
            said["p"] = _short(reading.p_value, 3)
        if (threshold := _short(reading.threshold)) != thresholds[reading.detector]:
            said["threshold"] = threshold
        if reading.n != verdict.rows:
            said["n"] = reading.n
        if reading.level is not Level.OK:
            said["level"] = reading.level
        own = found.setdefault(reading.column, [])  # an input and an output may have one name
        column = next((one for one in own if reading.detector not in one), None)
        if column is None:
            own.append(column := {"column": reading.column})
        column[reading.detector] = said
    return [{k: v for k, v in one.items() if v != {"statistic": 0.0}} for own in found.values() for one in own]


def _short(value: float, digits: int = 6) -> float | None:
    """Rounded; None where it is no number, which JSON has no word for."""
    return float(f"{value:.{digits}g}") if math.isfinite(value) else None


def recent(cursor: Cursor, model: int, version: int, check: str, limit: int) -> list[tuple[Level, Level]]:
    """The newest (own level, shown level) pairs of a check that had enough data, oldest first."""
    query = (
        "SELECT alone, level FROM verdicts "
        "WHERE model = ? AND version = ? AND \"check\" = ? AND level NOT IN ('INSUFFICIENT_DATA', 'ERROR') "
        "ORDER BY time DESC LIMIT ?"
    )
    found = cursor.execute(query, [model, version, check, limit]).fetchall()
    return [(Level(alone), Level(level)) for alone, level in reversed(found)]


def newest_version(cursor: Cursor, model: int, check: str) -> int | None:
    """The version that a check spoke of last; None where it never did."""
    query = 'SELECT arg_max(version, (time, rowid)) FROM verdicts WHERE model = ? AND "check" = ?'
    found = one(cursor.execute(query, [model, check]))[0]
    return None if found is None else int(found)


def measured(cursor: Cursor, model: Model, version: int, check: str, limit: int) -> list[Verdict]:
    """The newest verdicts of a check, oldest first, with their measures and without their readings."""
    query = (
        'SELECT level, reason, "start", time, detail FROM verdicts WHERE model = ? AND version = ? AND "check" = ? '
        "ORDER BY time DESC LIMIT ?"
    )
    found = []
    for level, reason, start, end, detail in cursor.execute(query, [model.number, version, check, limit]).fetchall():
        known = json.loads(detail)
        of = model.name, model.version_name(version), check
        window = Window(int(start), int(end))
        found.append(Verdict(*of, Level(level), reason, window, known["rows"], measures=known["measures"]))
    return found[::-1]


def last_critical(cursor: Cursor, model: int, version: int, check: str) -> int | None:
    """Event time of a check's newest CRITICAL verdict."""
    query = "SELECT max(time) FROM verdicts WHERE model = ? AND version = ? AND \"check\" = ? AND level = 'CRITICAL'"
    found = cursor.execute(query, [model, version, check]).fetchone()
    return None if found is None or found[0] is None else int(found[0])


def segment_levels(cursor: Cursor, model: int, version: int, check: str) -> dict[str, tuple[Level, Level | None]]:
    """By segment, the newest level shown, and the newest of those with enough data."""
    query = (
        "SELECT segment, arg_max(level, time), arg_max(level, time) FILTER (level NOT IN ('INSUFFICIENT_DATA', 'ERROR')) "
        "FROM verdicts WHERE model = ? AND version = ? AND \"check\" = ? AND segment != '' GROUP BY segment"
    )
    found = cursor.execute(query, [model, version, check]).fetchall()
    return {name: (Level(shown), None if judged is None else Level(judged)) for name, shown, judged in found}


def alarms(cursor: Cursor, model: int, version: int, check: str, since: int) -> list[tuple[int, str]]:
    """Ends of the windows of a version that alarmed, later than `since`, and the segment, in order of time."""
    query = (
        'SELECT time, segment FROM verdicts WHERE model = ? AND version = ? AND "check" = ? AND time > ? '
        "AND level IN ('WARNING', 'CRITICAL') ORDER BY time"
    )
    found = cursor.execute(query, [model, version, check, since]).fetchall()
    return [(int(time), segment) for time, segment in found]


def counts(cursor: Cursor) -> Counter[str]:
    """Verdicts so far, by level."""
    found = cursor.execute("SELECT level, count(*) FROM verdicts GROUP BY level").fetchall()
    return Counter({level: int(n) for level, n in found})


def newest(cursor: Cursor) -> list[dict[str, Any]]:
    """The newest verdict of every model, version, check and segment, of volume of every model; of all rows first."""
    of = 't.model, CASE WHEN t."check" = \'volume\' THEN 0 ELSE t.version END, t."check", t.segment'
    query = (
        'SELECT m.name, v.name, t."check", t.segment, t.level, t.time, t."start", t.reason, t.detail FROM verdicts t '
        "JOIN models m ON m.model = t.model JOIN versions v ON v.model = t.model AND v.version = t.version "
        f"QUALIFY row_number() OVER (PARTITION BY {of} ORDER BY t.time DESC) = 1 "
        'ORDER BY m.name, v.name, t."check", t.segment'
    )
    names = ("model", "version", "check", "segment", "level", "time", "start", "reason")
    return [dict(zip(names, row[:8], strict=True)) | json.loads(row[8]) for row in cursor.execute(query).fetchall()]


def changes(cursor: Cursor, after: int) -> list[dict[str, Any]]:
    """Verdicts whose shown level differs from the one before, later than `after`, oldest first."""
    query = (
        'SELECT m.name, v.name, t."check", t.segment, t.level, t.previous, t.time, t.reason FROM (SELECT *, lag(level) OVER '
        '(PARTITION BY model, version, "check", segment ORDER BY time) AS previous FROM verdicts) t '
        "JOIN models m ON m.model = t.model JOIN versions v ON v.model = t.model AND v.version = t.version "
        "WHERE t.time > ? AND t.level IS DISTINCT FROM t.previous ORDER BY t.time, 1, 2, 3"
    )
    names = ("model", "version", "check", "segment", "level", "previous", "time", "reason")
    return [dict(zip(names, row, strict=True)) for row in cursor.execute(query, [after]).fetchall()]


def expire(cursor: Cursor, whole: int, now: int) -> int:
    """Remove what nobody asks for any more; how many that were.

    Of verdicts older than `whole`, and of those beyond the newest `MOST` of their model, the first and the last of each
    run of one level stay: when a level changed, and how long it held. Of the multivariate check the newest `LEARNT` stay.
    None stays for longer than `KEPT`.

    Parameters
    ----------
    whole, now
        Event times.
    """
    query = (
        "DELETE FROM verdicts WHERE time < ? OR rowid IN (SELECT line FROM ("
        "SELECT rowid AS line, time, \"check\" = 'multivariate' AND row_number() OVER (PARTITION BY model, version, "
        '"check", segment ORDER BY time DESC, rowid DESC) <= ? AS learnt, '
        "row_number() OVER (PARTITION BY model ORDER BY time DESC, rowid DESC) AS age, "
        "lag(level) OVER runs IS NOT DISTINCT FROM level AND lead(level) OVER runs IS NOT DISTINCT FROM level AS inside "
        'FROM verdicts WINDOW runs AS (PARTITION BY model, version, "check", segment ORDER BY time, rowid)) '
        "WHERE NOT learnt AND ((inside AND (time < ? OR age > ?)) OR age > ?))"
    )
    return int(one(cursor.execute(query, [now - KEPT, LEARNT, whole, MOST, 2 * MOST]))[0])
