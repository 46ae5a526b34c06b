"""The backlog under any order of events: nothing is lost uncounted, and nothing on its way is dropped."""

from collections import Counter

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tenure.backlog import Account, Backlog, Parcel, Stats

LIMIT = 100
MODELS = ("m", "n")
some_rows = st.dictionaries(st.sampled_from(MODELS), st.integers(0, 9))


class BacklogMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.account = Account()
        self.backlog = Backlog(self.account, LIMIT)
        self.emitted: Counter[str] = Counter()
        self.on_their_way: list[tuple[int, Parcel]] = []
        self.settled = 0  # the newest number that was acked or abandoned

    @rule(size=st.integers(0, 120), rows=some_rows)
    def add(self, size: int, rows: dict[str, int]) -> None:
        parcel = Parcel(bytes(size), rows)
        everything = [*self.backlog, parcel]

        self.backlog.add(parcel)

        self.emitted.update(rows)
        after = list(self.backlog)
        first, dropped = len(self.on_their_way), len(everything) - len(after)
        assert after == everything[:first] + everything[first + dropped :]  # the oldest go, but for what is on its way
        kept = sum(len(p.body) for p in after)
        assert kept <= LIMIT or len(after) == max(1, first)

    @precondition(lambda self: len(self.backlog) > len(self.on_their_way))
    @rule()
    def send(self) -> None:
        ahead = len(self.on_their_way)
        seq, parcel = self.backlog.numbered(ahead)

        assert seq == self.settled + 1 + ahead
        assert parcel is list(self.backlog)[ahead]
        self.on_their_way.append((seq, parcel))

    @precondition(lambda self: self.on_their_way)
    @rule(data=st.data())
    def send_again(self, data: st.DataObject) -> None:
        index = data.draw(st.integers(0, len(self.on_their_way) - 1))

        assert self.backlog.numbered(index) == self.on_their_way[index]  # it keeps its number and its rows

    @precondition(lambda self: self.on_their_way)
    @rule(data=st.data())
    def acknowledge(self, data: st.DataObject) -> None:
        seq, parcel = self.on_their_way.pop(0)
        assert [self.backlog.on_its_way(other) for other in (seq - 1, seq, seq + 1)] == [False, True, False]
        rejected = {model: data.draw(st.integers(0, rows)) for model, rows in parcel.rows.items()}
        acked = {model: self.account.acked[model] for model in MODELS}

        self.backlog.acknowledge(rejected)

        assert self.backlog.acked_seq == self.settled + 1 == seq
        for model, rows in parcel.rows.items():
            assert self.account.acked[model] == acked[model] + rows - rejected[model]
        self.settled = seq

    @rule()
    def abandon(self) -> None:
        self.settled += len(self.on_their_way)
        self.on_their_way = []

        self.backlog.abandon("shutdown")

        assert not self.backlog
        assert all(self.backlog.rows(model) == 0 for model in MODELS)

    @invariant()
    def every_row_is_in_one_place(self) -> None:
        for model in MODELS:
            stats = self.account.stats(model, self.backlog.rows(model))
            assert stats.acked + stats.queued + sum(stats.dropped.values()) == stats.emitted == self.emitted[model]
            assert min(stats.acked, stats.queued, *stats.dropped.values()) >= 0

    @invariant()
    def what_is_on_its_way_is_not_dropped(self) -> None:
        for held, (_, sent) in zip(self.backlog, self.on_their_way, strict=False):
            assert held is sent
        assert self.backlog.sent == len(self.on_their_way) <= len(self.backlog)

    @invariant()
    def losses_are_the_sum_of_what_was_dropped(self) -> None:
        assert self.account.losses == sum(self.account.dropped.values())


TestBacklog = BacklogMachine.TestCase


def parcel(rows: int, size: int = 40) -> Parcel:
    return Parcel(bytes(size), {"m": rows})


def test_over_the_limit_the_oldest_is_dropped() -> None:
    account = Account()
    backlog = Backlog(account, limit=100)
    for rows in (1, 2, 3):
        backlog.add(parcel(rows))

    assert account.stats("m", backlog.rows("m")) == Stats(emitted=6, acked=0, queued=5, dropped={"queue_full": 1})


def test_over_the_limit_what_is_on_its_way_stays() -> None:
    account = Account()
    backlog = Backlog(account, limit=100)
    backlog.add(parcel(1))
    sent = backlog.numbered(0)
    for rows in (2, 3):
        backlog.add(parcel(rows))

    assert account.dropped == {("m", "queue_full"): 2}
    assert backlog.numbered(0) == sent


def test_small_ones_grow_together_until_they_are_sent() -> None:
    backlog = Backlog(Account(), limit=10_000, merge=100)
    backlog.add(parcel(1))
    assert not backlog.whole(0)
    backlog.add(parcel(1))
    assert [len(one.body) for one in backlog] == [80]
    backlog.numbered(0)
    backlog.add(parcel(1))
    assert [len(one.body) for one in backlog] == [80, 40]
    assert [backlog.whole(index) for index in range(3)] == [True, False, False]
    backlog.add(parcel(1, size=200))
    assert [backlog.whole(index) for index in range(4)] == [True, True, True, False]


def test_one_parcel_over_the_limit_is_held_all_the_same() -> None:
    backlog = Backlog(Account(), limit=100)
    backlog.add(parcel(1, size=500))

    assert len(backlog) == 1


def test_an_account_knows_its_models_apart() -> None:
    account = Account()
    account.drop("queue_full", {"m": 2, "n": 3})
    account.drop("rejected", {"m": 1})

    assert account.stats("m", queued=4) == Stats(7, 0, 4, {"queue_full": 2, "rejected": 1})
    assert account.stats("n", queued=0) == Stats(3, 0, 0, {"queue_full": 3})
    assert account.stats("unknown", queued=0) == Stats(0, 0, 0, {})


@pytest.mark.parametrize("reason", ["shutdown", "queue_full"])
def test_nothing_is_abandoned_twice(reason: str) -> None:
    account = Account()
    backlog = Backlog(account, limit=100)
    backlog.add(parcel(2))
    backlog.abandon(reason)
    backlog.abandon(reason)

    assert account.dropped == {("m", reason): 2}
