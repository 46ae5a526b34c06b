"""The drift check's verdict: its level, its sentence, its readings and histograms."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from tests.agent.live import LENGTH, PER_BLOCK, SETTINGS, built, columns, serve, summaries, texts

from tenure_agent.checks.drift import ALWAYS, NAMED, SHOWN, Settings, benjamini_hochberg, check_drift
from tenure_agent.detectors import DETECTORS, Detector
from tenure_agent.null import Nulls
from tenure_agent.past import Past, Step
from tenure_agent.records import SURPRISE, Level, Reading, Verdict
from tenure_agent.reference import Reference
from tenure_agent.summary import Summary
from tenure_agent.track import Track

Array = npt.NDArray[Any]


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


REFERENCE = built(rows=3000)


def check(
    values: dict[str, Array], reference: Reference = REFERENCE, *, open_: bool = False, needed: int = 150
) -> tuple[Verdict, Step]:
    """One window of ten blocks; where an episode is to be open, eight surprising blocks were before it."""
    track = Track(reference, LENGTH)
    serve(track, summaries(reference, values))
    past = Past(len(reference.columns), int(reference.coarse.starts[-1]))
    past.scores = [9.0] * 8 if open_ else []
    return check_drift(reference, Nulls(reference), past, track.window(9), Settings(needed, SETTINGS.margin))


def window(changed: dict[str, Array] | None = None) -> dict[str, Array]:
    return columns(300, 5) | (changed or {})


def readings(verdict: Verdict, detector: str) -> dict[str, Reading]:
    return {reading.column: reading for reading in verdict.readings if reading.detector == detector}


def test_the_same_is_ok_with_readings_of_every_column() -> None:
    verdict, step = check(window())
    names = ["x0", "x1", "amount", "country"]

    assert verdict.level is Level.OK
    assert verdict.reason == "inputs and outputs are within what they do by themselves"
    assert (verdict.model, verdict.version, verdict.check, verdict.rows) == ("fraud", "3", "drift", 300)
    assert (verdict.window.start, verdict.window.end) == (0, 10 * LENGTH)
    assert list(readings(verdict, SURPRISE)) == names
    assert list(readings(verdict, "psi")) == list(readings(verdict, "missing")) == names
    assert list(readings(verdict, "ks")) == names[:3]
    assert {reading.level for reading in verdict.readings} == {Level.OK}
    assert {reading.n for reading in verdict.readings} == {300}
    assert verdict.measures == {"score": step.score}
    assert verdict.evidence == {}
    assert step.block == 9
    assert not step.critical


@pytest.mark.parametrize("seed", range(8))
def test_quiet_windows_stay_quiet(seed: int) -> None:
    reference = built(columns(3000, seed, normal=18))
    verdict, step = check(columns(300, 100 + seed, normal=18), reference)
    assert verdict.level is Level.OK
    assert step.score < 1


HOT = np.full(300, 0.0)
CASES: list[tuple[dict[str, Array], str]] = [
    ({"amount": HOT}, "amount: all its values are exactly 0, 39 % in the reference"),
    ({"x0": np.full(300, np.nan)}, "x0: 100 % of its values are missing, 0 % in the reference"),
    ({"amount": columns(300, 5)["amount"] * 1000}, "amount: its values are 1000 times the reference's"),
    ({"country": texts(["XX"] * 300)}, "country: all its values are 'XX', 0 % in the reference"),
    ({"x1": texts(["1.0"] * 300)}, "x1: all its values are texts, numbers in the reference"),
    ({"x0": columns(300, 5)["x0"] + 2.0}, "x0: "),
]


@pytest.mark.parametrize(("changed", "told"), CASES, ids=[told for _, told in CASES])
def test_the_sentence_names_the_column_and_what_happened(changed: dict[str, Array], told: str) -> None:
    verdict, step = check(window(changed), open_=True)
    assert verdict.level is Level.CRITICAL
    assert step.critical
    assert verdict.reason.startswith(told)
    [column] = changed
    assert {name for name, one in readings(verdict, SURPRISE).items() if one.level is Level.CRITICAL} == {column}
    assert {one.column for one in verdict.readings if one.level is not Level.OK} == {column}


def test_one_surprising_block_is_not_confirmed() -> None:
    verdict, step = check(window({"amount": HOT}))
    assert verdict.level is Level.OK
    assert step.score > 1
    assert verdict.reason.startswith("not confirmed yet, 1 of 8 blocks: amount: ")
    assert readings(verdict, SURPRISE)["amount"].level is Level.WARNING
    assert list(verdict.evidence) == ["amount"]


@pytest.mark.parametrize(("moved", "told"), [(3, ""), (4, "; 1 more column moved"), (7, "; 4 more columns moved")])
def test_never_more_than_three_columns_are_named(moved: int, told: str) -> None:
    reference = built(columns(3000, normal=7))
    values = columns(300, 5, normal=7)
    for i in range(moved):
        values[f"x{i}"] = values[f"x{i}"] + 3.0 + i / 5
    verdict, _ = check(values, reference, open_=True)
    assert sum(f"x{i}: " in verdict.reason for i in range(7)) == NAMED
    assert verdict.reason.endswith(told)
    assert ("more column" in verdict.reason) == bool(told)
    assert len(verdict.evidence) == min(moved, SHOWN)


def test_the_histograms_are_of_the_coarse_bins() -> None:
    verdict, _ = check(window({"amount": HOT, "country": texts(["XX"] * 200 + ["DE"] * 100)}))
    assert set(verdict.evidence) == {"amount", "country"}
    country = verdict.evidence["country"]
    assert country["bins"] == ["'DE'", "'FR'", "'IT'", "'ES'", "any other category", "missing"]
    assert country["window"] == [0.3333, 0, 0, 0, 0.6667, 0]
    assert country["reference"][:4] == pytest.approx([0.5, 0.3, 0.15, 0.05], abs=0.03)
    amount = verdict.evidence["amount"]
    shares = dict(zip(amount["bins"], amount["window"], strict=True))
    assert shares["exactly 0"] == 1.0
    assert sum(amount["reference"]) == pytest.approx(1, abs=1e-3)
    assert all(len(part) == len(amount["bins"]) for part in amount.values())
    assert json.loads(json.dumps(verdict.evidence, allow_nan=False)) == verdict.evidence
    assert len(json.dumps(verdict.evidence)) < 2000


def test_what_may_be_chance_is_no_surprise() -> None:
    # Of so short a reference nothing is known but the floors, and few rows lie far from anything.
    reference = built(columns(200, normal=20))
    live = columns(40, 5, normal=20)
    track = Track(reference, LENGTH)
    serve(track, summaries(reference, live, 4))
    past = Past(len(reference.columns), int(reference.coarse.starts[-1]))
    verdict, step = check_drift(reference, Nulls(reference), past, track.window(9), Settings(24, 1.5))
    assert max(one.statistic / one.threshold for one in readings(verdict, SURPRISE).values()) > 1
    assert verdict.reason == "inputs and outputs are within what they do by themselves"
    assert step.score < 1


@pytest.mark.parametrize("rows", [0, 1, 299])
def test_too_few_rows_are_never_ok(rows: int) -> None:
    values = {name: array[:rows] for name, array in window({"amount": HOT}).items()}
    verdict, step = check(values, needed=300, open_=True)
    assert verdict.level is Level.INSUFFICIENT_DATA
    assert verdict.reason == f"{rows} rows in the window, fewer than the 300 needed"
    assert (verdict.readings, verdict.evidence) == ((), {})
    assert not step.judged
    assert int(REFERENCE.coarse.sums(step.counts)[0]) == (29 if rows == 299 else 0)


def test_no_value_at_all_is_never_ok() -> None:
    nothing = {name: np.full(300, np.nan) for name in ("x0", "x1", "amount")} | {"country": texts([None] * 300)}
    verdict, step = check(nothing)
    assert verdict.level is Level.INSUFFICIENT_DATA
    assert verdict.reason == "none of the reference's columns has a value in the 300 rows of the window"
    assert not step.judged


def test_a_pause_cannot_be_judged() -> None:
    verdict, step = check({name: array[:210] for name, array in window().items()})
    assert verdict.level is Level.INSUFFICIENT_DATA
    assert verdict.reason == "no rows in the newest 3 of the window's 10 blocks"
    assert not step.judged


def steps_of(rows: int) -> Array:
    """A column that only ever rises: every stretch of it is unlike the rest."""
    number = np.arange(rows)
    found: Array = number * 10 // rows + 0.5 * np.sin(number)
    return found


def test_blind_columns_are_named_and_never_ok() -> None:
    reference = built(columns(3000) | {f"rises{i}": steps_of(3000) * (i + 1) for i in range(5)})
    live = window() | {f"rises{i}": steps_of(3000)[1500:1800] * (i + 1) for i in range(5)}
    verdict, _ = check(live, reference)
    assert verdict.level is Level.OK
    told = "cannot judge rises0, rises1, rises2 and 2 more: by themselves they move as far as can be"
    assert verdict.reason == f"inputs and outputs are within what they do by themselves; {told}"
    levels: dict[str, set[Level]] = {}
    for reading in verdict.readings:
        levels.setdefault(reading.column, set()).add(reading.level)
    assert all(levels[f"rises{i}"] == {Level.INSUFFICIENT_DATA} for i in range(5))
    assert all(levels[name] == {Level.OK} for name in ("x0", "x1", "amount", "country"))


def test_where_all_are_blind_nothing_is_ok() -> None:
    verdict, step = check({"rises": steps_of(3000)[1500:1800]}, built({"rises": steps_of(3000)}))
    assert verdict.level is Level.INSUFFICIENT_DATA
    assert verdict.reason.endswith("cannot judge rises: by themselves they move as far as can be")
    assert step.judged


def test_what_is_lost_for_good_is_told_even_of_a_blind_column() -> None:
    reference = built({"rises": steps_of(3000)})
    values = {"rises": np.full(300, np.nan), "other": np.zeros(300)}
    values["rises"][:3] = 1.0
    verdict, _ = check(values, reference, open_=True)
    assert verdict.level is Level.CRITICAL
    assert verdict.reason.startswith("rises: 99 % of its values are missing")


@pytest.mark.parametrize("name", ["ks", "chi_squared", "wasserstein"])
@pytest.mark.parametrize("changed", [{}, {"amount": HOT}], ids=["quiet", "zeros"])
def test_a_detector_that_raises_is_an_error_of_its_own(
    monkeypatch: pytest.MonkeyPatch, name: str, changed: dict[str, Array]
) -> None:
    def fail(reference: Reference, summary: Summary) -> Any:
        raise ZeroDivisionError("on purpose")

    whole, step = check(window(changed), open_=bool(changed))
    monkeypatch.setitem(DETECTORS, name, Detector(name, fail, DETECTORS[name].floor, DETECTORS[name].explain))
    broken, again = check(window(changed), open_=bool(changed))

    failed = readings(broken, name)
    assert list(failed) == ["x0", "x1", "amount", "country"]
    assert {one.level for one in failed.values()} == {Level.ERROR}
    assert all(math.isnan(one.statistic) for one in failed.values())
    assert [one for one in broken.readings if one.detector != name] == [
        one for one in whole.readings if one.detector != name
    ]
    assert (broken.level, broken.reason, broken.evidence) == (whole.level, whole.reason, whole.evidence)
    assert again.score == step.score


@pytest.mark.parametrize("name", ["ks", "point_mass"])
def test_a_detector_that_raises_for_one_column_is_an_error_of_that_column(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def fails(reference: Reference) -> None:
        if any(column.name == "x1" for column in reference.columns):
            raise ZeroDivisionError("on purpose")

    def measure(reference: Reference, summary: Summary) -> Any:
        fails(reference)
        return detector.measure(reference, summary)

    def explain(reference: Reference, summary: Summary, column: int) -> str:
        fails(reference)
        return detector.explain(reference, summary, column)

    detector = DETECTORS[name]
    whole, step = check(window({"amount": HOT}), open_=True)
    monkeypatch.setitem(DETECTORS, name, Detector(name, measure, detector.floor, explain))
    broken, again = check(window({"amount": HOT}), open_=True)

    def others(verdict: Verdict) -> list[Reading]:
        return [one for one in verdict.readings if (one.detector, one.column) != (name, "x1")]

    failed = readings(broken, name)["x1"]
    assert (failed.level, math.isnan(failed.statistic)) == (Level.ERROR, True)
    assert sorted(map(repr, others(broken))) == sorted(map(repr, others(whole)))
    assert (broken.level, broken.reason, broken.evidence) == (whole.level, whole.reason, whole.evidence)
    assert again.score == step.score


def test_readings_that_say_nothing_are_left_out() -> None:
    verdict, _ = check(window({"amount": HOT}), open_=True)
    for reading in verdict.readings:
        assert reading.detector in {*ALWAYS, SURPRISE} or reading.statistic >= DETECTORS[reading.detector].floor
    assert {"point_mass"} <= {reading.detector for reading in verdict.readings if reading.column == "amount"}
    assert verdict.rows == 10 * PER_BLOCK
