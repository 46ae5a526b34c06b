"""How a reference's numeric features go together: their correlations, and how well few directions tell all of them."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np

from tenure_agent.baseline import moments
from tenure_agent.bins import PRIVATE, Array, Layout
from tenure_agent.records import FEATURE
from tenure_agent.summary import Summary

Key = tuple[str, str]
Chunks = Callable[[list[Key]], Iterator[Mapping[Key, Array]]]

MOST_COLUMNS = 200
EXPLAINED = 0.8  # of the variance, by the components that are kept: with NannyML's 0.65 more pairs go unseen
FARTHEST = 20.0  # standard deviations from the mean that a value counts for: one wild value is not the whole window
DECIMALS = 9  # of what products of matrices give: the same rows make the same file on every processor
ARRAYS = ("mean", "scale", "residuals", "errors")


@dataclass(frozen=True, slots=True)
class Reconstructed:
    """What few components make of rows.

    Parameters
    ----------
    errors
        float64 (rows): the length of what is left of each row, in standard deviations of the reference.
    residuals
        float64 (columns, rows): what is left of each value.
    imputed
        The share of values that were missing or infinite, and taken for the reference's mean.
    """

    errors: Array
    residuals: Array
    imputed: float


@dataclass(frozen=True, eq=False)
class Covariance:
    """Of at most 200 numeric and boolean features; d of them.

    Parameters
    ----------
    columns
        Their names.
    mean, scale
        float64 (d): by which values become z = (value - mean) / scale, cut off at ±20; a missing value is the mean.
    matrix
        float64 (d, d): mean of z zᵀ over all rows: the correlations. It and what follows are rounded to 9 decimals.
    residuals
        float64 (d): mean of what reconstruction leaves of each column, as absolute values.
    errors
        float64 (blocks): mean error of reconstruction in each block of the reference, in time order.
    """

    columns: tuple[str, ...]
    mean: Array
    scale: Array
    matrix: Array
    residuals: Array
    errors: Array

    @property
    def error(self) -> float:
        """Mean error of reconstruction over all rows."""
        return float(self.errors.mean())

    @cached_property
    def components(self) -> Array:
        """float64 (k, d): the fewest principal directions that explain over 80 % of the variance."""
        variances, directions = np.linalg.eigh(self.matrix)
        explained = np.cumsum(variances[::-1]) / variances.sum()
        kept = int(np.searchsorted(explained, EXPLAINED, "right")) + 1
        found: Array = directions.T[::-1][:kept]
        return found

    def reconstruct(self, rows: Mapping[Key, Array]) -> Reconstructed:
        r"""Rows projected on the components and back.

        Parameters
        ----------
        rows
            ("feature", name) → float64 with NaN; what holds texts, or does not come, is all missing.

        Notes
        -----
        With z as above and V the components, the error of a row is ‖z - VᵀV z‖: NannyML's
        DataReconstructionDriftCalculator on numeric columns (whose default keeps 65 %), the mean standing for what is missing.

        Examples
        --------
        >>> import numpy as np
        >>> from tenure_agent.builder import Rows, build_reference
        >>> x, y = np.sin(np.arange(600.0)), np.cos(np.arange(600.0) ** 2)
        >>> rows = {("feature", "x"): x, ("feature", "y"): x + 0.1 * y}
        >>> covariance = build_reference("m", "1", Rows(rows)).covariance
        >>> round(covariance.error, 2)
        0.06
        >>> rows["feature", "y"] = -rows["feature", "y"]
        >>> round(float(covariance.reconstruct(rows).errors.mean()), 2)
        1.27

        References
        ----------
        Jolliffe, I. T. (2002). Principal Component Analysis, 2nd ed., section 10.1. Springer.
        """
        z, imputed = standardised([(FEATURE, name) for name in self.columns], rows, self.mean, self.scale)
        residuals = z - self.components.T @ (self.components @ z)
        return Reconstructed(np.sqrt(np.square(residuals).sum(0)), residuals, imputed)

    def document(self) -> dict[str, Any]:
        upper = self.matrix[np.triu_indices(len(self.columns))]
        arrays = {name: _packed(getattr(self, name)) for name in ARRAYS}
        return {"columns": list(self.columns), "matrix": _packed(upper), **arrays}

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """
        Raises
        ------
        ValueError
            Arrays of other lengths than its columns ask for; KeyError, TypeError or zlib.error where it is none.
        """
        columns = tuple(document["columns"])
        arrays = {name: _unpacked(document[name]) for name in ARRAYS}
        if any(len(arrays[name]) != len(columns) for name in ARRAYS[:3]) or not len(arrays["errors"]):
            raise ValueError("covariance: arrays of other lengths")
        matrix = np.zeros((len(columns), len(columns)))
        matrix[np.triu_indices(len(columns))] = _unpacked(document["matrix"])
        matrix += np.triu(matrix, 1).T
        return cls(columns, matrix=matrix, **arrays)


def fit(layout: Layout, summary: Summary, chunks: Chunks, rows: int, blocks: int) -> Covariance | None:
    """From all rows of a reference, gone through twice; None where there are not two features to go together.

    Left out are columns beyond the first 200, and those whose variance fewer than 5 rows make, before z is cut off: what
    goes with these would tell of single rows.

    Parameters
    ----------
    summary
        Of the same rows: means and variances.
    chunks
        Goes through the rows, of the keys asked for.
    blocks
        How many to divide the rows into.

    Notes
    -----
    Sums of z zᵀ are taken around one mean that is known before, so that those of chunks add up exactly (Chan et al.
    1979, with no difference of means).
    """
    if not blocks:
        return None
    mean, variance = moments(layout, summary)
    finite = summary.finite.astype(np.float64)
    with np.errstate(all="ignore"):
        scale = np.sqrt(variance * (finite - 1) / rows)  # of all rows, as missing ones are at the mean
    usable = layout.ordered & np.isfinite(scale) & (scale > 0)
    usable &= np.array([column.part == FEATURE for column in layout.columns], bool)
    chosen = np.flatnonzero(usable)[:MOST_COLUMNS]
    if len(chosen) < 2:
        return None
    keys = [layout.columns[i].key for i in chosen.tolist()]
    matrix, fourth = np.zeros((len(keys), len(keys))), np.zeros(len(keys))
    for columns in chunks(keys):
        z, _ = standardised(keys, columns, mean[chosen], scale[chosen], np.inf)
        squares = np.square(z)
        fourth += np.square(squares, out=squares).sum(1)
        np.clip(z, -FARTHEST, FARTHEST, out=z)
        matrix += z @ z.T
    shared = np.flatnonzero(rows * rows >= PRIVATE * fourth)
    if len(shared) < 2:
        return None
    chosen, keys = chosen[shared], [keys[i] for i in shared.tolist()]
    names, nothing = tuple(name for _, name in keys), np.zeros(len(keys))
    found = Covariance(
        names, mean[chosen], scale[chosen], _rounded(matrix[np.ix_(shared, shared)] / rows), nothing, np.zeros(blocks)
    )
    sums, residuals, counts, done = np.zeros(blocks), nothing.copy(), np.zeros(blocks), 0
    for columns in chunks(keys):
        made = found.reconstruct(columns)
        block = np.minimum(np.arange(done, done + len(made.errors)) * blocks // rows, blocks - 1)
        sums += np.bincount(block, made.errors, minlength=blocks)
        counts += np.bincount(block, minlength=blocks)
        residuals += np.abs(made.residuals).sum(1)
        done += len(made.errors)
    return replace(found, residuals=_rounded(residuals / max(done, 1)), errors=_rounded(sums / np.maximum(counts, 1)))


def standardised(
    keys: list[Key], rows: Mapping[Key, Array], mean: Array, scale: Array, farthest: float = FARTHEST
) -> tuple[Array, float]:
    """float64 (columns, rows): z within ±`farthest`, 0 where there is no finite number; and the share of values that has none."""
    length = max((len(values) for values in rows.values()), default=0)
    z, holes = np.zeros((len(keys), length)), 0
    for i, key in enumerate(keys):
        values = rows.get(key)
        if values is None or values.dtype.kind == "O":
            holes += length
            continue
        z[i] = values
        missing = ~np.isfinite(z[i])
        with np.errstate(over="ignore", invalid="ignore"):
            z[i] -= mean[i]
            z[i] /= scale[i]
        np.clip(z[i], -farthest, farthest, out=z[i])
        z[i, missing] = 0.0
        holes += int(missing.sum())
    return z, holes / z.size if z.size else 0.0


def _rounded(values: Array) -> Array:
    found: Array = np.round(values, DECIMALS) + 0.0  # no -0.0
    return found


def _packed(values: Array) -> str:
    return base64.b85encode(zlib.compress(values.astype("<f8").tobytes(), 9)).decode()


def _unpacked(text: str) -> Array:
    found: Array = np.frombuffer(zlib.decompress(base64.b85decode(text)), "<f8").astype(np.float64)
    return found
