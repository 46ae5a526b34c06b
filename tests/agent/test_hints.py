"""Hints of leakage: a feature that tells the label alone, or is another column once more."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tenure_agent.bins import Layout, build_column
from tenure_agent.hints import label_hints, twin_hints

Array = npt.NDArray[Any]
RNG = np.random.default_rng(11)
N = 20_000
X, NOISE = RNG.normal(size=N), RNG.normal(size=N)


def texts(values: Any) -> Array:
    array = np.empty(len(values), object)
    array[:] = list(values)
    return array


def laid_out(columns: dict[tuple[str, str], Array]) -> Layout:
    made = [build_column(name, part, values) for (part, name), values in columns.items()]
    return Layout([column for column in made if not isinstance(column, str)])


def scores(columns: dict[str, Array], label: Array, task: str) -> dict[str, float]:
    found = {("feature", name): values for name, values in columns.items()}
    return {hint.column: hint.score for hint in label_hints(laid_out(found), found, label, task)}


def test_binary_is_the_area_under_the_curve() -> None:
    label = (X + NOISE > 0).astype(float)
    columns = {
        "x": X,
        "noise": RNG.normal(size=N),
        "same": label,
        "opposite": -label,
        "texts": texts(np.where(label > 0, "yes", "no")),
        "missing": np.where(label > 0, np.nan, X),
    }
    found = scores(columns, label, "binary")
    ranks = (X.argsort().argsort() + 1)[label > 0]
    exact = (ranks.sum() - len(ranks) * (len(ranks) + 1) / 2) / (len(ranks) * (N - len(ranks)))
    assert found["x"] == pytest.approx(exact, abs=0.01)  # less what twenty groups lose
    assert found["noise"] == pytest.approx(0.5, abs=0.02)
    assert {found[name] for name in ("same", "opposite", "texts", "missing")} == {1.0}


def test_regression_is_the_variance_explained() -> None:
    found = scores({"x": X, "noise": RNG.normal(size=N)}, X + NOISE, "regression")
    assert found["x"] == pytest.approx(0.5, abs=0.02)
    assert found["noise"] == pytest.approx(0.0, abs=0.01)


def test_multiclass_is_the_errors_saved() -> None:
    label = texts(RNG.choice(["a", "b", "c"], N, p=[0.5, 0.3, 0.2]).tolist())
    half = texts([value if keep else "a" for value, keep in zip(label, RNG.uniform(size=N) < 0.5, strict=True)])
    found = scores({"same": label, "half": half, "x": X}, label, "multiclass")
    assert found["same"] == 1.0
    assert found["half"] == pytest.approx(0.5, abs=0.02)
    assert found["x"] == pytest.approx(0.0, abs=0.01)


def test_rows_without_a_label_do_not_count_and_few_tell_nothing() -> None:
    label = (X > 0).astype(float)
    label[N // 2 :] = np.nan
    assert scores({"x": np.where(np.isnan(label), 0.0, X)}, label, "binary")["x"] > 0.97
    label[99:] = np.nan
    assert scores({"x": X}, label, "binary") == {}
    assert scores({"x": X}, np.ones(N), "binary") == {"x": 0.5}


def test_twins() -> None:
    country = texts(RNG.choice(["NL", "DE"], N).tolist())
    columns = {
        ("feature", "x"): X,
        ("feature", "twice"): 3 - 2 * X,
        ("feature", "country"): country,
        ("feature", "land"): country.copy(),
        ("feature", "constant"): np.ones(N),
        ("feature", "said"): NOISE,
        ("feature", "truth"): X + NOISE,
        ("feature", "near"): X + 0.1 * NOISE,
        ("output", "prediction"): NOISE,
    }
    found = twin_hints(laid_out(columns), columns, X + NOISE)
    assert {(hint.column, hint.about, hint.score) for hint in found} == {
        ("twice", "x", 1.0),
        ("land", "country", 1.0),
        ("said", "prediction", 1.0),
        ("truth", "label", 1.0),
    }
