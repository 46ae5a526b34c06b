"""References that a version acquires: from a file that ships with it, or from live rows; and what they make void."""

from __future__ import annotations

from dataclasses import replace

from tenure_agent.builder import build_reference
from tenure_agent.gathering import Gathered
from tenure_agent.live_rows import LiveRows
from tenure_agent.model_config import ModelConfig
from tenure_agent.reference import Reference
from tenure_agent.segment_builder import with_segments
from tenure_agent.store import references, steps, summaries
from tenure_agent.store.catalogue import Model
from tenure_agent.store.database import Cursor
from tenure_agent.stored_rows import declared_columns


def shipped(configured: Reference, stored: Reference | None) -> Reference:
    """What a file holds; where it has no losses, with those learnt since over the same bins."""
    if stored is None or configured.losses or stored.hash != configured.hash:
        return configured
    return replace(configured, losses=stored.losses)


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


def take_up(cursor: Cursor, model: Model, version: int, reference: Reference, now: int) -> None:
    """Store a version's reference, and forget what was found over the one before and does not hold for it."""
    key = model.number, version
    stored = references.newest(cursor, *key)
    references.save(cursor, *key, reference, now)
    if stored is None or not stored.same_counts(reference):
        summaries.reset(cursor, *key)
        steps.reset(cursor, *key)
        return
    for name in stored.recounted(reference):
        steps.reset(cursor, *key, name)
