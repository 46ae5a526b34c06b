"""Our statistics against values other projects published or computed, written down here with their source.

KS is held to the exact statistic, to within the mass of a bin where rows are few. Where a definition differs from ours the test says how, and holds what must still
agree: the side of the threshold, or the order.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tenure_agent.builder import Rows, build_reference
from tenure_agent.detectors import DETECTORS
from tenure_agent.tally import summarise

Array = npt.NDArray[Any]
KEY = ("feature", "x")
BIN = 1 / 1024  # of the reference's rows, from 5,120 on; of fewer, five are in a bin
LARGE = 0.2  # the customary PSI that counts as large


def ours(detector: str, reference: Array, current: Array, declared: str | None = None) -> tuple[float, float]:
    """Statistic and p-value."""
    built = build_reference("m", "1", Rows({KEY: reference}), declared={"x": declared or "numeric"})
    [summary] = summarise(built.layout, {KEY: current}, np.zeros(len(current), int), 1)
    found = DETECTORS[detector].measure(built, summary)
    return float(found.statistic[0]), float(found.p_value[0])


def categories(counts: Mapping[str, int]) -> Array:
    return np.repeat(np.array(list(counts), object), list(counts.values()))


def numbers(counts: Mapping[int, int]) -> Array:
    return np.repeat(np.array(list(counts), float), list(counts.values()))


HUNDRED = np.linspace(1, 100, 100)
SIXTEEN = np.repeat([2.0, 3, 5, 6], [3, 4, 5, 4]), np.repeat([3.0, 4, 6, 7], [3, 4, 5, 4])
TIES = np.repeat([2.0, 3, 5, 6], [3, 4, 10, 4]), np.repeat([3.0, 4, 6, 7], [10, 2, 10, 4])

# scipy/scipy, scipy/stats/tests/test_stats.py, TestKSTwoSamples: statistic and exact p, two-sided.
SCIPY_KS: list[tuple[Any, Any, float, float]] = [
    ([0], [1], 1.0, 1.0),
    ([1], [0], 1.0, 1.0),
    ([1.01, 2.01], [1, 2, 3], 1 / 3, 1.0),
    ([0.99, 1.99], [1, 2, 3], 2 / 3, 0.6),
    ([1.01, 2.01], [1, 2, 3, 4], 0.5, 0.9333333333333333),
    ([0.99, 1.99], [1, 2, 3, 4], 0.75, 0.4),
    (HUNDRED, HUNDRED + 2.1, 0.03, 0.999999999996206),
    (HUNDRED, HUNDRED + 1.9, 0.02, 1.0),
    (HUNDRED, np.linspace(1, 100, 110) + 20.1, 0.2109090909090909, 0.015739183865607353),
    (HUNDRED, np.linspace(1, 100, 110) + 19.9, 0.2081818181818182, 0.017803803861026313),
    (*SIXTEEN, 0.3125, 0.4262934613454952),
    (*TIES, 0.34798534798534797, 0.0919245790168125),
]


@pytest.mark.parametrize(("first", "second", "statistic", "p_value"), SCIPY_KS)
def test_ks_of_scipys_small_samples_is_exact(first: Any, second: Any, statistic: float, p_value: float) -> None:
    x, y = np.array(first, float), np.array(second, float)
    for one, other in ((x, y), (y, x)):
        # Six of each row are as far apart, and have bins of their own.
        assert ours("ks", np.repeat(one, 6), np.repeat(other, 6))[0] == pytest.approx(statistic, abs=1e-12)
        found, chance = ours("ks", one, other)
        assert statistic - 5 / len(one) - 1e-12 <= found <= statistic + 1e-12
        # Ours is the asymptotic p of a slightly smaller D; theirs is exact, and smaller in small samples.
        if len(x) >= 100:
            assert p_value * 0.999 <= chance <= p_value * 1.8


# The same source, samples of rows that have no bin of their own: D is within one bin's mass.
def test_ks_of_scipys_large_samples_is_within_a_bin() -> None:
    x, y = np.linspace(1, 200, 10_000) - 1 / 10_000 / 110 / 4, np.linspace(2, 100, 110)
    for one, other in ((x, y), (y, x)):
        assert 0.5025 - max(BIN, 5 / len(one)) <= ours("ks", one, other)[0] <= 0.5025 + 1e-12

    rng = np.random.RandomState(123456)  # theirs
    x, y = rng.normal(size=3000), rng.normal(size=3001, scale=1.5)
    statistic, p_value = ours("ks", x, y)
    assert 0.11292880151060758 - 5 / len(x) <= statistic <= 0.11292880151060758 + 1e-12
    assert p_value < 1e-12


# NannyML/nannyml, tests/drift/test_drift.py: KS of ten equal chunks against the first ten weeks; f1 = randn(20160) with
# seed 167, 0.6 more from week 16 on. Theirs is binned too (from 10,000 reference rows on), off by up to 3e-4.
NANNYML_CHUNKS = (
    *(0.011012, 0.017163, 0.015675, 0.010813, 0.016865),
    *(0.014683, 0.018552, 0.113889, 0.254861, 0.253075),
)


def test_ks_of_nannymls_chunks() -> None:
    week = np.arange(20_160) // 1008 + 1  # ten-minute steps from 6 January 2020, week - 1 of the ISO calendar
    values = np.random.RandomState(167).randn(20_160)  # theirs
    values[week >= 16] += 0.6

    found = [ours("ks", values[week < 11], chunk)[0] for chunk in np.array_split(values, 10)]

    assert found == pytest.approx(NANNYML_CHUNKS, abs=BIN + 3e-4)


# IFCA-Advanced-Computing/frouros, frouros/tests/integration/test_data_drift.py, seed 31.
def frouros(first: tuple[float, float], second: tuple[float, float], rows: int, *, reseed: bool) -> tuple[Array, Array]:
    rng = np.random.RandomState(31)  # theirs
    reference = rng.normal(*first, rows)
    if reseed:
        rng = np.random.RandomState(31)
    return reference, rng.normal(*second, rows)


def test_ks_of_frouros_last_ten() -> None:
    reference, current = frouros((1, 1), (1, 1), 100, reseed=False)
    assert ours("ks", np.repeat(reference, 6), current[-10:])[0] == pytest.approx(0.27, abs=1e-12)
    statistic, p_value = ours("ks", reference, current[-10:])
    assert 0.27 - 5 / 100 <= statistic <= 0.27
    assert 0.4604691 * 0.95 < p_value < 0.4604691 * 1.5  # theirs is exact, and of 0.27


# Frouros: ten bins of equal width over both samples together and 2e-308 for an empty one, which gives 461.2 for samples
# far apart. Ours: ten bins of equal reference mass and half a row more in each. Both must see far and near alike.
def test_psi_of_frouros_far_and_near() -> None:
    far = ours("psi", *frouros((1, 1), (5, 2), 100, reseed=True))
    near = ours("psi", *frouros((1, 1), (1, 1), 500, reseed=False))  # theirs: 0.01840072

    assert LARGE < far[0] < 20
    assert far[1] < 1e-6
    assert near[0] < DETECTORS["psi"].floor
    assert near[1] > 0.05


# evidentlyai/evidently, tests/stattests/test_stattests.py, and whether it says drift. Its chi-square is one-sample, its
# Fisher test exact; ours are two-sample and by PSI. Held: the same verdict at their own threshold.
SIX = "123456"
EVIDENTLY: list[tuple[dict[str, int], dict[str, int], float, float, bool]] = [
    (
        dict(zip(SIX, (16, 18, 16, 14, 12, 12), strict=True)),
        dict(zip(SIX, (16,) * 5 + (8,), strict=True)),
        0.67309,
        0.05,
        False,
    ),
    (
        dict(zip(SIX, (32, 36, 32, 28, 24, 24), strict=True)),
        dict(zip(SIX, (16,) * 5 + (8,), strict=True)),
        0.67309,
        0.05,
        False,
    ),
    ({"a": 10, "b": 10}, {"a": 10, "b": 10}, 1.0, 0.05, False),
    ({"a": 5, "b": 5, "c": 8}, {"a": 4, "b": 6, "c": 8}, 0.8176, 0.5, False),
    ({"a": 45, "b": 45}, {"a": 30, "b": 60}, 0.033, 0.1, True),
    ({"a": 90, "b": 60}, {"a": 60, "b": 90}, 0.00078, 0.1, True),
]


@pytest.mark.parametrize(("reference", "current", "theirs", "threshold", "drift"), EVIDENTLY)
def test_categories_of_evidently(
    reference: dict[str, int], current: dict[str, int], theirs: float, threshold: float, drift: bool
) -> None:
    _, p_value = ours("psi", categories(reference), categories(current), "categorical")
    assert (p_value < threshold) is (theirs < threshold) is drift


@pytest.mark.parametrize("reference", [{"a": 2, "b": 4}, {"a": 3, "b": 3}])
def test_a_reference_of_six_rows_names_nobody_and_claims_nothing(reference: dict[str, int]) -> None:
    # The same source: 1.0 of the same six, and 0.181 of six "a" against three and three. No drift either.
    built = build_reference("m", "1", Rows({KEY: categories(reference)}))
    assert built.columns == ()
    assert built.notices == ("x: left out, no text that 5 rows share",)


def test_what_six_rows_cannot_show_is_not_claimed() -> None:
    # Evidently's exact Fisher test says 0.0021 for six "a" against six "b". Expecting three rows a bin, ours says nothing.
    statistic, p_value = ours("psi", categories({"a": 6}), categories({"b": 6}), "categorical")
    assert statistic > 1
    assert p_value == 1.0


def test_the_same_numbers_with_a_hole_do_not_differ() -> None:
    # Evidently's Hellinger distance of this pair is 0.
    values = np.array([38.7, 41.5, 43.8, 44.5, 45.5, 46.0, 47.7, 58.0, np.nan])
    assert ours("ks", values, values) == (0.0, 1.0)
    assert ours("psi", values, values)[0] == 0.0


def test_an_outlier_of_a_column_does_not_count_as_drift() -> None:
    # The same source: t-test 0.084, Anderson-Darling 0.0635, no drift at its thresholds.
    reference = np.array([38.7, 41.5, 43.8, 44.5, 45.5, 46.0, 47.7, 58.0])
    current = np.array([39.2, 39.3, 39.7, 41.4, 41.8, 42.9, 43.3, 45.8])
    assert ours("ks", reference, current)[1] > 0.05


# Real rows of bank_marketing (UCI), counted; run once through scipy 1.17 (ks_2samp, chi2_contingency) and Evidently
# 0.7.23 (PSI). Row ranges are those of the file.
CAMPAIGN = {
    "0:2000": {1: 916, 2: 656, 3: 260, 4: 87, 5: 46, 6: 16, 7: 12, 8: 3, 9: 4},
    "2000:3000": {
        1: 446,
        2: 265,
        3: 107,
        4: 87,
        5: 31,
        6: 21,
        7: 12,
        8: 7,
        9: 7,
        10: 5,
        11: 6,
        12: 3,
        13: 1,
        18: 1,
        19: 1,
    },
    "24000:25000": {1: 734, 2: 213, 3: 38, 4: 12, 5: 3},
}


@pytest.mark.parametrize(("window", "statistic"), [("0:2000", 0.0), ("2000:3000", 0.098), ("24000:25000", 0.276)])
def test_ks_of_real_counts(window: str, statistic: float) -> None:
    reference, current = numbers(CAMPAIGN["0:2000"]), numbers(CAMPAIGN[window])
    assert ours("ks", reference, current)[0] == pytest.approx(statistic, abs=1e-12)


NAMES = (
    *("admin.", "blue-collar", "entrepreneur", "housemaid", "management", "retired"),
    *("self-employed", "services", "student", "technician", "unemployed", "unknown"),
)
JOB = {
    "0:2000": (406, 569, 80, 65, 161, 53, 53, 246, 17, 268, 50, 32),
    "2000:3000": (191, 307, 37, 26, 77, 31, 27, 116, 9, 140, 24, 15),
    "24000:25000": (248, 162, 94, 16, 142, 24, 55, 78, 7, 135, 36, 3),
}


@pytest.mark.parametrize(
    ("window", "psi", "p_value"),
    [
        ("2000:3000", 0.005805717400974539, 0.9741545163604902),
        ("24000:25000", 0.23835695331657264, 3.949137584245032e-27),
    ],
)
def test_psi_of_real_categories(window: str, psi: float, p_value: float) -> None:
    reference, current = (categories(dict(zip(NAMES, JOB[rows], strict=True))) for rows in ("0:2000", window))
    found, chance = ours("psi", reference, current, "categorical")
    assert found == pytest.approx(psi, rel=0.1, abs=1e-3)  # half a row more in every bin
    # Theirs is Pearson's statistic, ours the divergence: alike in the middle, both beyond doubt in the tail.
    if p_value > 0.01:
        assert chance == pytest.approx(p_value, abs=0.02)
    else:
        assert chance < 1e-20


# Evidently fills an empty bin with 1e-4. Ours is smaller and finite, on the same side.
@pytest.mark.parametrize(
    ("reference", "current", "evidently"),
    [
        ({"telephone": 800}, {"telephone": 79, "cellular": 721}, 10.292744768907532),
        ({"nonexistent": 2000}, {"nonexistent": 804, "failure": 187, "success": 9}, 1.49085423835807),
        ({"nonexistent": 800}, {"nonexistent": 598, "failure": 133, "success": 69}, 1.8880239158476884),
    ],
)
def test_psi_of_real_new_categories(reference: dict[str, int], current: dict[str, int], evidently: float) -> None:
    found, chance = ours("psi", categories(reference), categories(current), "categorical")
    assert LARGE < found <= evidently
    assert chance < 1e-9


def test_whylogs_four_rows() -> None:
    # whylabs/whylogs, tests/viz/drift: legs [4, 2, 0, 4] against [13, 34, 99, 123] is drift at 0.05.
    statistic, p_value = ours("ks", np.array([4.0, 2, 0, 4]), np.array([13.0, 34, 99, 123]))
    assert statistic == 1.0
    assert p_value < 0.05


@pytest.mark.parametrize("offset", [5.0, -5.0])
def test_alibi_detects_affine_shift(offset: float) -> None:
    # SeldonIO/alibi-detect, cd/tests/test_ks.py: 750 rows, 5x + 5 and 5x - 5 are drift, x is not.
    values = np.random.default_rng(1).normal(size=750)
    for detector in ("ks", "psi", "mean_shift"):
        assert ours(detector, values, 5 * values + offset)[1] < 1e-6
        assert ours(detector, values, values) == pytest.approx((0.0, 1.0))
