"""Decisions and their outbox: kept once, pending until they are taken or given up."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tenure_agent.records import Action, Decision, Trigger, Urgency
from tenure_agent.store import Database, decisions
from tenure_agent.store.catalogue import Catalogue
from tenure_agent.store.database import Cursor

HOUR = 3_600_000_000
Run = Callable[[Callable[[Cursor], Any]], Any]


def decision(time: int = HOUR, **changes: Any) -> Decision:
    evidence = {"labels": 10, "drift": {"readings": [{"column": 'a "b" ü', "statistic": 0.25}]}}
    made = Decision(
        "fraud", "1", Action.RETRAIN, Trigger.SCHEDULED, Urgency.ROUTINE, "Because it's due.", time, "act", evidence
    )
    return replace(made, **changes)


@pytest.fixture
def read(database: Database) -> Run:
    return lambda work: database.read(work).result()


@pytest.fixture
def keep(database: Database, catalogue: Catalogue) -> Callable[..., bool]:
    """Save a decision of version 1 or 2, by default to be posted."""

    def save(one: Decision, state: str = decisions.PENDING, now: int = HOUR) -> bool:
        def work(cursor: Cursor) -> bool:
            model = catalogue.model(cursor, one.model, now)
            version = catalogue.version(cursor, model, one.version, now)
            return decisions.save(cursor, model.number, version, one, now, state)

        return database.write(work).result()

    return save


def test_what_was_decided_comes_back_whole(keep: Callable[..., bool], read: Run) -> None:
    assert keep(decision())
    [letter] = read(decisions.listed)

    assert letter.decision == decision()
    assert (letter.state, letter.attempts, letter.last_error) == ("pending", 0, None)


def test_the_same_cause_is_kept_once(keep: Callable[..., bool], read: Run) -> None:
    assert keep(decision())
    assert not keep(decision(reason="said again"))
    assert keep(decision(2 * HOUR))
    assert len(read(decisions.listed)) == 2
    assert read(decisions.counts) == {"recorded": 0, "pending": 2, "delivered": 0, "dead": 0}


def test_listed_oldest_first_and_the_newest_of_many(keep: Callable[..., bool], read: Run) -> None:
    for hour in (3, 1, 2):
        keep(decision(hour * HOUR))
    assert [letter.decision.event_time // HOUR for letter in read(decisions.listed)] == [1, 2, 3]
    assert [letter.decision.event_time // HOUR for letter in read(lambda c: decisions.listed(c, 2))] == [2, 3]


def test_due_is_what_is_pending_and_whose_time_has_come(
    database: Database, keep: Callable[..., bool], read: Run
) -> None:
    for hour in (1, 2, 3, 4):
        keep(decision(hour * HOUR))
    keep(decision(5 * HOUR), decisions.RECORDED)
    for hour, state, at in ((1, "delivered", 0), (2, "pending", 10 * HOUR), (3, "dead", 0)):
        id_ = decision(hour * HOUR).id
        database.write(lambda c, i=id_, s=state, a=at: decisions.mark(c, i, s, 1, a, "HTTP 500")).result()  # type: ignore[misc]

    def due(now: int) -> list[int]:
        return [letter.decision.event_time // HOUR for letter in read(lambda c: decisions.due(c, now, 24 * HOUR))]

    assert due(HOUR - 1) == []
    assert due(9 * HOUR) == [4]
    assert due(10 * HOUR) == [2, 4]
    assert due(-15 * HOUR) == [2]  # nothing is put off by more than a day: the clock was ahead when this was
    assert read(decisions.counts) == {"recorded": 1, "pending": 2, "delivered": 1, "dead": 1}


def test_last_time_of_an_action(keep: Callable[..., bool], read: Run) -> None:
    def last(action: Action, version: int | None = None, model: int = 1) -> Any:
        return read(lambda c: decisions.last_time(c, model, action, version))

    assert last(Action.RETRAIN) is None
    keep(decision(2 * HOUR))
    keep(decision(HOUR, version="2"))
    keep(decision(9 * HOUR, model="other"))
    assert last(Action.RETRAIN) == last(Action.RETRAIN, 1) == 2 * HOUR
    assert last(Action.RETRAIN, 2) == HOUR
    assert last(Action.RETRAIN, 3) is None
    assert last(Action.ROLLBACK) is None
    assert last(Action.RETRAIN, model=2) == 9 * HOUR


def test_document_is_json(keep: Callable[..., bool], read: Run) -> None:
    keep(decision(), decisions.RECORDED)
    [letter] = read(decisions.listed)
    document = json.loads(json.dumps(letter.document(), allow_nan=False))

    assert document["event_time"] == "1970-01-01T01:00:00Z"
    assert (document["action"], document["trigger"], document["urgency"]) == ("retrain", "scheduled", "routine")
    assert (document["delivered"], document["state"], document["attempts"]) == (False, "recorded", 0)
    assert document["id"] == decision().id


def test_a_row_that_was_tampered_with_is_not_posted(database: Database, keep: Callable[..., bool], read: Run) -> None:
    keep(decision())
    database.write(lambda c: c.execute("UPDATE decisions SET action = 'rollback'")).result()
    with pytest.raises(LookupError, match="does not match its own content"):
        read(decisions.listed)
