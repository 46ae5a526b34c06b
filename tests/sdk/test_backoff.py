"""Pauses after failures: anything up to a bound that doubles, and stays within reason."""

from random import Random

import pytest

from tenure.backoff import MOST, Backoff


class Most(Random):
    """Always the longest pause."""

    def uniform(self, a: float, b: float) -> float:
        assert a == 0
        return b


@pytest.mark.parametrize(("failures", "seconds"), [(0, 0.1), (1, 0.2), (3, 0.8), (6, MOST), (10_000, MOST)])
def test_the_bound_doubles(failures: int, seconds: float) -> None:
    assert Backoff(Most()).seconds(failures) == seconds


def test_without_a_given_source_it_has_its_own() -> None:
    backoff = Backoff(None)
    pauses = {backoff.seconds(1) for _ in range(100)}
    assert len(pauses) > 1
    assert all(0 <= pause <= 0.2 for pause in pauses)
