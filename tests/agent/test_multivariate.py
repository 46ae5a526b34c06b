"""Do numeric features still go together? What breaks is found though no column moved, and what moves by itself is quiet."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.signal import lfilter

from tenure_agent.builder import Rows, build_reference
from tenure_agent.checks.multivariate import NAMED, Sample, check_multivariate, own_movement
from tenure_agent.covariance import Covariance
from tenure_agent.records import ERROR, REFERENCE_ERROR, Level, Verdict, Window
from tenure_agent.reference import Reference
from tenure_agent.surprise import margin_of

Array = npt.NDArray[Any]
REFERENCE, WINDOW = 8000, 600
OK, WARNING, UNKNOWN = Level.OK, Level.WARNING, Level.INSUFFICIENT_DATA
MARGIN = margin_of(90)


def stream(kind: str, seed: int, windows: int, columns: int = 8) -> Array:
    """A reference, then windows of rows that three hidden causes move."""
    rng, n = np.random.default_rng(seed), REFERENCE + windows * WINDOW
    causes = rng.normal(size=(n, 3))
    if kind == "dependent":
        causes = lfilter([1], [1, -0.99], causes * np.sqrt(1 - 0.99**2), axis=0)
    if kind == "seasonal":
        day = np.arange(n) / 200
        causes[:, 0] += 3 * np.sin(2 * np.pi * day)
        causes[:, 1] *= 1 + 0.8 * np.sin(2 * np.pi * day / 7)
    noise = rng.standard_t(3, size=(n, columns)) if kind == "heavy" else 0.7 * rng.normal(size=(n, columns))
    found: Array = causes @ rng.normal(size=(3, columns)) + noise
    return found


def keyed(x: Array) -> dict[tuple[str, str], Array]:
    return {("feature", f"x{i}"): x[:, i] for i in range(x.shape[1])}


def known(x: Array) -> tuple[Reference, Covariance]:
    built = build_reference("m", "1", Rows(keyed(x[:REFERENCE])))
    assert built.covariance is not None
    return built, built.covariance


def replay(x: Array, min_rows: int = 300) -> list[Verdict]:
    reference, covariance = known(x)
    said: list[Verdict] = []
    for start in range(REFERENCE, len(x) - WINDOW + 1, WINDOW):
        sample = Sample(Window(start, start + WINDOW), WINDOW, covariance.reconstruct(keyed(x[start : start + WINDOW])))
        past = [verdict.measures[ERROR] for verdict in said]
        said.append(check_multivariate(reference, covariance, sample, past, min_rows, MARGIN))
    return said


def broken(kind: str, seed: int, windows: int = 20, at: int = 10) -> Array:
    """One column goes on by itself from a window on: the same values, dealt out anew."""
    x = stream(kind, seed, windows)
    tail = x[REFERENCE + at * WINDOW :]
    tail[:, 2] = np.random.default_rng(7).permutation(tail[:, 2])
    return x


@pytest.mark.parametrize("kind", ["plain", "dependent", "seasonal", "heavy"])
def test_what_moves_by_itself_is_quiet(kind: str) -> None:
    """At most as many episodes as `false_alarms` allows: one in 90 windows."""
    levels = [[verdict.level for verdict in replay(stream(kind, seed, 90))] for seed in range(4)]
    opened = [sum(now is WARNING and before is OK for before, now in zip([OK, *of], of, strict=False)) for of in levels]
    assert sum(opened) <= 1
    assert {level for of in levels for level in of} <= {OK, WARNING}


@pytest.mark.parametrize("kind", ["plain", "dependent"])
def test_a_break_that_no_column_shows_is_found_and_named(kind: str) -> None:
    said = replay(broken(kind, seed=1))
    before, after = said[:10], said[10]
    assert {verdict.level for verdict in before} == {OK}
    assert after.level is WARNING
    assert "x2" in after.reason.split(" no longer go together with the others as they did (error of reconstruction ")[0]
    everything, *named = after.readings
    assert (everything.column, everything.detector) == ("all features", "reconstruction")
    assert everything.statistic >= everything.threshold
    assert "x2" in {reading.column for reading in named}
    assert len(named) <= NAMED
    assert after.measures[ERROR] > 1.05 * after.measures[REFERENCE_ERROR]


def test_a_level_that_is_known_closes_it() -> None:
    levels = [verdict.level for verdict in replay(broken("plain", seed=1))]
    assert levels[10:12] == [WARNING, WARNING]
    assert set(levels[14:]) == {OK}


def test_too_little_is_never_ok_and_never_more_than_a_warning() -> None:
    x = stream("plain", 0, 2)
    reference, covariance = known(x)
    for rows, read, said in (
        (299, 299, "299 rows in the window, fewer than the 300 needed"),
        (9000, 99, "99 rows read of 9000 in the window, fewer than the 100 needed"),
    ):
        sample = Sample(Window(0, 1), rows, covariance.reconstruct(keyed(x[:read])))
        verdict = check_multivariate(reference, covariance, sample, [], 300, MARGIN)
        assert (verdict.level, verdict.reason, verdict.rows) == (UNKNOWN, said, rows)
    wild = Sample(Window(0, 1), 600, covariance.reconstruct(keyed(1e6 * x[:600])))
    assert check_multivariate(reference, covariance, wild, [], 300, MARGIN).level is WARNING


@pytest.mark.parametrize("wild", [1e6, 1e300])
def test_one_wild_value_blinds_no_later_window(wild: float) -> None:
    x = broken("plain", seed=1)
    x[REFERENCE + 3 * WINDOW + 5, 4] = wild
    levels = [verdict.level for verdict in replay(x)]
    assert levels[:10] == [OK] * 10
    assert levels[10] is WARNING


def test_exact_copies_stay_exact_copies() -> None:
    """What is left of them is the noise of a processor's arithmetic."""
    x = stream("plain", 0, 20, columns=1)
    assert {verdict.level for verdict in replay(np.column_stack([x, 1 - 3 * x, 7 * x]))} == {OK}


def test_features_closer_than_they_were() -> None:
    x = stream("plain", 0, 1)
    reference, covariance = known(x)
    z = (x[:WINDOW] - covariance.mean) / covariance.scale
    flat = z @ covariance.components.T @ covariance.components * covariance.scale + covariance.mean
    sample = Sample(Window(0, 1), WINDOW, covariance.reconstruct(keyed(flat)))
    verdict = check_multivariate(reference, covariance, sample, [], 300, MARGIN)
    assert verdict.level is WARNING
    assert verdict.reason.startswith(
        "numeric features go together more closely than they did (error of reconstruction "
    )


def test_missing_values_are_said() -> None:
    x = stream("plain", 0, 1)
    reference, covariance = known(x)
    rows = keyed(x[:WINDOW])
    del rows["feature", "x3"]
    sample = Sample(Window(0, 1), WINDOW, covariance.reconstruct(rows))
    verdict = check_multivariate(reference, covariance, sample, [], 300, MARGIN)
    assert verdict.reason.endswith("; 12% of the values were missing, and taken for the mean")


def test_a_short_reference_says_so() -> None:
    x = stream("plain", 1, 20)
    reference, covariance = known(x)
    rng = np.random.default_rng(0)
    shuffled = np.column_stack([rng.permutation(column) for column in x.T])
    sample = Sample(Window(0, 1), 4000, covariance.reconstruct(keyed(shuffled[:4000])))
    verdict = check_multivariate(reference, covariance, sample, [], 300, MARGIN)
    assert verdict.level is WARNING
    assert verdict.reason.endswith("(the reference holds 2.0 windows, too few to be certain)")


@pytest.mark.parametrize(
    ("errors", "blocks", "moved", "windows"),
    [
        ([1.0] * 24, 2, 0.0, 12.0),
        ([1.0] * 23 + [2.0], 1, np.log(2), 24.0),
        ([1.0] * 22 + [2.0] * 2, 2, np.log(2), 12.0),
        ([1.0] * 23 + [2.0], 100, np.log(5 / 4), 0.24),  # four blocks stand in for a hundred
        ([1.0] * 11 + [9.0], 1, np.log(9), 12.0),
        ([1.0] * 10 + [9.0], 1, 0.0, 0.0),  # too few to tell
        ([0.0] * 12, 1, 0.0, 12.0),
    ],
)
def test_own_movement(errors: list[float], blocks: float, moved: float, windows: float) -> None:
    assert own_movement(np.array(errors), blocks) == pytest.approx((moved, windows))
