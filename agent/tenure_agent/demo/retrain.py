"""What the control endpoint runs on `retrain`: train a successor on recent labelled rows, judge it, put it in shadow.

`python -m tenure_agent.demo.retrain FOLDER ADDRESS`, the signed event on standard input, one JSON line as output.
"""

from __future__ import annotations

import datetime as dt
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd

from tenure.lifecycle import Evidence, Stage, close, no_worse_than, successor
from tenure_agent.asking import Asking
from tenure_agent.demo.flights import CATEGORIES, NUMBERS
from tenure_agent.demo.model import LateModel
from tenure_agent.demo.registry import MODEL, Registry
from tenure_agent.measures import measure
from tenure_agent.records import micros

ACTOR = "control-endpoint"
TRAIN, HELD_OUT = dt.timedelta(days=60), dt.timedelta(days=7)


def retrain(registry: Registry, address: str, decision: dict[str, Any]) -> dict[str, Any]:
    """Open a successor for a decision, and take it as far as its evaluation lets it."""
    now = dt.datetime.fromisoformat(decision["event_time"])
    lineage = registry.lineage()
    serving = lineage.serving
    if serving is None or serving.version != decision["version"]:
        return {"done": False, "why": f"version {decision['version']} is not in production any more"}
    version = str(max(int(one.version) for one in lineage.versions) + 1)
    asked = f"asked for by decision {decision['id']} ({decision['trigger']})"
    candidate = successor(serving, version, actor=ACTOR, reason=asked, now=now)
    rows = labelled_rows(address, now - TRAIN - HELD_OUT - dt.timedelta(days=2), now)
    later = rows[rows.known >= now - HELD_OUT]
    earlier = rows[(rows.known >= now - HELD_OUT - TRAIN) & (rows.known < now - HELD_OUT)]
    said = LateModel(earlier, earlier.late.to_numpy(float)).predict(later)
    late = later.late.to_numpy(float)
    evidence = Evidence(
        metrics={name: measure(name, said, late) for name in ("brier", "auc_roc")},
        champion={name: measure(name, later.said.to_numpy(float), late) for name in ("brier", "auc_roc")},
    )
    new, old = evidence.metrics["brier"], evidence.champion["brier"]
    seen = f"Brier {new:.4f} against {old:.4f} of version {serving.version} on {len(later):,} later flights"
    judged = no_worse_than("brier", higher_is_better=False)(evidence)
    if judged:
        candidate = candidate.transition(
            Stage.EVALUATED, actor=ACTOR, reason=f"trained on {len(earlier):,} flights: {seen}", now=now
        )
        recent = rows[rows.known >= now - HELD_OUT - TRAIN]
        registry.train(version, recent, recent.late.to_numpy(float))
        reason = f"passed its evaluation gate; refitted on all {len(recent):,} flights to score live traffic unseen"
        candidate = candidate.transition(Stage.SHADOW, actor=ACTOR, reason=reason, now=now)
    else:
        candidate = close(candidate, actor=ACTOR, reason=f"failed its evaluation gate: {seen}", now=now)
    registry.save(lineage.put(candidate))
    return {"done": bool(judged), "version": version, "why": seen}


def labelled_rows(address: str, start: dt.datetime, end: dt.datetime) -> pd.DataFrame:
    """What was served and labelled by `end`, as the agent kept it, in the order the truth became known."""
    arguments = {"model": MODEL, "start": micros(start), "end": micros(end), "known": micros(end)}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "rows.parquet"
        asking = Asking(address)
        asking.export(arguments, out)
        asking.close()
        rows = _read_parquet(out)
    rows = rows.rename(columns={"label": "late", "output.prediction": "said"})
    rows["known"] = pd.to_datetime(rows.known, utc=True)
    numeric = ["late", "said", "hour", "weekday", *NUMBERS]
    rows[numeric] = rows[numeric].astype(float)
    texts = [name for name in CATEGORIES if name not in numeric]
    rows[texts] = rows[texts].astype(object)
    return rows.sort_values(["known", "id"], kind="stable").reset_index(drop=True)


def _read_parquet(path: Path) -> pd.DataFrame:
    import duckdb  # noqa: PLC0415  # pandas would need pyarrow

    with duckdb.connect() as connection:
        return connection.execute("SELECT * FROM read_parquet(?)", [str(path)]).df()


def main() -> None:
    folder, address = sys.argv[1:3]
    event = json.load(sys.stdin)
    print(json.dumps(retrain(Registry(Path(folder)), address, event["data"])))


if __name__ == "__main__":
    main()
