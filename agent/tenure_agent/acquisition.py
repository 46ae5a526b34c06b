"""References that a version acquires: from a file, configured or uploaded, or from live rows; and what they make void."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tenure_agent.builder import build_reference
from tenure_agent.gathering import Gathered
from tenure_agent.live_rows import LiveRows
from tenure_agent.model_config import ModelConfig, ReferenceConfig
from tenure_agent.reference import Reference
from tenure_agent.segment_builder import with_segments
from tenure_agent.store import references, steps, summaries
from tenure_agent.store.catalogue import Model
from tenure_agent.store.database import Cursor
from tenure_agent.stored_rows import declared_columns


def configured_file(settings: ReferenceConfig, version: str) -> Path | None:
    """The file that the configuration names for a version, where it is there."""
    if settings.file is None or {"/", "\0"} & set(version):  # the name comes from outside
        return None
    path = Path(settings.file.replace("{version}", version))
    try:
        return path if path.exists() else None
    except OSError:  # a name that is too long for one
        return None


def shipped(found: Reference, stored: Reference | None) -> Reference:
    """What a file holds; where it has no losses, with those learnt since over the same bins."""
    if stored is None or found.losses or stored.hash != found.hash:
        return found
    return replace(found, losses=stored.losses)


def built(model: Model, version: str, config: ModelConfig, found: Gathered, rows: LiveRows) -> Reference:
    """From live rows, with the segments that are configured.

    Raises
    ------
    RowsGone
        Some of them were removed meanwhile.
    """
    declared = declared_columns(model, config)
    whole = build_reference(
        model.name, version, rows, declared=declared, told=found.told, span=found.span, notices=found.notices
    )
    return with_segments(whole, rows, config.segments)


def take_up(
    cursor: Cursor, model: Model, version: int, reference: Reference, now: int, document: str, *, uploaded: str = ""
) -> None:
    """Store a version's reference, and forget what was found over the one before and does not hold for it.

    Parameters
    ----------
    document
        What it dumps: of a large one that takes seconds, for which the writer cannot be held up.
    uploaded
        The sha256 of the file where a monitor has sent it.
    """
    key = model.number, version
    stored = references.newest(cursor, *key)
    references.save(cursor, *key, reference, now, document, uploaded)
    if stored is None or not stored.same_counts(reference):
        summaries.reset(cursor, *key)
        steps.reset(cursor, *key)
        return
    for name in stored.recounted(reference):
        steps.reset(cursor, *key, name)
