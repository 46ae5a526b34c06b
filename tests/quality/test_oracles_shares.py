"""Shares, distances and means against values other projects published, written down here with their source.

Where a definition differs from ours the test says how, and holds what must still agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from tenure_agent.bins import Layout
from tenure_agent.builder import Rows, build_reference
from tenure_agent.coarse import Coarse
from tenure_agent.detectors import DETECTORS
from tenure_agent.detectors.chi_squared import pearson
from tenure_agent.detectors.g_test import likelihood_ratio
from tenure_agent.detectors.jensen_shannon import distances
from tenure_agent.detectors.pairs import pair_of
from tenure_agent.summary import Summary
from tenure_agent.tally import summarise

Array = npt.NDArray[Any]
KEY = ("feature", "x")


def ours(detector: str, reference: Array, current: Array, declared: str | None = None) -> tuple[float, float]:
    """Statistic and p-value."""
    built = build_reference("m", "1", Rows({KEY: reference}), declared={"x": declared or "numeric"})
    [summary] = summarise(built.layout, {KEY: current}, np.zeros(len(current), int), 1)
    found = DETECTORS[detector].measure(built, summary)
    return float(found.statistic[0]), float(found.p_value[0])


def categories(counts: Mapping[str, int]) -> Array:
    return np.repeat(np.array(list(counts), object), list(counts.values()))


def test_alibi_detects_categories_shifted_by_one() -> None:
    # SeldonIO/alibi-detect, cd/tests/test_chisquare.py: every category one further, so that one is unseen; identical is none.
    values = np.random.default_rng(1).integers(0, 4, 750).astype(str).astype(object)
    moved = (values.astype(int) + 1).astype(str).astype(object)
    assert ours("chi_squared", values, moved, "categorical")[1] < 1e-6
    assert ours("chi_squared", values, values, "categorical") == pytest.approx((0.0, 1.0))
    assert ours("new_category", values, moved, "categorical")[0] == pytest.approx(float((moved == "4").mean()))


# Tables of two rows of which scipy's tests and Frouros' hold the data: R's first table, gh-13875, and "aabaab" against
# "bacccc" (Frouros, test_data_drift.py, p = 0.04657615). Without Yates' correction, which scipy makes for 2 x 2.
@pytest.mark.parametrize(
    ("first", "second"), [((12, 34, 23), (35, 31, 11)), ((1573, 3), (4, 0)), ((4, 2, 0), (1, 1, 4))]
)
def test_two_sample_chi_squared_of_scipy_and_frouros(first: tuple[int, ...], second: tuple[int, ...]) -> None:
    pair = pair_of(np.array(first), np.array(second), np.array([0, len(first)]))
    exact = stats.chi2_contingency([first, second], correction=False)
    assert pearson(pair)[0] == pytest.approx(exact.statistic, rel=1e-12)
    if first == (4, 2, 0):
        assert exact.statistic == pytest.approx(6.13333333, abs=1e-8)


# The same tables, and sparse ones, by scipy's G (Cressie and Read's power divergence with lambda 0), without Yates either.
@pytest.mark.parametrize(
    ("first", "second"),
    [
        *(((12, 34, 23), (35, 31, 11)), ((1573, 3), (4, 0)), ((4, 2, 0), (1, 1, 4))),
        *(((1, 0, 2, 1, 0, 3), (0, 2, 0, 1, 1, 0)), ((900, 1, 1, 1, 0), (80, 0, 0, 0, 1))),
    ],
)
def test_g_is_scipys_log_likelihood(first: tuple[int, ...], second: tuple[int, ...]) -> None:
    pair = pair_of(np.array(first), np.array(second), np.array([0, len(first)]))
    exact = stats.chi2_contingency([first, second], correction=False, lambda_="log-likelihood")
    assert likelihood_ratio(pair)[0] == pytest.approx(exact.statistic, rel=1e-9, abs=1e-9)


# deepchecks/deepchecks, tests/utils/drift_test.py: Cramer's V, theirs corrected for bias. With nulls as a category theirs
# gives 0.30 for the third row and 100 nulls; ours counts what is missing apart.
@pytest.mark.parametrize(
    ("reference", "current", "value"),
    [
        ({"a": 200, "b": 800}, {"a": 400, "b": 600}, 0.21),
        ({"a": 1000}, {"b": 1000}, 1.0),
        ({"a": 1000}, {"a": 1000}, 0.0),
    ],
)
def test_cramers_v_of_deepchecks(reference: dict[str, int], current: dict[str, int], value: float) -> None:
    found, _ = ours("chi_squared", categories(reference), categories(current), "categorical")
    assert found == pytest.approx(value, abs=0.01)


def js(first: list[float], second: list[float]) -> float:
    """Jensen-Shannon divergence in bits of two sets of counts."""
    nothing = Layout([])
    coarse = Coarse(nothing, Summary.empty(nothing))
    coarse.starts, coarse.widths = np.array([0, len(first)]), np.array([len(first)])
    coarse.missing = np.array([len(first) - 1])
    return float(distances(np.array(first), np.array(second), coarse)[0]) ** 2


# tensorflow/data-validation, tensorflow_data_validation/anomalies/metrics_test.cc: divergence in bits, our distance squared.
@pytest.mark.parametrize(
    ("first", "second", "divergence"),
    [
        ([2, 2, 1, 0, 0, 0], [0, 2, 0, 1, 1, 1], 0.6),  # b a c Z Y X
        ([3, 1], [4, 0], 0.13792538096),  # what is missing is a bin
        ([1, 1, 0], [1, 0, 1], 0.5),  # point masses
        ([1, 0], [0, 1], 1.0),
        ([5, 5], [5, 5], 0.0),
    ],
)
def test_jensen_shannon_of_tfdv(first: list[float], second: list[float], divergence: float) -> None:
    assert js(first, second) == pytest.approx(divergence, abs=1e-5)


# NannyML/nannyml, tests/drift/test_univariate_drift_methods.py, rounded to two places there. Theirs are Doane bins for
# numbers, so only the order of magnitude is held there; its categories are ours.
def test_jensen_shannon_of_nannyml() -> None:
    rng = np.random.RandomState(1)  # theirs
    assert ours("jensen_shannon", rng.normal(0, 1, 10_000), rng.normal(0, 1, 1000))[0] == pytest.approx(0.05, abs=0.02)
    rng = np.random.RandomState(1)
    before, now = rng.choice(np.linspace(0, 2, 6), 10_000), rng.choice(np.linspace(0, 2, 3), 1000)
    assert ours("jensen_shannon", before, now)[0] == pytest.approx(0.73, abs=0.01)
    rng = np.random.RandomState(1)
    texts, others = rng.choice(list("abcd"), 10_000).astype(object), rng.choice(list("abce"), 1000).astype(object)
    assert ours("jensen_shannon", texts, others, "categorical")[0] == pytest.approx(0.5, abs=0.01)


# NannyML (w_...) and Frouros (emd), and deepchecks' [50, 150) against [0, 100), theirs divided by the joint range of 149.
@pytest.mark.parametrize(
    ("first", "second", "rows", "seed", "distance"),
    [
        ((0, 1), (1, 1), (10_000, 1000), 1, 1.01),
        ((0, 1), (-4, 1), (100_000, 1000), 1, 3.99),
        ((1, 1), (5, 2), (100, 100), 31, 3.85346006),
    ],
)
def test_wasserstein_of_nannyml_and_frouros(
    first: tuple[float, float], second: tuple[float, float], rows: tuple[int, int], seed: int, distance: float
) -> None:
    rng = np.random.RandomState(seed)  # theirs
    before = rng.normal(*first, rows[0])
    if seed == 31:  # Frouros seeds each sample
        rng = np.random.RandomState(seed)
    found, _ = ours("wasserstein", before, rng.normal(*second, rows[1]))
    assert found * before.std(ddof=1) == pytest.approx(distance, abs=0.011)


def test_wasserstein_of_deepchecks() -> None:
    values = np.arange(100.0)
    assert ours("wasserstein", values, values + 50)[0] * values.std(ddof=1) / 149 == pytest.approx(0.33, abs=0.01)


def test_wasserstein_of_ten_times_as_wide_is_near() -> None:
    # NannyML w_wide: 7.18. Nearly half of the rows lie beyond the reference's range on either side; each tail is taken to
    # be spread evenly from the edge to the farthest value, which is too far by half: ours is an upper bound here.
    rng = np.random.RandomState(1)
    before = rng.normal(0, 1, 15_000)
    found, _ = ours("wasserstein", before, rng.normal(0, 10, 1_000_000))
    assert 7.18 <= found * before.std(ddof=1) < 20


def test_welchs_test_of_evidently() -> None:
    # evidentlyai/evidently, tests/stattests: t-test 0.084 with equal variances, which samples of equal size share in t but
    # not in degrees of freedom.
    reference = np.array([38.7, 41.5, 43.8, 44.5, 45.5, 46.0, 47.7, 58.0])
    current = np.array([39.2, 39.3, 39.7, 41.4, 41.8, 42.9, 43.3, 45.8])
    assert ours("mean_shift", reference, current)[1] == pytest.approx(0.084, abs=0.015)


def test_two_proportions_of_evidently() -> None:
    # The same source: a z-test of two proportions that are the same gives 1.
    values = np.array([1.0] * 10 + [np.nan] * 10)
    assert ours("missing", values, values) == (0.0, 1.0)
