"""Labels of a store where most are corrections: as many predictions are looked at as there are, at every time."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tenure_agent.labels import Labels
from tenure_agent.store import Database, outcomes
from tenure_agent.store.catalogue import Catalogue
from tenure_proto.v1 import monitoring_pb2 as pb

SECOND = 1_000_000
TIMES, APART = 10, 3  # each label comes, so many seconds apart
NEWEST = 100
Seen = list[tuple[int, float, float]]


class Desk:
    """Predictions of the model `fraud`, one a second."""

    def __init__(
        self,
        database: Database,
        catalogue: Catalogue,
        batch: Callable[..., pb.Batch],
        truths: Callable[..., pb.Outcomes],
        put: Callable[..., None],
    ) -> None:
        self.database, self.catalogue = database, catalogue
        self._batch, self._truths, self._put = batch, truths, put
        self.revision = 0

    def serve(self, first: int, last: int, times: int = TIMES) -> None:
        """Predictions of the seconds [first, last), and their labels, of which the last differs from those before."""
        ids = [str(second) for second in range(first, last)]
        scores = [second / 10_000 for second in range(first, last)]
        told = [
            self._truths(
                dict.fromkeys(ids, float(i == times - 1)),
                known=[(second + APART * i) * SECOND for second in range(first, last)],
            )
            for i in range(times)
        ]
        self._put(
            self._batch({"x": scores}, ids=ids, start=first * SECOND, outputs={"prediction": scores}), truths=told
        )
        self.revision += 1

    def look(self, labels: Labels, now: int, since: int = 0) -> Seen:
        """(known, prediction, label) of the newest hundred; then what is older is forgotten, as a review does it."""
        model = self.catalogue.models["fraud"]
        asked = {"since": since * SECOND, "known": now * SECOND, "newest": NEWEST, "revision": self.revision}
        found = self.database.read(lambda cursor: labels.look(cursor, model, 1, **asked)).result()
        said, true = found.first(len(found))
        seen = list(zip((found.known // SECOND).tolist(), said.tolist(), true.tolist(), strict=True))
        labels.forget(model, 1, NEWEST)
        return seen


@pytest.fixture
def desk(
    database: Database,
    catalogue: Catalogue,
    batch: Callable[..., pb.Batch],
    truths: Callable[..., pb.Outcomes],
    put: Callable[..., None],
) -> Desk:
    return Desk(database, catalogue, batch, truths, put)


def expected(upto: int, now: int, times: int = TIMES, since: int = 0) -> Seen:
    """As the definition has it: of each prediction the last label known by then."""
    found = []
    for second in range(max(since, 1), upto):
        known = [
            (second + APART * i, float(i == times - 1)) for i in range(times) if since <= second + APART * i <= now
        ]
        if known:
            found.append((known[-1][0], second / 10_000, known[-1][1]))
    return sorted(found)[-NEWEST:]


def test_corrections_take_no_places_of_predictions(desk: Desk) -> None:
    desk.serve(1, 400)
    assert desk.look(Labels(), 5000) == expected(400, 5000)
    assert len(expected(400, 5000)) == NEWEST


@pytest.mark.parametrize("times", [1, TIMES, 200], ids=["never corrected", "corrected", "only corrections come"])
def test_as_time_goes_on_and_back(desk: Desk, times: int) -> None:
    running = Labels()
    for upto in range(1, 600, 60):
        desk.serve(upto, upto + 60, times)
        for now in (upto + 60, upto + 40, upto + 200, upto + 20):
            assert desk.look(running, now) == expected(upto + 60, now, times), (upto, now)
    assert desk.look(running, 700, since=500) == expected(601, 700, times, since=500)


def test_what_is_new_is_read_and_what_was_read_is_not_read_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    query = outcomes.labelled

    def counted(*args: object, after: int = -1, **options: object) -> object:
        asked.append(after)
        return query(*args, after=after, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(outcomes, "labelled", counted)
    desk.serve(1, 400)
    running = Labels()
    for upto in range(400, 460):
        desk.serve(upto, upto + 1)
        desk.look(running, 5000)
    assert len([after for after in asked if after == -1]) <= 4
