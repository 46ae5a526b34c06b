"""The drift check: what alarms, what is too small, too uncertain or no surprise."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tenure_agent.checks.drift import FLOORS, benjamini_hochberg, check_drift, describe
from tenure_agent.movement import own_movement
from tenure_agent.records import Level, Reading, Verdict, Window
from tenure_agent.reference import Reference, build_reference
from tenure_agent.summary import summarise

Array = npt.NDArray[Any]
WINDOW = Window(0, 3_600_000_000)


@settings(deadline=None, derandomize=True, max_examples=200)
@given(
    st.lists(st.floats(0, 1) | st.floats(0, 1e-4), min_size=1, max_size=60),
    st.sampled_from([0.01, 0.05, 0.1, 0.5]),
)
def test_benjamini_hochberg_is_scipys(p_values: list[float], rate: float) -> None:
    rejected = benjamini_hochberg(np.array(p_values), rate)
    adjusted = stats.false_discovery_control(p_values, method="bh")
    clear = np.abs(adjusted - rate) > 1e-12
    assert rejected[clear].tolist() == (adjusted <= rate)[clear].tolist()


def test_benjamini_hochberg_by_hand() -> None:
    # Benjamini & Hochberg (1995), 3.2: fifteen p-values, four rejected at 0.05.
    p_values = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240]
    p_values += [0.4262, 0.5719, 0.6528, 0.7590, 1.0000]
    assert np.flatnonzero(benjamini_hochberg(np.array(p_values), 0.05)).tolist() == [0, 1, 2, 3]


def test_what_cannot_be_measured_is_never_rejected_and_does_not_count() -> None:
    holes = np.array([np.nan, 0.009, np.nan, 0.5])
    assert benjamini_hochberg(holes, 0.02).tolist() == [False, True, False, False]
    assert benjamini_hochberg(np.full(3, np.nan), 0.5).tolist() == [False] * 3
    assert benjamini_hochberg(np.empty(0), 0.5).tolist() == []


def reference(rows: int = 6000, columns: int = 3, seed: int = 0) -> Reference:
    rng = np.random.default_rng(seed)
    values = {("feature", f"c{i}"): rng.normal(size=rows) for i in range(columns)}
    return build_reference("fraud", "3", values)


def check(built: Reference, values: dict[str, Array], min_rows: int = 300) -> Verdict:
    rows = len(next(iter(values.values())))
    columns = {("feature", name): array for name, array in values.items()}
    [summary] = summarise(built, columns, np.zeros(rows, int), 1)
    return check_drift(built, summary, WINDOW, rows, min_rows)


def window(shift: float = 0.0, rows: int = 600, seed: int = 5, columns: int = 3) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    values = {f"c{i}": rng.normal(size=rows) for i in range(columns)}
    values["c1"] = values["c1"] + shift
    return values


def test_the_same_is_ok_with_every_reading() -> None:
    verdict = check(reference(), window())

    assert verdict.level is Level.OK
    assert (verdict.model, verdict.version, verdict.check, verdict.rows) == ("fraud", "3", "drift", 600)
    assert {(r.column, r.detector) for r in verdict.readings} == {(f"c{i}", d) for i in range(3) for d in FLOORS}
    assert {r.level for r in verdict.readings} == {Level.OK}
    assert {r.n for r in verdict.readings} == {600}


@pytest.mark.parametrize(
    ("shift", "level"), [(0.0, Level.OK), (0.1, Level.OK), (0.35, Level.WARNING), (1.5, Level.CRITICAL)]
)
def test_larger_shifts_are_graver(shift: float, level: Level) -> None:
    verdict = check(reference(), window(shift))
    assert verdict.level is level
    if level is not Level.OK:
        assert {r.column for r in verdict.readings if r.level is not Level.OK} == {"c1"}
        assert verdict.reason.startswith("c1 (")


def test_certain_but_small_does_not_count() -> None:
    verdict = check(reference(20_000), window(0.12, rows=20_000))
    ks = next(r for r in verdict.readings if (r.column, r.detector) == ("c1", "ks"))
    assert ks.p_value < 1e-9
    assert ks.statistic < ks.threshold
    assert verdict.level is Level.OK


def test_large_but_uncertain_does_not_count() -> None:
    verdict = check(reference(120, columns=40), window(rows=31, columns=40), min_rows=30)
    assert max(r.statistic for r in verdict.readings) > 0.1
    assert verdict.level is Level.OK


@pytest.mark.parametrize("rows", [0, 1, 299])
def test_too_few_rows_are_never_ok(rows: int) -> None:
    verdict = check(reference(), window(5.0, rows=rows))
    assert verdict.level is Level.INSUFFICIENT_DATA
    assert verdict.reason == f"{rows} rows in the window, fewer than the 300 needed"
    assert verdict.readings == ()


def test_nothing_measurable_is_never_ok() -> None:
    verdict = check(reference(), {f"c{i}": np.full(500, np.nan) for i in range(3)})
    assert verdict.level is Level.INSUFFICIENT_DATA
    assert verdict.readings == ()


def test_a_column_that_moves_on_its_own_is_no_surprise() -> None:
    # A slow wave in the reference; the window is one of its crests.
    rows = 12_000
    wave = np.sin(np.arange(rows) * 2 * np.pi / 3000)
    noise = np.random.default_rng(1).normal(0, 0.3, rows)
    restless = build_reference("m", "1", {("feature", "c1"): wave + noise})
    calm = build_reference("m", "1", {("feature", "c1"): np.random.default_rng(2).permutation(wave + noise)})
    crest = {"c1": (wave + noise)[600:900]}

    assert check(restless, crest).level is Level.OK
    assert check(calm, crest).level is Level.CRITICAL


def test_a_reference_too_short_to_know_stops_at_warning() -> None:
    built = reference(1000)
    assert not own_movement(built, 600).known
    assert check(built, window(3.0)).level is Level.WARNING
    assert own_movement(built, 100).known


def reading(column: str, detector: str = "ks", statistic: float = 0.3) -> Reading:
    return Reading(column, detector, statistic, 0.0, 0.1, 500, Level.WARNING)


def test_descriptions() -> None:
    assert describe([]) == "inputs and outputs are within what the reference does on its own"
    assert describe([reading("a"), reading("a", "psi")]) == "a (KS 0.30) moved away from the reference"
    assert describe([reading(name) for name in "abcde"]).startswith("a (KS 0.30), b (KS 0.30), c (KS 0.30) and 2 more ")


@pytest.mark.parametrize("seed", range(12))
def test_quiet_streams_stay_quiet(seed: int) -> None:
    verdict = check(reference(seed=seed, columns=20), window(seed=100 + seed, columns=20))
    assert verdict.level is Level.OK
