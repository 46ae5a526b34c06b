"""Our statistics against what other tools gave on named rows of real data sets.

The values and the data live in a folder that does not ship: `TENURE_SHARED`, else `shared` beside this repository.
"""

from __future__ import annotations

import csv
import gzip
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from tenure_agent.builder import Rows, build_reference
from tenure_agent.detectors import DETECTORS
from tenure_agent.tally import summarise

Array = npt.NDArray[Any]
SHARED = Path(os.environ.get("TENURE_SHARED", Path(__file__).parents[3] / "shared"))
DATA = SHARED / "data"
VALUES = DATA / "oracles" / "peers_on_real_data.csv"
BIN = 1 / 1024  # of the reference's rows, from 5,120 on; of fewer, five are in a bin

pytestmark = pytest.mark.skipif(not VALUES.exists(), reason=f"no {VALUES}: set TENURE_SHARED, as `make quality` does")

Case = tuple[str, str, str, str, str]  # data set, reference rows, current rows, column, num or cat


@cache
def table(name: str) -> list[dict[str, str]]:
    with gzip.open(DATA / f"{name}.csv.gz", "rt") as lines:
        return list(csv.DictReader(lines))


def sample(name: str, rows: str, column: str, kind: str) -> Array:
    start, end = map(int, rows.split(":"))
    told = [row[column] for row in table(name)[start:end]]
    if kind == "num":
        return np.array([float(value) if value else np.nan for value in told])
    values = np.empty(len(told), object)
    values[:] = told
    return values


@cache
def ours(case: Case, detector: str) -> tuple[float, float]:
    name, before, now, column, kind = case
    key = ("feature", column)
    declared = {column: "numeric" if kind == "num" else "categorical"}
    reference = build_reference("m", "1", Rows({key: sample(name, before, column, kind)}), declared=declared)
    values = sample(name, now, column, kind)
    [summary] = summarise(reference.layout, {key: values}, np.zeros(len(values), int), 1)
    found = DETECTORS[detector].measure(reference, summary)
    return float(found.statistic[0]), float(found.p_value[0])


def theirs(peer: str, method: str, kind: str | None = None) -> Iterator[tuple[Case, float]]:
    with VALUES.open() as lines:
        for row in csv.DictReader(lines):
            if row["peer"].startswith(peer) and row["method"] == method and kind in {None, row["type"]}:
                yield (row["dataset"], row["ref"], row["cur"], row["column"], row["type"]), float(row["value"])


def spread(case: Case) -> float:
    name, before, _, column, kind = case
    return float(np.nanstd(sample(name, before, column, kind), ddof=1))


def test_ks_is_scipys_within_a_bin() -> None:
    cases = list(theirs("scipy", "ks_2samp_D"))
    assert len(cases) >= 30
    for case, value in cases:
        rows = int((~np.isnan(sample(case[0], case[1], case[3], "num"))).sum())
        assert value - max(BIN, 5 / rows) - 1e-12 <= ours(case, "ks")[0] <= value + 1e-12, case


def test_the_p_value_of_ks_is_scipys() -> None:
    # Theirs is exact in small samples, ours asymptotic and of a distance up to one bin smaller.
    for case, value in theirs("scipy", "ks_2samp_p"):
        if value > 1e-3:
            assert ours(case, "ks")[1] == pytest.approx(value, rel=0.1, abs=0.02), case
        else:
            assert ours(case, "ks")[1] < 2e-3, case


def test_wasserstein_is_scipys() -> None:
    # Ours is in standard deviations. Within a bin values are taken to be spread evenly.
    cases = list(theirs("scipy", "wasserstein"))
    assert len(cases) >= 30
    for case, value in cases:
        if spread(case) > 1e-9:
            assert ours(case, "wasserstein")[0] * spread(case) == pytest.approx(
                value, rel=0.05, abs=2e-3 * spread(case)
            ), case


def test_wasserstein_is_evidentlys_normed() -> None:
    # Theirs divides by the population's standard deviation, 0.001 at least.
    for case, value in theirs("evidently", "wasserstein"):
        if spread(case) > 0.001:
            assert ours(case, "wasserstein")[0] == pytest.approx(value, rel=0.05, abs=2e-3), case


def test_chi_squared_is_scipys_two_sample_test() -> None:
    # Equal where every category expects 5 rows; else ours merges the rare ones, and all that are new into one. Of two
    # categories theirs makes Yates' correction, ours does not.
    cases = list(theirs("scipy", "chi2_contingency_p", "cat"))
    assert len(cases) >= 8
    for case, value in cases:
        before, now = (sample(case[0], rows, case[3], case[4]) for rows in case[1:3])
        names = sorted(set(before) | set(now))
        counts = np.array([[(values == name).sum() for name in names] for values in (before, now)])
        expected = counts.sum(0) * min(map(len, (before, now))) / counts.sum()
        if (expected >= 5).all() and (counts[0] >= 5).all():
            exact = stats.chi2_contingency(counts, correction=False).pvalue if len(names) == 2 else value
            assert ours(case, "chi_squared")[1] == pytest.approx(exact, rel=1e-6, abs=1e-300), case
        elif value < 0.01:
            assert ours(case, "chi_squared")[1] < 0.01, case
        else:
            assert ours(case, "chi_squared")[1] == pytest.approx(value, abs=0.1), case


def test_jensen_shannon_of_categories_is_nannymls() -> None:
    # Both in bits, without anything missing here. Ours puts what fewer than five rows share under "other".
    cases = list(theirs("nannyml", "jensen_shannon", "cat"))
    assert len(cases) >= 8
    for case, value in cases:
        assert ours(case, "jensen_shannon")[0] == pytest.approx(value, abs=0.01), case


@pytest.mark.parametrize(
    ("detector", "peer", "method"),
    [("jensen_shannon", "nannyml", "jensen_shannon"), ("psi", "evidently", "psi"), ("psi", "frouros", "psi_10bins")],
)
def test_numbers_are_ordered_alike(detector: str, peer: str, method: str) -> None:
    # Bins are everyone's own (ours: equal mass, missing apart; theirs: equal width or Doane's rule), and so is what
    # stands for an empty one: the order is what can be held. Of a constant reference (`transfer`) NannyML's distance is 0
    # whatever comes after it.
    cases = [case for case in theirs(peer, method, "num") if peer != "nannyml" or spread(case[0]) > 1e-9]
    order = stats.spearmanr([ours(case, detector)[0] for case, _ in cases], [value for _, value in cases])
    assert len(cases) >= 29
    assert order.statistic > 0.8
