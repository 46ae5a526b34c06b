"""Labels taken in bit by bit give what all of them at once give, and sums that run along give what the rows give."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tenure_agent.evidence import Evidence, Labelled
from tenure_agent.losses import loss_values, profile_losses
from tenure_agent.measures import SlidingAuc, auc_roc


def entries(rows: int, seed: int, *, ids: int | None = None) -> Labelled:
    """In the order they came: scores of few values, labels known up to 50 after the prediction, some of them twice."""
    rng = np.random.default_rng(seed)
    names = rng.integers(0, ids, rows) if ids else np.arange(rows)
    times = names * 7 if ids else np.arange(rows)
    known = times + rng.integers(0, 50, rows)
    return Labelled(
        np.round(rng.uniform(size=rows), 2),
        rng.integers(0, 2, rows).astype(float),
        known,
        times,
        names.astype(np.uint64),
    )


def literal(found: Labelled, since: int, now: int, newest: int) -> list[tuple[int, float, float]]:
    """(known, prediction, label) as the definition has it: of each prediction the last label known by then."""
    last: dict[int, tuple[int, int, int]] = {}
    for i, (name, known) in enumerate(zip(found.ids.tolist(), found.known.tolist(), strict=True)):
        if since <= known <= now and found.times[i] >= since and (known, i) >= last.get(name, (known, i, 0))[:2]:
            last[name] = known, i, name
    rows = [(known, int(found.times[i]), name, i) for known, i, name in last.values()]
    return [(known, float(found.predictions[i]), float(found.labels[i])) for known, _, _, i in sorted(rows)[-newest:]]


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10**6), st.lists(st.integers(1, 60), min_size=1, max_size=5), st.sampled_from([None, 40]), st.data()
)
def test_bit_by_bit_as_at_once(seed: int, parts: list[int], ids: int | None, data: st.DataObject) -> None:
    whole = entries(sum(parts), seed, ids=ids)
    evidence, done = Evidence(Labelled.none()), 0
    for rows in parts:
        evidence.add(whole[done : done + rows])
        done += rows
        newest_known = int(whole[:done].known.max())
        since, now = data.draw(st.integers(0, newest_known)), data.draw(st.integers(0, newest_known + 9))
        newest = data.draw(st.integers(1, 80))
        found = evidence.look(since, now, newest)
        said, true = found.first(len(found))
        expected = literal(whole[:done], since, now, newest)
        assert list(zip(found.known.tolist(), said.tolist(), true.tolist(), strict=True)) == expected


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10**6),
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=8),
    st.sampled_from([1, 30]),  # many changes are settled
)
def test_an_auc_that_slides_is_that_of_its_rows(seed: int, moves: list[tuple[int, int]], times: int) -> None:
    rows, moves = entries(400 * times, seed), [(come * times, gone * times) for come, gone in moves]
    low, high = 0, 20
    sliding = SlidingAuc(rows.predictions[low:high], rows.labels[low:high])
    for come, gone in moves:
        first, last = min(low + gone, high), high + come
        here, there = slice(high, last), slice(low, first)
        sliding.move(rows.predictions[here], rows.labels[here], rows.predictions[there], rows.labels[there])
        low, high = first, last
        expected = auc_roc(rows.predictions[low:high], rows.labels[low:high])
        np.testing.assert_equal(sliding.value, expected)


def test_losses_and_metrics_are_those_of_the_rows() -> None:
    whole = entries(3000, 5).in_order()
    [profile, *_] = profile_losses("binary", whole.predictions, whole.labels)
    evidence = Evidence(whole[:500])
    for now in range(500, 2900, 200):
        evidence.add(whole[now : now + 200])
        found = evidence.look(0, int(whole.known[now + 100]), 1000)
        said, true = found.first(len(found))
        assert found.mean_loss(profile, 300) == loss_values(profile.channel, said, true)[-300:].mean()
        start = int(found.known[-400])
        since = np.searchsorted(found.known, start)
        assert found.measured("auc_roc", start) == auc_roc(said[since:], true[since:])
        evidence.forget(1000)
    assert len(evidence.look(0, 10**9, 10**9)) < 1500
