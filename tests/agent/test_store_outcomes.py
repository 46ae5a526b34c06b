"""Delayed truth: joined to predictions, corrected, and known only from when it was known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tenure_agent.evidence import Evidence
from tenure_agent.store import Database, outcomes
from tenure_agent.store.catalogue import Catalogue
from tenure_proto.v1 import monitoring_pb2 as pb

SECOND = 1_000_000
HOUR = 3600 * SECOND
Batch = Callable[..., pb.Batch]
Truths = Callable[..., pb.Outcomes]
Put = Callable[..., None]


def labelled(database: Database, catalogue: Catalogue, **options: Any) -> list[tuple[Any, Any, int, int]]:
    """(prediction, label, known, time) of version 1, times in seconds."""
    asked = {"since": 0, "known": HOUR, "newest": 1000} | options
    version = asked.pop("version", 1)
    model = catalogue.models["fraud"]
    seen, since = (asked["known"], asked["newest"]), asked["since"]
    role = {"role": asked["role"]} if "role" in asked else {}
    entries = database.read(lambda cursor: outcomes.labelled(cursor, model, version, since=since, **role)).result()
    found = Evidence(entries).look(since, *seen)
    said, true = found.first(len(found))
    known, times = (found.known // SECOND).tolist(), (found.times // SECOND).tolist()
    return list(zip(said.tolist(), true.tolist(), known, times, strict=True))


@pytest.fixture(autouse=True)
def rows(batch: Batch, put: Put) -> None:
    """Four predictions at 1, 2, 3, 4 s."""
    put(batch({"x": [0.0] * 4}, ids=["a", "b", "c", "d"], outputs={"prediction": [0.1, 0.2, 0.3, 0.4]}))


def test_oldest_label_first(database: Database, catalogue: Catalogue, truths: Truths, put: Put) -> None:
    put(truths=[truths({"c": 1, "a": 0}, known=[20 * SECOND, 10 * SECOND]), truths({"b": 1}, known=30 * SECOND)])
    assert labelled(database, catalogue) == [(0.1, 0.0, 10, 1), (0.3, 1.0, 20, 3), (0.2, 1.0, 30, 2)]


def test_a_correction_replaces_what_it_corrects(
    database: Database, catalogue: Catalogue, truths: Truths, put: Put
) -> None:
    put(truths=[truths({"a": 0, "b": 0}, known=10 * SECOND)])
    put(truths=[truths({"a": 1}, known=20 * SECOND)])
    put(truths=[truths({"b": 1}, known=10 * SECOND)])  # at the same time: what came last

    assert labelled(database, catalogue) == [(0.2, 1.0, 10, 2), (0.1, 1.0, 20, 1)]
    assert labelled(database, catalogue, known=15 * SECOND) == [(0.1, 0.0, 10, 1), (0.2, 1.0, 10, 2)]
    assert labelled(database, catalogue, known=9 * SECOND) == []


def test_an_older_word_that_comes_late_changes_nothing(
    database: Database, catalogue: Catalogue, truths: Truths, put: Put
) -> None:
    put(truths=[truths({"a": 1}, known=20 * SECOND)])
    put(truths=[truths({"a": 0}, known=10 * SECOND)])
    assert labelled(database, catalogue) == [(0.1, 1.0, 20, 1)]


def test_the_newest_labels_only(database: Database, catalogue: Catalogue, truths: Truths, put: Put) -> None:
    put(truths=[truths(dict.fromkeys("abcd", 1), known=[10 * SECOND, 40 * SECOND, 30 * SECOND, 20 * SECOND])])
    assert [row[2] for row in labelled(database, catalogue, newest=2)] == [30, 40]


def test_since_leaves_out_old_predictions_and_old_labels(
    database: Database, catalogue: Catalogue, truths: Truths, put: Put
) -> None:
    put(truths=[truths(dict.fromkeys("abcd", 1), known=[2 * SECOND, 20 * SECOND, 20 * SECOND, 20 * SECOND])])
    assert [row[3] for row in labelled(database, catalogue, since=3 * SECOND)] == [3, 4]


def test_other_versions_roles_and_models_stay_apart(
    database: Database, catalogue: Catalogue, batch: Batch, truths: Truths, put: Put
) -> None:
    put(
        batch({"x": [0.0]}, version="2", ids=["a"], outputs={"prediction": [0.8]}),
        batch({"x": [0.0]}, role=pb.SHADOW, ids=["a"], outputs={"prediction": [0.9]}),
        truths=[truths({"a": 1})],
    )
    put(batch({"x": [0.0]}, model="other", ids=["b"], outputs={"prediction": [0.7]}))
    put(truths=[truths({"b": 1}, model="other")])

    assert [row[0] for row in labelled(database, catalogue)] == [0.1]
    assert [row[0] for row in labelled(database, catalogue, version=2)] == [0.8]
    assert [row[0] for row in labelled(database, catalogue, role=2)] == [0.9]


def test_a_truth_before_its_prediction_waits_for_it(
    database: Database, catalogue: Catalogue, batch: Batch, truths: Truths, put: Put
) -> None:
    put(truths=[truths({"late": 1}, known=10 * SECOND)])
    assert labelled(database, catalogue) == []
    put(batch({"x": [0.0]}, ids=["late"], start=9 * SECOND, outputs={"prediction": [0.5]}))
    assert labelled(database, catalogue) == [(0.5, 1.0, 10, 9)]


def test_what_has_no_prediction_or_no_label_is_left_out(
    database: Database, catalogue: Catalogue, batch: Batch, truths: Truths, put: Put
) -> None:
    put(
        batch({"x": [0.0]}, ids=["e"], outputs={"prediction": [None]}),
        truths=[truths({"a": None, "b": 1, "e": 1, "f": 1})],
    )
    assert [row[0] for row in labelled(database, catalogue)] == [0.2]


def test_no_prediction_column_no_labels(database: Database, catalogue: Catalogue, batch: Batch, put: Put) -> None:
    put(batch({"x": [0.0]}, model="blank"))
    model = catalogue.models["blank"]
    found = database.read(lambda c: outcomes.labelled(c, model, 1, since=0)).result()
    assert len(found) == 0


def test_class_names(database: Database, catalogue: Catalogue, batch: Batch, truths: Truths, put: Put) -> None:
    put(
        batch({"x": [0.0] * 3}, version="2", ids=["k", "l", "m"], outputs={"prediction": ["cat", "dog", "cat"]}),
        truths=[truths({"k": "cat", "l": "cat", "m": None})],
    )
    assert [row[:2] for row in labelled(database, catalogue, version=2)] == [("cat", "cat"), ("dog", "cat")]


def test_numbered_classes_meet_their_numbered_labels(
    database: Database, catalogue: Catalogue, batch: Batch, truths: Truths, put: Put
) -> None:
    # A model that returns {0: 0.2, 1: 0.8} predicts the text "1"; the truth is the number 1.
    put(
        batch({"x": [0.0] * 3}, version="2", ids=["k", "l", "m"], outputs={"prediction": ["1", "0", "0.5"]}),
        truths=[truths({"k": 1, "l": 0, "m": 0.5})],
    )
    assert [row[:2] for row in labelled(database, catalogue, version=2)] == [("1", "1"), ("0", "0"), ("0.5", "0.5")]


def test_counts(database: Database, catalogue: Catalogue, batch: Batch, truths: Truths, put: Put) -> None:
    assert database.read(outcomes.count_outcomes).result() == []
    put(truths=[truths({"a": 1, "b": 0}), truths({"a": 0})])
    assert database.read(outcomes.count_outcomes).result() == [(1, 3)]


def test_versions_side_by_side_on_rows_all_of_them_scored(
    database: Database, catalogue: Catalogue, batch: Batch, truths: Truths, put: Put
) -> None:
    put(
        batch(
            {"x": [0.0] * 3}, version="2", role=pb.SHADOW, ids=["a", "b", "z"], outputs={"prediction": [0.7, 0.8, 0.9]}
        ),
        truths=[truths({"a": 1, "b": 0, "c": 1}, known=[10 * SECOND, 11 * SECOND, 12 * SECOND])],
    )
    model = catalogue.models["fraud"]

    def side_by_side(series: list[tuple[int | None, int]], end: int = HOUR) -> tuple[list[list[float]], list[float]]:
        found = database.read(lambda cursor: outcomes.shared(cursor, model, series, (0, end))).result()
        return [one.tolist() for one in found.predictions], found.labels.tolist()

    assert side_by_side([(1, 0), (2, 2)]) == ([[0.1, 0.2], [0.7, 0.8]], [1, 0])
    assert side_by_side([(None, 0)]) == ([[0.1, 0.2, 0.3]], [1, 0, 1])
    assert side_by_side([(1, 0), (1, 1)]) == ([[], []], [])
    assert side_by_side([]) == ([], [])


def test_labels_are_counted_back_from_those_known(
    database: Database, catalogue: Catalogue, truths: Truths, put: Put
) -> None:
    put(truths=[truths({"a": 0, "b": 1, "c": 1, "d": 0}, known=[10 * SECOND, 20 * SECOND, 30 * SECOND, 40 * SECOND])])
    model = catalogue.models["fraud"]

    def known(newest: int, by: int | None) -> list[int]:
        by = None if by is None else by * SECOND
        query = outcomes.labelled
        found = database.read(lambda c: query(c, model, 1, since=0, newest=newest, known=by)).result()
        return [int(time) // SECOND for time in found.known]

    assert known(2, None) == [30, 40]
    assert known(2, 40) == [30, 40]
    assert known(2, 30) == [20, 30, 40]  # what is known later takes no place of what is known
    assert known(1, 5) == [10, 20, 30, 40]
    assert known(9, 20) == [10, 20, 30, 40]


def test_rows_stored_with_their_labels_are_found_without_looking_at_older_ones(
    database: Database, catalogue: Catalogue, batch: Batch, truths: Truths, put: Put
) -> None:
    put(truths=[truths({"a": 1, "b": 0})])
    put(batch({"x": [0.0] * 2}, ids=["k", "l"], outputs={"prediction": [0.5, 0.6]}), truths=[truths({"k": 1, "d": 1})])
    model = catalogue.models["fraud"]
    newest = database.read(lambda c: outcomes.extent(c, model, -1)).result().newest

    def found(*, paired: bool) -> list[float]:
        query = outcomes.labelled
        entries = database.read(lambda c: query(c, model, 1, since=0, after=newest - 2, paired=paired)).result()
        return sorted(entries.predictions.tolist())

    assert found(paired=True) == [0.5]
    assert found(paired=False) == [0.4, 0.5]  # a label that came later than its row
