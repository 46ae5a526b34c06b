"""MLflow: a loaded pyfunc model whose predictions are recorded under the version its metadata names."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeVar

from tenure.errors import SettingError
from tenure.monitor import Monitor

M = TypeVar("M")


class Identity(NamedTuple):
    """What a loaded model says it is."""

    model: str
    version: str
    run_id: str | None


def identity(loaded: Any) -> Identity:
    """Name, version and run id from a loaded model's metadata.

    The name is the one it was logged under, else "model"; the version is the run that made it, else the id of the logged
    model, else its uuid.

    Raises
    ------
    SettingError
        It is no pyfunc model.
    """
    metadata = getattr(loaded, "metadata", None)
    if metadata is None or not hasattr(metadata, "model_uuid"):
        raise SettingError("loaded", loaded, "what mlflow.pyfunc.load_model returned")
    run, path = getattr(metadata, "run_id", None), getattr(metadata, "artifact_path", None)
    name = str(path).rstrip("/").rpartition("/")[2] if path and ":" not in str(path) else "model"
    version = run or getattr(metadata, "model_id", None) or metadata.model_uuid or "1"
    return Identity(name, str(version), run)


def watch(loaded: M, monitor: Monitor | None = None, *, id: str | None = None, time: str | None = None) -> M:
    """The loaded model, every predict recorded.

    Parameters
    ----------
    loaded
        What ``mlflow.pyfunc.load_model`` returned.
    monitor
        Default: a new one, by the name in the metadata. The version comes from the metadata in either case.
    id, time
        Columns that hold the prediction's id and event time.
    """
    found = identity(loaded)
    monitor = monitor or Monitor(found.model, found.version)
    return monitor.wrap(loaded, id=id, time=time, version=found.version)
