"""Detectors against exact statistics of the raw values, on any data."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tenure_agent.builder import Rows, build_reference
from tenure_agent.detectors import DETECTORS
from tenure_agent.tally import summarise

Array = npt.NDArray[Any]
LAWS = settings(deadline=None, derandomize=True, max_examples=25)


def bin_mass(rows: int) -> float:
    """The greatest share of a reference's rows in a bin that is not one value's own."""
    return max(1 / 1024, 5 / rows)


def texts(values: Any) -> Array:
    array = np.empty(len(values), object)
    array[:] = [str(value) for value in values]
    return array


def measured(name: str, reference: Array, current: Array, declared: str = "numeric") -> tuple[float, float]:
    key = ("feature", "x")
    built = build_reference("m", "1", Rows({key: reference}), declared={"x": declared})
    [summary] = summarise(built.layout, {key: current}, np.zeros(len(current), int), 1)
    found = DETECTORS[name].measure(built, summary)
    return float(found.statistic[0]), float(found.p_value[0])


RNG = np.random.default_rng(0)
PAIRS = {
    "alike": (RNG.normal(size=5000), RNG.normal(size=700)),
    "shifted": (RNG.normal(size=5000), RNG.normal(0.3, 1, size=900)),
    "wider": (RNG.normal(size=20_000), RNG.normal(0, 2, size=5000)),
    "apart": (RNG.uniform(size=3000), RNG.uniform(5, 6, size=300)),
    "below": (RNG.uniform(size=3000), RNG.uniform(-6, -5, size=300)),
    "ties": (RNG.poisson(3, 5000).astype(float), RNG.poisson(4, 1000).astype(float)),
    "cents": (np.round(RNG.exponential(5, 8000), 2), np.round(RNG.exponential(6, 900), 2)),
    "zeros": (
        np.concatenate([np.zeros(2000), RNG.exponential(size=3000)]),
        np.concatenate([np.zeros(800), RNG.exponential(size=300)]),
    ),
    "between the atoms": (np.repeat([0.0, 1.0], 3000), np.full(400, 0.5)),
    "just below an atom": (np.repeat([0.0, 1.0], 3000), np.full(400, np.nextafter(1.0, 0.0))),
    "just above an atom": (np.repeat([0.0, 1.0], 3000), np.full(400, np.nextafter(1.0, 2.0))),
    "constant": (np.full(3000, 7.0), np.full(400, 7.0)),
    "infinite": (RNG.normal(size=5000), np.concatenate([RNG.normal(size=500), np.full(100, np.inf)])),
    "infinite before": (np.concatenate([RNG.normal(size=500), np.full(100, -np.inf)]), RNG.normal(size=5000)),
    "one row": (RNG.normal(size=5000), np.array([0.1])),
    "small reference": (RNG.normal(size=50), RNG.normal(size=2000)),
}


@pytest.mark.parametrize(("reference", "current"), PAIRS.values(), ids=PAIRS)
def test_ks_is_within_one_bin_of_the_exact_statistic(reference: Array, current: Array) -> None:
    statistic, p_value = measured("ks", reference, current)
    exact, off = stats.ks_2samp(reference, current, method="asymp"), bin_mass(len(reference))

    assert exact.statistic - off - 1e-12 <= statistic <= exact.statistic + 1e-12
    assert 0 <= p_value <= 1
    if len(current) >= 300:
        rows = np.sqrt(len(reference) * len(current) / (len(reference) + len(current)))
        shifted = [float(stats.kstwobign.sf(d * rows)) for d in (exact.statistic, exact.statistic - off)]
        assert shifted[0] * 0.999 <= p_value <= shifted[1] * 1.001 + 1e-12


@LAWS
@given(
    st.lists(st.integers(-20, 20), min_size=30, max_size=400),
    st.lists(st.integers(-25, 25) | st.sampled_from([np.inf, -np.inf]), min_size=1, max_size=200),
)
def test_ks_with_ties_is_exact(reference: list[int], current: list[float]) -> None:
    # Up to 5,120 rows a value that over five share has a bin of its own.
    first, second = np.repeat(np.array(reference, float), 6), np.array(current, float)
    exact = stats.ks_2samp(first, second, method="asymp").statistic
    assert measured("ks", first, second)[0] == pytest.approx(exact, abs=1e-12)


@LAWS
@given(st.integers(0, 2**32 - 1), st.integers(10, 20_000), st.integers(1, 500), st.integers(0, 3))
def test_ks_is_within_one_bin_whatever_the_rounding(seed: int, n: int, m: int, decimals: int) -> None:
    rng = np.random.default_rng(seed)
    reference, current = np.round(rng.normal(size=n), decimals), np.round(rng.normal(0.2, 1.3, size=m), decimals)
    exact = stats.ks_2samp(reference, current, method="asymp").statistic
    assert exact - bin_mass(n) - 1e-12 <= measured("ks", reference, current)[0] <= exact + 1e-12


@pytest.mark.parametrize(("reference", "current"), PAIRS.values(), ids=PAIRS)
def test_wasserstein_is_near_the_exact_distance(reference: Array, current: Array) -> None:
    first, second = (values[np.isfinite(values)] for values in (reference, current))
    statistic = measured("wasserstein", reference, current)[0] * first.std(ddof=1)
    exact = stats.wasserstein_distance(first, second)
    if first.std() == 0:
        assert np.isnan(statistic)
    else:
        # Within what values may lie apart inside their bins. Of two tails beyond the range each is taken to be evenly spread.
        assert statistic == pytest.approx(exact, rel=0.11, abs=0.01)


@LAWS
@given(
    st.lists(st.integers(-20, 20), min_size=30, max_size=400), st.lists(st.integers(-20, 20), min_size=1, max_size=200)
)
def test_wasserstein_with_ties_inside_the_range_is_exact(reference: list[int], current: list[int]) -> None:
    first = np.repeat(np.array([*reference, -20, 20], float), 6)
    second = np.array([value for value in current if value in reference] or [20], float)
    expected = stats.wasserstein_distance(first, second) / first.std(ddof=1)
    assert measured("wasserstein", first, second)[0] == pytest.approx(expected, rel=1e-9, abs=1e-9)


@LAWS
@given(
    st.lists(st.floats(-100, 100), min_size=3, max_size=200, unique=True),
    st.lists(st.floats(-150, 150), min_size=3, max_size=200, unique=True),
)
def test_mean_shift_is_welchs(reference: list[float], current: list[float]) -> None:
    first, second = np.array(reference), np.array(current)
    statistic, p_value = measured("mean_shift", first, second)
    if first.std() < 1e-6:
        return
    assert statistic == pytest.approx(abs(second.mean() - first.mean()) / first.std(ddof=1), rel=1e-6, abs=1e-9)
    assert p_value == pytest.approx(stats.ttest_ind(first, second, equal_var=False).pvalue, rel=1e-6, abs=1e-9)


@LAWS
@given(st.lists(st.sampled_from("abcdefgh"), min_size=30, max_size=200), st.lists(st.sampled_from("abcz"), min_size=1))
def test_psi_of_categories_by_hand(reference: list[str], current: list[str]) -> None:
    kept = [name for name in set(reference) if reference.count(name) >= 5]
    bins = [[name] for name in kept] + [sorted(set(reference + current) - set(kept))]
    bins = [names for names in bins if names]
    p = [(sum(map(reference.count, names)) + 0.5) / (len(reference) + len(bins) / 2) for names in bins]
    q = [(sum(map(current.count, names)) + 0.5) / (len(current) + len(bins) / 2) for names in bins]
    expected = sum((a - b) * np.log(a / b) for a, b in zip(p, q, strict=True))

    assert measured("psi", texts(reference), texts(current), "categorical")[0] == pytest.approx(expected)


def test_psi_by_hand_over_ten_bins() -> None:
    reference, current = np.arange(1000.0), np.arange(1000.0) * 0.8
    p = (np.full(10, 100) + 0.5) / 1005
    q = (np.bincount(np.searchsorted(np.arange(99.0, 999.0, 100.0), current), minlength=10) + 0.5) / 1005
    assert measured("psi", reference, current)[0] == pytest.approx(float(((p - q) * np.log(p / q)).sum()))


@LAWS
@given(st.integers(2, 9), st.integers(0, 2**32 - 1), st.integers(100, 2000), st.integers(100, 2000))
def test_chi_squared_is_the_two_sample_test(categories: int, seed: int, n: int, m: int) -> None:
    rng = np.random.default_rng(seed)
    shares = rng.uniform(1, 2, size=(2, categories))
    first, second = (rng.choice(categories, rows, p=p / p.sum()) for rows, p in zip((n, m), shares, strict=True))
    table = np.array([np.bincount(sample, minlength=categories) for sample in (first, second)])
    if (table.sum(0) * min(n, m) / (n + m)).min() < 5:
        return
    exact = stats.chi2_contingency(table, correction=False)
    statistic, p_value = measured("chi_squared", texts(first), texts(second), "categorical")
    assert p_value == pytest.approx(exact.pvalue, rel=1e-6)
    if n == m:
        assert statistic == pytest.approx(stats.contingency.association(table, "cramer"), rel=1e-6)


def test_g_sees_change_among_rare_categories_and_is_honest_where_none_is() -> None:
    rng = np.random.default_rng(8)
    even, odd = np.full(120, 1 / 120), np.tile([0.4, 1.6], 60) / 120
    first = rng.choice(120, 1200, p=even)
    moved = measured("g_test", texts(first), texts(rng.choice(120, 480, p=odd)), "categorical")
    assert moved[1] < 1e-9
    assert moved[0] > DETECTORS["g_test"].floor
    alike = [measured("g_test", texts(first), texts(rng.choice(120, 480, p=even)), "categorical") for _ in range(60)]
    assert np.mean([statistic for statistic, _ in alike]) < 0.1  # what chance makes of so few rows is taken off
    assert np.mean([p_value < 0.05 for _, p_value in alike]) < 0.2
