"""How numeric features go together: as scikit-learn's PCA says it, whatever the pieces rows come in."""

from __future__ import annotations

import doctest
import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import StandardScaler

from tenure_agent import covariance as covariance_module
from tenure_agent.builder import Rows, build_reference
from tenure_agent.covariance import EXPLAINED, FARTHEST, Covariance
from tenure_agent.reference import Reference, ReferenceUnreadable

Array = npt.NDArray[Any]
Key = tuple[str, str]


def table(rows: int = 4000, columns: int = 7, seed: int = 0, holes: float = 0.1) -> Array:
    """Correlated columns on very different scales, with holes."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 3)) @ rng.normal(size=(3, columns)) + 0.5 * rng.normal(size=(rows, columns))
    x = x * 10.0 ** np.arange(-3, columns - 3) + 1e5
    x[rng.uniform(size=x.shape) < holes] = np.nan
    return x


def keyed(x: Array) -> dict[Key, Array]:
    return {("feature", f"x{i}"): x[:, i] for i in range(x.shape[1])}


def fitted(rows: Mapping[Key, Array]) -> Covariance:
    found = build_reference("m", "1", Rows(rows)).covariance
    assert found is not None
    return found


class Pieces(Rows):
    """The same rows, in chunks of 333."""

    def chunks(self, wanted: Collection[Key]) -> Iterator[Mapping[Key, Array]]:
        for start in range(0, self.rows, 333):
            yield {key: self.columns[key][start : start + 333] for key in wanted}


def test_examples() -> None:
    found = doctest.testmod(covariance_module)
    assert found.attempted
    assert not found.failed


@pytest.mark.parametrize("holes", [0.0, 0.1])
def test_it_is_what_scikit_learn_reconstructs(holes: float) -> None:
    """With the pipeline of NannyML's DataReconstructionDriftCalculator; its default keeps 65 % of the variance, not 80 %."""
    known, new = table(holes=holes), table(seed=5, holes=holes)
    imputer, scaler, pca = SimpleImputer(), StandardScaler(), PCA(n_components=EXPLAINED)
    pca.fit(scaler.fit_transform(imputer.fit_transform(known)))

    def errors(x: Array) -> Array:
        z = scaler.transform(imputer.transform(x))
        made: Array = np.linalg.norm(z - pca.inverse_transform(pca.transform(z)), axis=1)
        return made

    found = fitted(keyed(known))
    assert len(found.components) == pca.n_components_
    assert np.allclose(found.mean, scaler.mean_, rtol=1e-12)
    assert np.allclose(found.scale, scaler.scale_, rtol=1e-9)
    made = found.reconstruct(keyed(new))
    assert np.allclose(made.errors, errors(new), rtol=1e-6)
    assert made.imputed == pytest.approx(np.isnan(new).mean())
    own = errors(known)
    assert found.error == pytest.approx(own.mean(), rel=1e-4)  # blocks are equal but for a row
    n = len(found.errors)
    block = np.arange(len(known)) * n // len(known)
    assert np.allclose(found.errors, np.bincount(block, own) / np.bincount(block))
    full = scaler.transform(imputer.transform(known))
    assert np.allclose(found.matrix, full.T @ full / len(full), atol=1e-9)


def test_pieces_add_up() -> None:
    rows = keyed(table())
    whole, parts = fitted(rows), build_reference("m", "1", Pieces(rows)).covariance
    assert parts is not None
    for name in ("mean", "scale"):
        assert np.allclose(getattr(whole, name), getattr(parts, name), rtol=1e-9, atol=1e-12), name
    for name in ("matrix", "residuals", "errors"):  # to the last bit, in whatever order they are added
        assert np.array_equal(getattr(whole, name), getattr(parts, name)), name


def test_what_is_left_of_exact_copies_is_exactly_nothing() -> None:
    x = np.random.default_rng(0).normal(size=1000)
    found = fitted({("feature", "x"): x, ("feature", "y"): 1 - 3 * x})
    for values in (found.errors, found.residuals):
        assert not values.any()
        assert not np.signbit(values).any()


def test_numeric_and_boolean_features_only() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=1000)
    rows: dict[Key, Array] = {
        ("feature", "x"): x,
        ("feature", "flag"): (x > 0).astype(float),
        ("feature", "country"): np.array(["NL", "DE"] * 500, object),
        ("feature", "constant"): np.full(1000, 3.0),
        ("feature", "wild"): np.append(x[1:], np.inf),
        ("output", "prediction"): x + rng.normal(size=1000),
    }
    assert fitted(rows).columns == ("x", "flag", "wild")
    made = fitted(rows).reconstruct({("feature", "x"): np.array(["a", None], object), ("feature", "flag"): np.ones(2)})
    assert made.imputed == pytest.approx(2 / 3)
    assert np.isfinite(made.errors).all()


@pytest.mark.parametrize("rows", [{}, {("feature", "x"): np.random.default_rng(0).normal(size=500)}])
def test_one_feature_goes_with_none(rows: dict[Key, Array]) -> None:
    assert build_reference("m", "1", Rows(rows)).covariance is None


@pytest.mark.parametrize(("rows", "kept"), [(1, False), (4, False), (5, True), (500, True)])
def test_what_few_rows_make_up_is_left_out(rows: int, kept: bool) -> None:
    """The covariance with a column that few rows differ in would tell what else these rows held."""
    x = table(holes=0.0)
    rare = np.zeros(len(x))
    rare[:rows] = 1e6
    found = fitted(keyed(x) | {("feature", "rare"): rare})
    assert ("rare" in found.columns) is kept
    if rows == 5:
        assert found.matrix[-1, -1] == pytest.approx(5 * FARTHEST**2 / len(x), rel=0.01)  # cut off, as in checks


@pytest.mark.parametrize("wild", [1e6, 1e300, np.finfo(float).max])
def test_one_wild_value_counts_for_twenty_standard_deviations(wild: float) -> None:
    x = table(holes=0.0)
    found = fitted(keyed(x))
    x[7, :2] = wild, -wild
    made, cut = found.reconstruct(keyed(x)), x.copy()
    cut[7, :2] = (found.mean + np.array([20, -20, 0, 0, 0, 0, 0]) * found.scale)[:2]
    assert np.allclose(made.errors, found.reconstruct(keyed(cut)).errors)
    assert made.imputed == 0


def test_two_hundred_columns_at_most() -> None:
    x = np.random.default_rng(0).normal(size=(300, 220))
    found = fitted(keyed(x))
    assert found.columns == tuple(f"x{i}" for i in range(200))
    assert len(json.dumps(found.document())) < 300_000


def test_it_ships_and_older_files_do_without(tmp_path: Path) -> None:
    built = build_reference("m", "1", Rows(keyed(table())))
    built.save(tmp_path / "m.reference")
    loaded = Reference.load(tmp_path / "m.reference")
    assert loaded == built
    assert loaded.covariance is not None
    assert np.array_equal(loaded.covariance.matrix, fitted(keyed(table())).matrix)

    document = json.loads(built.dumps())
    del document["covariance"]
    older = Reference.loads(json.dumps(document))
    assert older.covariance is None
    assert json.loads(older.dumps()) == document  # so its digest is what it was


@pytest.mark.parametrize(
    "broken", [{"mean": ""}, {"columns": ["x0"]}, {"errors": "c-jH"}, {"matrix": None}, {"columns": None}]
)
def test_a_damaged_one_is_refused(broken: dict[str, Any]) -> None:
    document = json.loads(build_reference("m", "1", Rows(keyed(table()))).dumps())
    document["covariance"] |= broken
    with pytest.raises(ReferenceUnreadable, match="is not a reference"):
        Reference.loads(json.dumps(document))
