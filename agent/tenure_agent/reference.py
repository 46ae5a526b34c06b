"""The reference: what a model version's inputs, outputs and losses looked like when it was judged fit.

It holds bin edges, counts and moments, never raw rows, so that it ships with the model and every replica bins alike.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from tenure.errors import TenureError
from tenure_agent.bins import NUMERIC, ColumnReference, bin_values, build_column
from tenure_agent.losses import LossProfile

Array = npt.NDArray[Any]

FORMAT = 1
COARSE_BINS = 10
RARE = 0.01
MAX_BLOCKS, MIN_BLOCK_ROWS = 64, 20


class ReferenceUnreadable(TenureError):
    """A reference file that cannot be used."""


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
