"""Losses and how their mean moves on its own, held against a literal reading of the policy."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tenure_agent.losses import (
    ABSOLUTE,
    BRIER,
    ZERO_ONE,
    channels_of,
    long_run_variance,
    loss_values,
    profile_losses,
    task_of,
)

Array = npt.NDArray[Any]


def autoregressive(rho: float, rows: int, seed: int) -> Array:
    """AR(1) with unit innovations, from its stationary distribution."""
    noise = np.random.default_rng(seed).normal(size=rows)
    series = np.empty(rows)
    series[0] = noise[0] / math.sqrt(1 - rho**2)
    for i in range(1, rows):
        series[i] = rho * series[i - 1] + noise[i]
    return series


def literal_variance(losses: Sequence[float]) -> tuple[float, int, int]:
    """The policy's paragraph "Dependence", word for word and without arrays.

    Batch length b = 1, 2, 4, ...: the first whose batch means have lag-1 autocorrelation <= 2/sqrt(k) (k batches), or
    where 2b would leave < 6 batches. s2 = b var(batch means), df = k - 1. For each longer b' = 2b, 4b, ... with >= 6
    batches: s2 = max(s2, s2_b' (k' - 1) / q), q the upper 10% point of chi-squared with k' - 1 degrees of freedom.
    """
    n = len(losses)

    def means(b: int) -> list[float]:
        return [math.fsum(losses[i * b : (i + 1) * b]) / b for i in range(n // b)]

    def variance(values: list[float]) -> float:
        centre = math.fsum(values) / len(values)
        return math.fsum((v - centre) ** 2 for v in values) / (len(values) - 1)

    def lag_one(values: list[float]) -> float:
        centre = math.fsum(values) / len(values)
        spread = math.fsum((v - centre) ** 2 for v in values)
        pairs = itertools.pairwise(values)
        return math.fsum((a - centre) * (b - centre) for a, b in pairs) / spread if spread else 0.0

    b = 1
    while lag_one(means(b)) > 2 / math.sqrt(len(means(b))) and n // (2 * b) >= 6:
        b *= 2
    s2, df = b * variance(means(b)), len(means(b)) - 1
    longer = 2 * b
    while n // longer >= 6:
        k = n // longer
        s2 = max(s2, longer * variance(means(longer)) * (k - 1) / float(stats.chi2.isf(0.1, k - 1)))
        longer *= 2
    return s2, b, df


@pytest.mark.parametrize("rows", [100, 101, 383, 1000, 4096, 5000])
@pytest.mark.parametrize("rho", [0.0, 0.3, 0.8, 0.98])
def test_variance_is_the_policys(rho: float, rows: int) -> None:
    series = autoregressive(rho, rows, seed=rows)

    variance, batch, freedom = long_run_variance(series)
    expected = literal_variance(series.tolist())

    assert variance == pytest.approx(expected[0], rel=1e-9)
    assert (batch, freedom) == expected[1:]


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.lists(st.floats(0, 1, width=32), min_size=100, max_size=400))
def test_variance_is_the_policys_on_any_series(losses: list[float]) -> None:
    variance, batch, freedom = long_run_variance(np.array(losses))
    expected = literal_variance(losses)

    assert variance == pytest.approx(max(expected[0], 1e-12), rel=1e-6, abs=1e-12)
    if len(set(losses)) > 1:
        assert (batch, freedom) == expected[1:]


def test_independent_losses_keep_their_own_variance() -> None:
    estimates = [long_run_variance(np.random.default_rng(seed).normal(size=4000)) for seed in range(40)]

    assert 0.9 < float(np.median([variance for variance, _, _ in estimates])) < 1.25
    assert max(variance for variance, _, _ in estimates) < 2.5
    assert float(np.median([batch for _, batch, _ in estimates])) == 1


@pytest.mark.parametrize("rho", [0.5, 0.8, 0.95])
def test_dependent_losses_show_the_variance_of_their_mean(rho: float) -> None:
    # AR(1) with unit innovations: n Var(mean) -> 1 / (1 - rho)^2, while a single value has 1 / (1 - rho^2).
    true = 1 / (1 - rho) ** 2
    estimates = [long_run_variance(autoregressive(rho, 8000, seed)) for seed in range(20)]
    variance = float(np.median([variance for variance, _, _ in estimates]))

    assert 0.6 * true < variance < 1.8 * true
    assert variance > 1.5 / (1 - rho**2)


def test_stronger_dependence_gives_longer_batches_and_more_variance() -> None:
    by_rho = [long_run_variance(autoregressive(rho, 8000, seed=7)) for rho in (0.0, 0.5, 0.9, 0.99)]

    assert [batch for _, batch, _ in by_rho] == sorted(batch for _, batch, _ in by_rho)
    assert [variance for variance, _, _ in by_rho] == sorted(variance for variance, _, _ in by_rho)


def test_losses_that_never_move_have_a_variance_all_the_same() -> None:
    variance, batch, freedom = long_run_variance(np.zeros(500))
    assert (variance, batch, freedom) == (1e-12, 1, 499)


def test_loss_values_by_hand() -> None:
    said, true = np.array([0.9, 0.2, 0.5, 0.4]), np.array([1.0, 1.0, 0.0, 0.0])

    assert loss_values(ZERO_ONE, said, true).tolist() == [0, 1, 1, 0]
    assert loss_values(BRIER, said, true).tolist() == pytest.approx([0.01, 0.64, 0.25, 0.16])
    assert loss_values(ABSOLUTE, np.array([1.0, 5.0]), np.array([2.0, -5.0]), 4.0).tolist() == [0.25, 1.0]


def test_class_names_cost_one_when_they_differ() -> None:
    said, true = np.array(["cat", "dog", "dog"], object), np.array(["cat", "cat", "dog"], object)
    assert loss_values(ZERO_ONE, said, true).tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("said", "true", "task"),
    [
        (np.array([0.2, 0.9]), np.array([0.0, 1.0]), "binary"),
        (np.array([0.0, 1.0]), np.array([1.0, 1.0]), "binary"),
        (np.array([0.2, 0.9]), np.array([0.0, 2.0]), "regression"),
        (np.array(["a", "b"], object), np.array(["a", "a"], object), "multiclass"),
    ],
)
def test_task_is_guessed(said: Array, true: Array, task: str) -> None:
    assert task_of(said, true) == task


def test_channels_by_task() -> None:
    probabilities, classes, names = np.array([0.2, 0.9]), np.array([0.0, 1.0]), np.array(["a"], object)

    assert channels_of("binary", probabilities) == (ZERO_ONE, BRIER)
    assert channels_of("binary", classes) == (ZERO_ONE,)
    assert channels_of("multiclass", names) == (ZERO_ONE,)
    assert channels_of("regression", probabilities) == (ABSOLUTE,)


def test_binary_profile() -> None:
    rng = np.random.default_rng(1)
    said = rng.uniform(size=3000)
    true = (rng.uniform(size=3000) < said).astype(float)

    zero_one, brier = profile_losses("binary", said, true)

    assert (zero_one.channel, brier.channel) == (ZERO_ONE, BRIER)
    assert zero_one.mean == pytest.approx(float(np.mean((said >= 0.5) != (true >= 0.5))))
    assert brier.mean == pytest.approx(float(np.mean((said - true) ** 2)))
    assert (zero_one.rows, brier.rows) == (3000, 3000)
    assert zero_one.variance == pytest.approx(zero_one.mean * (1 - zero_one.mean), rel=0.3)


def test_regression_is_scaled_by_twice_the_99_percent_quantile_of_its_error() -> None:
    rng = np.random.default_rng(2)
    true = rng.normal(size=2000)
    said = true + rng.normal(size=2000)

    [profile] = profile_losses("regression", said, true)

    scale = 2 * float(np.quantile(np.abs(said - true), 0.99))
    assert profile.scale == pytest.approx(scale)
    assert profile.mean == pytest.approx(float(np.minimum(1, np.abs(said - true) / scale).mean()))


def test_a_perfect_regression_has_a_scale() -> None:
    [profile] = profile_losses("regression", np.arange(200.0), np.arange(200.0))
    assert (profile.scale, profile.mean) == (1.0, 0.0)


def test_too_few_labels_give_no_profile() -> None:
    assert profile_losses("binary", np.zeros(99), np.zeros(99)) == ()
    assert len(profile_losses("binary", np.zeros(100), np.zeros(100))) == 1
