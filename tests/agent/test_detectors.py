"""Detectors against exact statistics, on any data."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tenure_agent import detectors
from tenure_agent.detectors import DETECTORS, kolmogorov_smirnov, population_stability_index
from tenure_agent.detectors.detector import column_sums
from tenure_agent.detectors.psi import merge_small
from tenure_agent.reference import build_reference
from tenure_agent.summary import Summary, summarise

Array = npt.NDArray[Any]
LAWS = settings(deadline=None, derandomize=True, max_examples=60)
KEY = ("feature", "x")
BIN = 1 / 1024


def measured(name: str, reference: Array, current: Array, declared: str | None = None) -> tuple[float, float]:
    built = build_reference("m", "1", {KEY: reference}, declared={"x": declared} if declared else None)
    [summary] = summarise(built, {KEY: current}, np.zeros(len(current), int), 1)
    found = DETECTORS[name](built, summary)
    return float(found.statistic[0]), float(found.p_value[0])


def ks(reference: Array, current: Array) -> tuple[float, float]:
    return measured("ks", reference, current)


def psi(reference: Array, current: Array, declared: str | None = None) -> tuple[float, float]:
    return measured("psi", reference, current, declared)


def texts(values: Any) -> Array:
    array = np.empty(len(values), object)
    array[:] = [str(value) for value in values]
    return array


@pytest.mark.parametrize("module", [name for _, name, _ in pkgutil.iter_modules(detectors.__path__)])
def test_doctests(module: str) -> None:
    found = doctest.testmod(importlib.import_module(f"tenure_agent.detectors.{module}"))
    assert found.failed == 0
    assert found.attempted > 0 or module == "detector"


def test_every_registered_detector_has_an_example() -> None:
    assert all(">>> " in (detector.__doc__ or "") for detector in DETECTORS.values())


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
    "infinite": (RNG.normal(size=5000), np.concatenate([RNG.normal(size=500), np.full(100, np.inf)])),
    "one row": (RNG.normal(size=5000), np.array([0.1])),
    "small reference": (RNG.normal(size=50), RNG.normal(size=2000)),
}


@pytest.mark.parametrize(("reference", "current"), PAIRS.values(), ids=PAIRS)
def test_ks_is_within_one_bin_of_the_exact_statistic(reference: Array, current: Array) -> None:
    statistic, p_value = ks(reference, current)
    exact = stats.ks_2samp(reference, current, method="asymp")

    assert exact.statistic - BIN <= statistic <= exact.statistic + 1e-12
    assert 0 <= p_value <= 1
    if len(current) >= 300:
        shifted = [
            float(stats.kstwobign.sf(d * np.sqrt(len(reference) * len(current) / (len(reference) + len(current)))))
            for d in (exact.statistic, exact.statistic - BIN)
        ]
        assert shifted[0] * 0.999 <= p_value <= shifted[1] * 1.001 + 1e-12


@LAWS
@given(
    st.lists(st.integers(-20, 20), min_size=30, max_size=400),
    st.lists(st.integers(-25, 25), min_size=1, max_size=200),
)
def test_ks_with_ties_is_exact(reference: list[int], current: list[int]) -> None:
    # Up to 1,024 rows every value has a bin of its own.
    first, second = np.array(reference, float), np.array(current, float)
    exact = stats.ks_2samp(first, second, method="asymp").statistic
    assert ks(first, second)[0] == pytest.approx(exact, abs=1e-12)


@LAWS
@given(st.integers(0, 2**32 - 1), st.integers(1100, 6000), st.integers(1, 500), st.integers(0, 3))
def test_ks_is_within_one_bin_whatever_the_rounding(seed: int, n: int, m: int, decimals: int) -> None:
    rng = np.random.default_rng(seed)
    reference, current = np.round(rng.normal(size=n), decimals), np.round(rng.normal(0.2, 1.3, size=m), decimals)
    exact = stats.ks_2samp(reference, current, method="asymp").statistic
    assert exact - BIN - 1e-12 <= ks(reference, current)[0] <= exact + 1e-12


@pytest.mark.parametrize(("reference", "_"), PAIRS.values(), ids=PAIRS)
def test_identical_samples_do_not_differ(reference: Array, _: Array) -> None:
    assert ks(reference, reference) == pytest.approx((0.0, 1.0))
    assert psi(reference, reference) == pytest.approx((0.0, 1.0))


@LAWS
@given(
    st.lists(st.floats(-100, 100), min_size=1, max_size=200),
    st.lists(st.floats(-150, 150), min_size=1, max_size=200),
)
def test_psi_is_never_negative(reference: list[float], current: list[float]) -> None:
    statistic, p_value = psi(np.array(reference), np.array(current))
    assert statistic >= 0
    assert 0 <= p_value <= 1


@LAWS
@given(st.lists(st.sampled_from("abcdefgh"), min_size=30, max_size=200), st.lists(st.sampled_from("abcz"), min_size=1))
def test_psi_of_categories_by_hand(reference: list[str], current: list[str]) -> None:
    names = sorted(set(reference))
    common = [name for name in names if reference.count(name) >= 0.01 * len(reference)]
    bins = [[name] for name in common] + [sorted(set(current) - set(common))]
    p = [(sum(map(reference.count, names)) + 0.5) / (len(reference) + len(bins) / 2) for names in bins]
    q = [(sum(map(current.count, names)) + 0.5) / (len(current) + len(bins) / 2) for names in bins]
    expected = sum((a - b) * np.log(a / b) for a, b in zip(p, q, strict=True))

    assert psi(texts(reference), texts(current), "categorical")[0] == pytest.approx(expected)


def test_psi_by_hand_over_ten_bins() -> None:
    reference, current = np.arange(1000.0), np.arange(1000.0) * 0.8
    p = (np.full(10, 100) + 0.5) / 1005
    q = (np.bincount(np.searchsorted(np.arange(99.0, 999.0, 100.0), current), minlength=10) + 0.5) / 1005
    assert psi(reference, current)[0] == pytest.approx(float(((p - q) * np.log(p / q)).sum()))


@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize(("reference", "current"), PAIRS.values(), ids=PAIRS)
def test_order_of_rows_does_not_matter(name: str, reference: Array, current: Array) -> None:
    rng = np.random.default_rng(1)
    first = measured(name, reference, current)
    assert measured(name, rng.permutation(reference), rng.permutation(current)) == pytest.approx(first, rel=1e-12)


@pytest.mark.parametrize("declared", ["numeric", "categorical"])
@pytest.mark.parametrize("name", DETECTORS)
def test_nothing_to_compare_is_not_a_number(name: str, declared: str) -> None:
    statistic, p_value = measured(name, np.arange(100.0), np.full(5, np.nan), declared)
    assert np.isnan(statistic)
    assert np.isnan(p_value)


def test_ks_leaves_categories_alone() -> None:
    statistic, _ = measured("ks", np.arange(100.0) % 3, np.arange(100.0) % 2, "categorical")
    assert np.isnan(statistic)


@pytest.mark.parametrize("name", DETECTORS)
def test_columns_do_not_disturb_each_other(name: str) -> None:
    rng = np.random.default_rng(2)
    old = {("feature", f"c{i}"): rng.normal(size=2000) for i in range(5)} | {
        ("feature", "t"): texts(rng.choice(3, 2000))
    }
    new = {key: values[:500] for key, values in old.items()}
    new["feature", "c3"] = new["feature", "c3"] + 1
    new["feature", "c4"] = np.full(500, np.nan)
    built = build_reference("m", "1", old)
    [summary] = summarise(built, new, np.zeros(500, int), 1)

    together = DETECTORS[name](built, summary)

    for i, (key, values) in enumerate(old.items()):
        alone_built = build_reference("m", "1", {key: values})
        [alone] = summarise(alone_built, {key: new[key]}, np.zeros(500, int), 1)
        alone_found = DETECTORS[name](alone_built, alone)
        assert together.statistic[i] == pytest.approx(alone_found.statistic[0], abs=1e-12, nan_ok=True)
        assert together.p_value[i] == pytest.approx(alone_found.p_value[0], abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("detector", [kolmogorov_smirnov, population_stability_index])
def test_reference_of_no_columns(detector: Any) -> None:
    nothing = build_reference("m", "1", {})
    found = detector(nothing, Summary.empty(nothing))
    assert (found.statistic.tolist(), found.p_value.tolist()) == ([], [])


@pytest.mark.parametrize(("n", "m"), [(5000, 300), (400, 5000), (600, 600)])
@pytest.mark.parametrize("categories", [3, 12, 60])
def test_psi_p_value_is_honest_when_nothing_changed(categories: int, n: int, m: int) -> None:
    rng = np.random.default_rng(categories)
    shares = np.full(categories, 1 / categories)
    p_values = []
    for _ in range(150):
        built = build_reference(
            "m", "1", {KEY: texts(rng.choice(categories, n, p=shares))}, declared={"x": "categorical"}
        )
        [summary] = summarise(built, {KEY: texts(rng.choice(categories, m, p=shares))}, np.zeros(m, int), 1)
        p_values.append(float(population_stability_index(built, summary).p_value[0]))
    assert np.mean(np.array(p_values) < 0.01) <= 0.05
    assert np.median(p_values) > 0.2


@pytest.mark.parametrize(("n", "m"), [(5000, 31), (300, 31), (120, 300)])
def test_psi_p_value_is_honest_in_small_windows(n: int, m: int) -> None:
    rng = np.random.default_rng(n)
    built = build_reference("m", "1", {("feature", f"c{i}"): rng.normal(size=n) for i in range(300)})
    [summary] = summarise(built, {column.key: rng.normal(size=m) for column in built.columns}, np.zeros(m, int), 1)
    p_values = population_stability_index(built, summary).p_value
    assert np.mean(p_values < 0.01) <= 0.03
    assert 0.3 < np.median(p_values) < 0.8


def test_ks_p_value_is_honest_when_nothing_changed() -> None:
    rng = np.random.default_rng(9)
    p_values = [ks(rng.normal(size=2000), rng.normal(size=400))[1] for _ in range(200)]
    assert np.mean(np.array(p_values) < 0.05) <= 0.1
    assert 0.3 < np.median(p_values) < 0.75


def test_small_bins_are_merged_until_each_expects_five() -> None:
    rng = np.random.default_rng(4)
    columns = {"x": rng.normal(size=500), "c": texts(rng.choice(40, 500)), "y": np.ones(500)}
    built = build_reference("m", "1", {("feature", name): values for name, values in columns.items()})
    starts = built.coarse_starts
    rows = rng.uniform(0, 4, size=int(starts[-1]))
    rows[starts[2] :] = 1.0

    merged, merged_starts = merge_small(built, rows)

    held = np.bincount(merged, rows)
    assert merged_starts[-1] == len(held)
    assert (held[: merged_starts[2]] >= 5).all()
    assert len(held[merged_starts[2] :]) == 1  # a column that expects fewer in all has one bin
    assert held.sum() == pytest.approx(rows.sum())
    assert (np.diff(merged[: starts[1]]) >= 0).all()  # numeric bins merge with their neighbours


def test_column_sums_over_the_last_axis() -> None:
    values = np.array([[1, 2, 3, 4], [5, 6, 7, 8]])
    assert column_sums(values, np.array([0, 1, 4])).tolist() == [[1, 9], [5, 21]]
