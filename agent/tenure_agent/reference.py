"""The reference: what a model version's inputs, outputs and losses looked like when it was judged fit.

It holds bin edges, counts and moments, never raw rows, so that it ships with the model and every replica bins alike.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from tenure.errors import TenureError
from tenure_agent.losses import LossProfile

Array = npt.NDArray[Any]

FORMAT = 1
MAX_BINS = 2048
TOP_CATEGORIES = 254
COARSE_BINS = 10
RARE = 0.01
MAX_BLOCKS, MIN_BLOCK_ROWS = 64, 20
NUMERIC, CATEGORICAL = "numeric", "categorical"


class ReferenceUnreadable(TenureError):
    """A reference file that cannot be used."""


@dataclass(frozen=True)
class ColumnReference:
    """One column's bins and its counts in them.

    Numeric bin i holds (edges[i-1], edges[i]]; the first reaches down to -inf, the last up to +inf, so there is one
    bin more than edges. A value that many rows share (an atom) has a bin of its own. Categorical bins are `categories`
    in order, then one for all others.
    """

    name: str
    part: str
    kind: str
    counts: tuple[int, ...]
    missing: int
    mean: float
    std: float
    low: float
    high: float
    edges: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        return self.part, self.name

    @property
    def rows(self) -> int:
        """Rows with a value."""
        return sum(self.counts)

    @property
    def bins(self) -> int:
        return len(self.counts)


@dataclass(frozen=True)
class Reference:
    """All columns of one model version, laid end to end in one flat vector of bins."""

    model: str
    version: str
    rows: int
    columns: tuple[ColumnReference, ...]
    losses: tuple[LossProfile, ...] = ()
    source: str = ""
    notices: tuple[str, ...] = ()
    blocks: tuple[tuple[int, ...], ...] = ()  # counts over the coarse bins of equal stretches of rows, in time order

    @cached_property
    def offsets(self) -> Array:
        """Where each column's bins start in the flat vector; one more entry than columns."""
        return np.concatenate(([0], np.cumsum([column.bins for column in self.columns]))).astype(np.int64)

    @cached_property
    def counts(self) -> Array:
        """The reference's own counts, flat."""
        return np.array([count for column in self.columns for count in column.counts], np.int64)

    @cached_property
    def coarse(self) -> Array:
        """The coarse bin of each fine bin, flat and numbered through: about ten of equal mass in a numeric column
        (values held by many rows stand alone), one per category in others, the rare ones together.
        """
        numbers, first = [], 0
        for column in self.columns:
            counts = np.array(column.counts, float)
            if column.kind == NUMERIC:
                middle = (np.cumsum(counts) - counts / 2) / max(counts.sum(), 1.0)
                groups = np.minimum(np.floor(middle * COARSE_BINS), COARSE_BINS - 1)
                alone = counts >= counts.sum() / COARSE_BINS
                groups = np.cumsum(np.concatenate(([0], (np.diff(groups) != 0) | alone[1:] | alone[:-1])))
            else:
                rare = counts < counts.sum() * RARE
                groups = np.where(rare, (~rare).sum(), np.cumsum(~rare) - 1)
            numbers.append(groups.astype(np.int64) + first)
            first = int(numbers[-1].max()) + 1
        return np.concatenate(numbers) if numbers else np.empty(0, np.int64)

    @cached_property
    def coarse_starts(self) -> Array:
        """Where each column's coarse bins start; one more entry than columns."""
        if not self.columns:
            return np.zeros(1, np.int64)
        return np.append(np.minimum.reduceat(self.coarse, self.offsets[:-1]), self.coarse.max() + 1)

    @cached_property
    def hash(self) -> str:
        """What the bins are known by: two references with the same hash bin alike."""
        columns = json.dumps([vars(column) for column in self.columns], sort_keys=True)
        return hashlib.sha256(columns.encode()).hexdigest()[:32]

    def _body(self) -> str:
        document = {
            "format": FORMAT,
            "model": self.model,
            "version": self.version,
            "rows": self.rows,
            "source": self.source,
            "notices": list(self.notices),
            "columns": [vars(column) for column in self.columns],
            "losses": [vars(loss) for loss in self.losses],
            "blocks": [list(block) for block in self.blocks],
        }
        return json.dumps(document, sort_keys=True, separators=(",", ":"))

    def dumps(self) -> str:
        return self._body()

    @classmethod
    def loads(cls, text: str, origin: str = "reference") -> Self:
        try:
            document = json.loads(text)
            found = document["format"]
            if found != FORMAT:
                raise ReferenceUnreadable(
                    f"{origin}: format {found} is not {FORMAT}. Try: build it again with this agent"
                )
            columns = tuple(_column_of(column) for column in document["columns"])
            losses = tuple(LossProfile(**loss) for loss in document["losses"])
            return cls(
                document["model"],
                document["version"],
                document["rows"],
                columns,
                losses,
                document["source"],
                tuple(document["notices"]),
                tuple(tuple(block) for block in document["blocks"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ReferenceUnreadable(
                f"{origin}: is not a reference ({error!r}). Try: tenure-agent reference build"
            ) from error

    def save(self, path: Path) -> None:
        path.write_bytes(gzip.compress(self._body().encode(), mtime=0))

    @classmethod
    def load(cls, path: Path) -> Self:
        try:
            text = gzip.decompress(path.read_bytes()).decode()
        except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
            raise ReferenceUnreadable(f"{path}: cannot be read ({error}). Try: tenure-agent reference build") from error
        return cls.loads(text, str(path))


def _column_of(document: dict[str, Any]) -> ColumnReference:
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in document.items()}
    return ColumnReference(**fields)


def build_column(name: str, part: str, values: Array, declared: str | None = None) -> ColumnReference | str:
    """A column's reference, or the reason why it has none.

    Parameters
    ----------
    values
        float64 with NaN where missing, or objects (text) with None where missing.
    declared
        numeric, categorical or ignore; None: by the values.
    """
    if declared == "ignore":
        return "ignored by configuration"
    if values.dtype.kind == "O" or declared == CATEGORICAL:
        return _categorical(name, part, as_texts(values), certain=declared is not None)
    present = values[~np.isnan(values)]
    if not len(present):
        return "no value in the reference"
    finite = present[np.isfinite(present)]
    edges = quantile_edges(present)
    counts = np.bincount(np.searchsorted(edges, present, side="left"), minlength=len(edges) + 1)
    return ColumnReference(
        name=name,
        part=part,
        kind=NUMERIC,
        counts=tuple(counts.tolist()),
        missing=len(values) - len(present),
        mean=float(finite.mean()) if len(finite) else 0.0,
        std=float(finite.std()) if len(finite) else 0.0,
        low=float(finite.min()) if len(finite) else 0.0,
        high=float(finite.max()) if len(finite) else 0.0,
        edges=tuple(edges.tolist()),
    )


def as_texts(values: Array) -> Array:
    """Values as objects: text, or None where missing. Whole numbers lose their point, as a person writes them."""
    if values.dtype.kind == "O":
        return values
    texts = np.empty(len(values), object)
    texts[:] = [None if math.isnan(v) else str(int(v)) if v.is_integer() else str(v) for v in values.tolist()]
    return texts


def _categorical(name: str, part: str, values: Array, *, certain: bool) -> ColumnReference | str:
    present = np.array([value for value in values if value is not None], object)
    if not len(present):
        return "no value in the reference"
    names, counts = np.unique(present.astype(str), return_counts=True)
    if not certain and len(names) > max(50, len(present) // 10):
        return f"{len(names)} different texts in {len(present)} rows: an id or free text"
    order = np.lexsort((names, -counts))[:TOP_CATEGORIES]
    kept = counts[order]
    return ColumnReference(
        name=name,
        part=part,
        kind=CATEGORICAL,
        counts=(*kept.tolist(), int(counts.sum() - kept.sum())),
        missing=len(values) - len(present),
        mean=0.0,
        std=0.0,
        low=0.0,
        high=0.0,
        categories=tuple(names[order].tolist()),
    )


def quantile_edges(values: Array) -> Array:
    """Upper edges of bins none of which, atoms apart, holds over 1/1024 of the values.

    An atom (a value with more than 1/1024 of them) is fenced off by two edges: itself and the number just below it.
    Infinities fall into the outer bins.
    """
    unique, counts = np.unique(values[np.isfinite(values)], return_counts=True)
    if not len(unique):
        return np.array([0.0])
    upto, rows = np.cumsum(counts), int(counts.sum())
    atom = counts * MAX_BINS > 2 * rows
    group = -(-upto * MAX_BINS // rows)  # in shares of 1/2048
    first = np.append(True, group[1:] != group[:-1])
    last = np.append(first[1:], True)
    mass = np.diff(upto[last], prepend=0)[np.cumsum(first) - 1]
    # A group is one share and what its first value holds beyond it: where that is over two shares, it stands alone.
    last |= first & (mass * MAX_BINS > 2 * rows)
    last[:-1] &= atom[:-1] | ~atom[1:]  # the fence below an atom is edge enough
    with np.errstate(over="ignore"):  # below the least float there is -inf
        fences = np.nextafter(unique[atom], -np.inf)
    return np.unique(np.concatenate((unique[last], fences)))


def build_reference(
    model: str,
    version: str,
    columns: Mapping[tuple[str, str], Array],
    *,
    declared: Mapping[str, str] | None = None,
    losses: Sequence[LossProfile] = (),
    source: str = "",
) -> Reference:
    """A reference from whole columns.

    Parameters
    ----------
    columns
        (part, name) → values in time order; part is "feature" or "output".
    declared
        Column name → numeric, categorical or ignore.
    """
    built, notices, rows = [], [], 0
    for (part, name), values in columns.items():
        rows = len(values)
        column = build_column(name, part, values, (declared or {}).get(name))
        if isinstance(column, str):
            notices.append(f"{name}: left out, {column}")
        else:
            built.append(column)
    reference = Reference(model, version, rows, tuple(built), tuple(losses), source, tuple(notices))
    return replace(reference, blocks=_blocks(reference, columns))


def _blocks(reference: Reference, columns: Mapping[tuple[str, str], Array]) -> tuple[tuple[int, ...], ...]:
    n = min(MAX_BLOCKS, reference.rows // MIN_BLOCK_ROWS)
    if not n or not reference.columns:
        return ()
    of = np.arange(reference.rows) * n // reference.rows
    bins = int(reference.coarse_starts[-1])
    counts = np.zeros((n, bins), np.int64)
    for i, column in enumerate(reference.columns):
        found, present = bin_values(column, columns[column.key])
        coarse = reference.coarse[found + reference.offsets[i]]
        counts += np.bincount(of[present] * bins + coarse, minlength=n * bins).reshape(n, bins)
    return tuple(map(tuple, counts.tolist()))


def bin_values(column: ColumnReference, values: Array) -> tuple[Array, Array]:
    """The bin of every value that is present, and which are. A value of the wrong type counts as missing."""
    if column.kind == CATEGORICAL:
        texts = as_texts(values)
        present = np.array([value is not None for value in texts], bool)
        index = {name: i for i, name in enumerate(column.categories)}
        other = len(column.categories)
        return np.array([index.get(value, other) for value in texts[present]], np.int64), present
    if values.dtype.kind == "O":
        return np.empty(0, np.int64), np.zeros(len(values), bool)
    present = ~np.isnan(values)
    return np.searchsorted(np.asarray(column.edges), values[present], side="left"), present
