"""Laws that hold for every registered detector, whatever the data; and each p-value is honest when nothing changed."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenure_agent import detectors
from tenure_agent.builder import Rows, build_reference
from tenure_agent.detectors import DETECTORS, Detector, Measurement, measure_all
from tenure_agent.reference import Reference
from tenure_agent.summary import Summary, merge
from tenure_agent.tally import summarise

Array = npt.NDArray[Any]
Columns = Mapping[tuple[str, str], Array]
LAWS = settings(deadline=None, derandomize=True, max_examples=25)
KEY, TEXT, TRUTH = ("feature", "x"), ("feature", "t"), ("output", "b")
KINDS = {"x": "numeric", "t": "categorical", "b": "boolean"}
OWN = ("chances", "detector", "pairs")  # modules that hold no detector


def texts(values: Any) -> Array:
    array = np.empty(len(values), object)
    array[:] = [None if value is None else str(value) for value in values]
    return array


def built(columns: Columns) -> Reference:
    declared = {
        name: KINDS.get(name, "categorical" if values.dtype.kind == "O" else "numeric")
        for (_, name), values in columns.items()
    }
    return build_reference("m", "1", Rows(columns), declared=declared)


def summary(reference: Reference, columns: Columns) -> Summary:
    rows = max(len(values) for values in columns.values())
    [made] = summarise(reference.layout, columns, np.zeros(rows, int), 1)
    return made


def measured(name: str, reference: Array, current: Array, column: str = "x") -> tuple[float, float]:
    whole = built({("feature", column): reference})
    found = DETECTORS[name].measure(whole, summary(whole, {("feature", column): current}))
    return float(found.statistic[0]), float(found.p_value[0])


def assert_close(one: Measurement, other: Measurement, abs_: float = 1e-9) -> None:
    assert one.statistic == pytest.approx(other.statistic, rel=1e-6, abs=abs_, nan_ok=True)
    assert one.p_value == pytest.approx(other.p_value, rel=1e-6, abs=abs_, nan_ok=True)


every = pytest.mark.parametrize("detector", DETECTORS.values(), ids=list(DETECTORS))
NUMBER = st.one_of(
    st.floats(-50, 50),
    st.integers(-3, 3).map(float),
    st.sampled_from([0.0, -0.0, -1.0, 999.0, np.nan, np.inf, -np.inf, 1e300, -1e300, 5e-324, 1.7976931348623157e308]),
)
CATEGORY = st.sampled_from(["NL", "DE", "", "ü", "new", None])
ROW = st.tuples(NUMBER, CATEGORY, st.sampled_from([0.0, 1.0, 1.0, np.nan]))
Rows_ = list[tuple[float, str | None, float]]
SAMPLE = st.lists(ROW, min_size=1, max_size=120)
LARGE = st.lists(ROW, min_size=16, max_size=120)


def columns(rows: Rows_) -> Columns:
    return {
        KEY: np.array([row[0] for row in rows], float),
        TEXT: texts([row[1] for row in rows]),
        TRUTH: np.array([row[2] for row in rows], float),
    }


@pytest.mark.parametrize("module", [name for _, name, _ in pkgutil.iter_modules(detectors.__path__)])
def test_examples(module: str) -> None:
    found = doctest.testmod(importlib.import_module(f"tenure_agent.detectors.{module}"))
    assert found.failed == 0
    assert found.attempted > 0 or module in OWN


@every
def test_documented_with_formula_example_and_reference(detector: Detector) -> None:
    told = detector.measure.__doc__ or ""
    for part in ("Parameters\n", "Notes\n", "Examples\n", ">>> ", "References\n"):
        assert part in told, part


def test_registered_under_their_own_names() -> None:
    assert all(name == detector.name for name, detector in DETECTORS.items())
    assert len({detector.measure for detector in DETECTORS.values()}) == len(DETECTORS)


def found_by_all(reference: Reference, made: Summary) -> dict[str, Measurement]:
    found = measure_all(reference, made)
    assert {name: one.faults for name, one in found.items()} == {name: {} for name in DETECTORS}
    return found


@LAWS
@given(SAMPLE, SAMPLE)
def test_finite_or_not_a_number(first: Rows_, second: Rows_) -> None:
    reference = built(columns(first))
    for name, found in found_by_all(reference, summary(reference, columns(second))).items():
        assert found.statistic.shape == found.p_value.shape == (len(reference.layout),), name
        assert (np.isnan(found.statistic) | ((found.statistic >= 0) & np.isfinite(found.statistic))).all(), name
        assert (np.isnan(found.p_value) | ((found.p_value >= 0) & (found.p_value <= 1))).all(), name
        assert np.isnan(found.p_value[np.isnan(found.statistic)]).all(), name


@LAWS
@given(SAMPLE)
def test_identical_samples_do_not_differ(rows: Rows_) -> None:
    reference = built(columns(rows))
    for name, found in found_by_all(reference, reference.summary).items():
        assert (np.isnan(found.statistic) | (found.statistic <= 1e-12)).all(), name
        assert (np.isnan(found.p_value) | (found.p_value >= 0.999)).all(), name


@LAWS
@given(SAMPLE, SAMPLE, st.randoms(use_true_random=False))
def test_order_of_rows_does_not_matter(first: Rows_, second: Rows_, shuffling: Any) -> None:
    reference, current = built(columns(first)), list(second)
    before = found_by_all(reference, summary(reference, columns(current)))
    shuffling.shuffle(current)
    for name, found in found_by_all(reference, summary(reference, columns(current))).items():
        assert_close(found, before[name], 1e-6)


@LAWS
@given(SAMPLE, LARGE, LARGE)
def test_merged_is_pooled(first: Rows_, second: Rows_, third: Rows_) -> None:
    reference = built(columns(first))
    parts = [summary(reference, columns(rows)) for rows in (second, third)]
    pooled = found_by_all(reference, summary(reference, columns(second + third)))
    for name, found in found_by_all(reference, merge(reference.layout, parts)).items():
        if name == "point_mass":  # a value without a bin is noted where it is heavy: in one part, or in both together
            assert found.statistic == pytest.approx(pooled[name].statistic, abs=1 / 8, nan_ok=True)
        else:
            assert_close(found, pooled[name], 1e-6)


@LAWS
@given(SAMPLE)
def test_a_window_without_rows_is_not_a_number(rows: Rows_) -> None:
    reference = built(columns(rows))
    for name, found in found_by_all(reference, Summary.empty(reference.layout)).items():
        assert np.isnan([found.statistic, found.p_value]).all(), name


@pytest.mark.parametrize("name", sorted(set(DETECTORS) - {"missing", "type_change", "jensen_shannon"}))
@pytest.mark.parametrize("column", KINDS)
def test_a_window_of_missing_values_is_not_a_number(name: str, column: str) -> None:
    assert np.isnan(measured(name, np.arange(100) % 2.0, np.full(50, np.nan), column)).all()


@every
def test_a_reference_without_columns(detector: Detector) -> None:
    nothing = build_reference("m", "1", Rows({}))
    found = detector.measure(nothing, Summary.empty(nothing.layout))
    assert (found.statistic.tolist(), found.p_value.tolist()) == ([], [])


@every
def test_columns_do_not_disturb_each_other(detector: Detector) -> None:
    rng = np.random.default_rng(2)
    old: dict[tuple[str, str], Array] = {("feature", f"c{i}"): rng.normal(size=2000) for i in range(5)}
    old |= {TEXT: texts(rng.choice(3, 2000)), TRUTH: rng.integers(0, 2, 2000).astype(float), KEY: np.full(2000, 7.0)}
    new = {key: values[:500] for key, values in old.items()}
    new["feature", "c2"] = new["feature", "c2"] * 1000
    new["feature", "c3"] = new["feature", "c3"] + 1
    new["feature", "c4"] = np.full(500, np.nan)
    new[TEXT] = texts(["new"] * 500)
    new[KEY] = np.full(500, 0.0)
    reference = built(old)

    together = detector.measure(reference, summary(reference, new))

    for i, (key, values) in enumerate(old.items()):
        own = built({key: values})
        alone = detector.measure(own, summary(own, {key: new[key]}))
        assert together.statistic[i] == pytest.approx(alone.statistic[0], rel=1e-9, abs=1e-12, nan_ok=True)
        assert together.p_value[i] == pytest.approx(alone.p_value[0], rel=1e-6, abs=1e-9, nan_ok=True)


@every
def test_told_in_words_without_a_number_that_is_none(detector: Detector) -> None:
    rng = np.random.default_rng(3)
    old = {KEY: rng.normal(10, 1, 2000), TEXT: texts(rng.choice(["a", "b", "c"], 2000)), TRUTH: np.arange(2000) % 2.0}
    news: list[dict[tuple[str, str], Array]] = [
        {KEY: old[KEY][:500] * 1000, TEXT: texts(["z"] * 500), TRUTH: np.ones(500)},
        {KEY: np.full(500, np.inf), TEXT: texts(["a"] * 500), TRUTH: np.full(500, np.nan)},
        {
            KEY: np.where(np.arange(500) < 200, 0.0, old[KEY][:500]),
            TEXT: texts([None, "a"] * 250),
            TRUTH: texts([1] * 500),
        },
    ]
    reference, told = built(old), 0
    for new in news:
        made = summary(reference, new)
        found = detector.measure(reference, made).statistic
        for column in np.flatnonzero(found >= detector.floor).tolist():
            words = detector.explain(reference, made, column)
            assert "nan" not in words
            assert "None" not in words
            assert len(words) > 10
            told += 1
    assert told > 0


def test_a_detector_that_fails_takes_no_other_with_it() -> None:
    def fail(reference: Reference, summary: Summary) -> Measurement:
        raise ZeroDivisionError("no rows")

    reference = built({KEY: np.sin(np.arange(100.0))})
    broken = Detector("broken", fail, 0.1, lambda *_: "")

    found = measure_all(reference, reference.summary, {"broken": broken, "ks": DETECTORS["ks"]})

    assert found["broken"].faults == {0: "ZeroDivisionError: no rows"}
    assert np.isnan([found["broken"].statistic, found["broken"].p_value]).all()
    assert (found["ks"].statistic.tolist(), found["ks"].faults) == ([0.0], {})
    assert set(measure_all(reference, reference.summary)) == set(DETECTORS)


@pytest.mark.parametrize("name", DETECTORS)
def test_a_column_that_a_detector_fails_on_takes_no_other_with_it(name: str) -> None:
    def fail(reference: Reference, summary: Summary) -> Measurement:
        if any(column.name == "y" for column in reference.columns):
            raise ZeroDivisionError("no rows")
        return DETECTORS[name].measure(reference, summary)

    rng = np.random.default_rng(0)
    reference = built({("feature", key): rng.normal(size=500) for key in "xyz"} | {TEXT: texts(["x", "y"] * 250)})
    now = summary(reference, {("feature", key): rng.normal(1, 2, 300) for key in "xyz"} | {TEXT: texts(["y"] * 300)})
    whole = DETECTORS[name].measure(reference, now)

    found = measure_all(reference, now, {name: replace(DETECTORS[name], measure=fail)})[name]

    number = [column.name for column in reference.columns].index("y")
    assert found.faults == {number: "ZeroDivisionError: no rows"}
    for one, other in ((found.statistic, whole.statistic), (found.p_value, whole.p_value)):
        assert np.isnan(one[number])
        np.testing.assert_array_equal(np.delete(one, number), np.delete(other, number))


@pytest.mark.parametrize(("n", "m"), [(2000, 400), (300, 31), (120, 300)])
def test_p_values_of_numbers_are_honest_when_nothing_changed(n: int, m: int) -> None:
    rng = np.random.default_rng(n)

    def sample(rows: int, i: int) -> Array:
        values = rng.normal(size=rows) if i % 2 else np.round(rng.exponential(3, rows))
        values[rng.random(rows) < 0.1] = np.nan
        return values

    reference = built({("feature", f"c{i}"): sample(n, i) for i in range(200)})
    current = {column.key: sample(m, i) for i, column in enumerate(reference.columns)}
    for name, found in found_by_all(reference, summary(reference, current)).items():
        chances = found.p_value[~np.isnan(found.p_value)]
        assert np.mean(np.append(chances, 1) < 0.01) <= 0.03, name
        assert np.mean(np.append(chances, 1) < 0.05) <= 0.1, name
        if name in {"ks", "psi", "mean_shift"}:
            # In few rows, of which a bin may hold five, KS is a little too small.
            assert 0.3 < np.median(chances) < (0.9 if name == "ks" and n < 200 else 0.8), name


@pytest.mark.parametrize(("n", "m"), [(5000, 300), (400, 5000), (600, 600)])
@pytest.mark.parametrize("categories", [3, 12, 60])
def test_p_values_of_categories_are_honest_when_nothing_changed(categories: int, n: int, m: int) -> None:
    rng = np.random.default_rng(categories)
    keys = [("feature", f"c{i}") for i in range(80)]
    reference = built({key: texts(rng.choice(categories, n)) for key in keys})
    made = summary(reference, {key: texts(rng.choice(categories, m)) for key in keys})
    for name, found in found_by_all(reference, made).items():
        chances = found.p_value[~np.isnan(found.p_value)]
        assert np.mean(np.append(chances, 1) < 0.01) <= 0.05, name
        if name in {"psi", "chi_squared", "g_test"}:
            assert len(chances) == len(keys)
            assert np.median(chances) > 0.2, name
