"""The demo's folder: models, references, and the lineage of versions with every step, who took it and why."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tenure.lifecycle import Lineage, ModelVersion, Stage, Transition
from tenure_agent.builder import Rows, build_reference
from tenure_agent.demo.flights import FEATURES
from tenure_agent.demo.model import Array, LateModel, out_of_sample
from tenure_agent.losses import profile_losses

MODEL = "flights"


@dataclass(frozen=True, slots=True)
class Registry:
    """One folder."""

    folder: Path

    def model_path(self, version: str) -> Path:
        return self.folder / f"{MODEL}-{version}.pickle"

    def reference_path(self, version: str) -> Path:
        return self.folder / f"{MODEL}-{version}.reference"

    def train(self, version: str, rows: pd.DataFrame, late: Array) -> None:
        """Fit a version on rows in the order their truth became known; keep it with its reference."""
        LateModel(rows, late).save(self.model_path(version))
        predicted = out_of_sample(rows, late)
        columns: dict[tuple[str, str], Any] = {("output", "prediction"): predicted}
        for name in FEATURES:
            values = rows[name]
            texts = values.dtype.kind not in "fiu"
            columns["feature", name] = values.to_numpy(object) if texts else values.to_numpy(np.float64)
        losses = profile_losses("binary", predicted, late)
        source = f"{len(rows):,} training rows, predicted out of sample"
        build_reference(MODEL, version, Rows(columns), losses=losses, told=source).save(self.reference_path(version))

    def lineage(self) -> Lineage:
        path = self.folder / "lineage.json"
        return Lineage(tuple(_version(one) for one in json.loads(path.read_text()))) if path.exists() else Lineage()

    def save(self, lineage: Lineage) -> None:
        path = self.folder / "lineage.json"
        beside = path.with_suffix(".new")
        beside.write_text(json.dumps([_document(one) for one in lineage.versions], indent=1))
        beside.replace(path)


def _document(version: ModelVersion) -> dict[str, Any]:
    return {
        "model": version.model,
        "version": version.version,
        "stage": version.stage,
        "parent": version.parent,
        "created_at": version.created_at.isoformat(),
        "metrics": dict(version.metrics),
        "log": [
            {
                "source": step.source,
                "target": step.target,
                "actor": step.actor,
                "reason": step.reason,
                "time": step.time.isoformat(),
            }
            for step in version.log
        ],
    }


def _version(document: dict[str, Any]) -> ModelVersion:
    log = tuple(
        Transition(
            Stage(step["source"]),
            Stage(step["target"]),
            step["actor"],
            step["reason"],
            dt.datetime.fromisoformat(step["time"]),
        )
        for step in document["log"]
    )
    return ModelVersion(
        document["model"],
        document["version"],
        Stage(document["stage"]),
        document["parent"],
        created_at=dt.datetime.fromisoformat(document["created_at"]),
        metrics=document["metrics"],
        log=log,
    )
