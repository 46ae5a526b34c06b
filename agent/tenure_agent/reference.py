"""The reference: what a model version's inputs, outputs and losses looked like when it was judged fit.

It ships with the model, and every replica bins alike. It holds no rows, but of each column: its name, kind and bins (edges
that are no row's value, but for values that many rows share; names of categories that at least 5 rows share); how many
rows fell into each bin, over all and in each block of at least 20 rows, and the same of each segment it was asked for; counts of what is missing, infinite or zero, and
by powers of two; sum, sum of squares, and a range rounded outwards; values that at least 5 rows share. Of the whole: the
first and last event time, the file's name, figures of the losses, how far each feature tells the label, and how numeric
features go together, but for those whose variance fewer than 5 rows make.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import zlib
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

from tenure.errors import TenureError
from tenure_agent.baseline import Baseline
from tenure_agent.bins import Array, ColumnBins, Layout
from tenure_agent.coarse import Coarse
from tenure_agent.covariance import Covariance
from tenure_agent.hints import Hint
from tenure_agent.losses import LossProfile
from tenure_agent.segments import Segment
from tenure_agent.summary import Summary

FORMAT = 2


class ReferenceUnreadable(TenureError):
    """A reference file that cannot be used."""


@dataclass(frozen=True, eq=False)
class Reference:
    """All columns of one model version.

    Parameters
    ----------
    columns
        Their bins.
    summary
        Of all rows of the reference.
    blocks
        int64 (blocks, coarse bins): how many rows of each equal stretch, in time order, fell into which coarse bin.
    span
        Event times of its first and last row in microseconds since 1970 UTC; (0, 0) where it has none.
    segments
        Of the features it was asked to tell the values of apart.
    """

    model: str
    version: str
    columns: tuple[ColumnBins, ...]
    summary: Summary
    blocks: Array
    span: tuple[int, int] = (0, 0)
    losses: tuple[LossProfile, ...] = ()
    source: str = ""
    notices: tuple[str, ...] = ()
    hints: tuple[Hint, ...] = ()
    covariance: Covariance | None = None
    segments: tuple[Segment, ...] = ()

    @cached_property
    def layout(self) -> Layout:
        return Layout(self.columns)

    @property
    def rows(self) -> int:
        """Rows it was built from."""
        return int(self.summary.seen.max(initial=0))

    def of(self, segment: Segment) -> Reference:
        """A segment as a reference of its own, over the same bins."""
        return replace(
            self, summary=segment.summary, blocks=segment.blocks, segments=(), losses=(), hints=(), notices=()
        )

    @cached_property
    def coarse(self) -> Coarse:
        return Coarse(self.layout, self.summary)

    @cached_property
    def baseline(self) -> Baseline:
        return Baseline(self.layout, self.summary, self.coarse)

    def only(self, column: int) -> Reference:
        """One column of it, by its number."""
        blocks = self.blocks[:, self.coarse.stretch(column)]
        return replace(
            self, columns=(self.columns[column],), summary=self.summary.only(column, self.layout), blocks=blocks
        )

    @cached_property
    def hash(self) -> str:
        """What its bins are known by: summaries over two references with the same hash add."""
        columns = json.dumps([_document(column) for column in self.columns], sort_keys=True)
        return hashlib.sha256(columns.encode()).hexdigest()[:32]

    def same_counts(self, other: Reference) -> bool:
        """Whether summaries over this one and its segments, and steps of the whole, hold for another."""
        same = self.hash == other.hash and {one.name for one in self.segments} == {one.name for one in other.segments}
        return same and _counts_document(self.summary, self.blocks) == _counts_document(other.summary, other.blocks)

    def recounted(self, other: Reference) -> list[str]:
        """Names of the segments that another has with other counts."""
        own = {one.name: _counts_document(one.summary, one.blocks) for one in self.segments}
        return [one.name for one in other.segments if own.get(one.name) != _counts_document(one.summary, one.blocks)]

    @cached_property
    def digest(self) -> str:
        """The sha256 of all it holds: what a governance document names."""
        return hashlib.sha256(self.dumps().encode()).hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reference) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def dumps(self) -> str:
        document = {
            "format": FORMAT,
            "model": self.model,
            "version": self.version,
            "source": self.source,
            "span": list(self.span),
            "notices": list(self.notices),
            "columns": [_document(column) for column in self.columns],
            "losses": [_document(loss) for loss in self.losses],
            "hints": [_document(hint) for hint in self.hints],
            **_counts_document(self.summary, self.blocks),
        }
        if self.covariance is not None:  # older files have neither, and keep their digest
            document["covariance"] = self.covariance.document()
        if self.segments:
            document["segments"] = [
                {"feature": one.feature, "value": one.value, **_counts_document(one.summary, one.blocks)}
                for one in self.segments
            ]
        return json.dumps(document, sort_keys=True, separators=(",", ":"))

    @classmethod
    def loads(cls, text: str, origin: str = "reference") -> Self:
        """
        Raises
        ------
        ReferenceUnreadable
            The text is no reference, or of another format.
        """
        try:
            document = json.loads(text)
            found = document["format"]
            if found != FORMAT:
                raise ReferenceUnreadable(
                    f"{origin}: format {found} is not {FORMAT}. Try: build it again with this agent"
                )
            columns = tuple(_column_of(column) for column in document["columns"])
            layout = Layout(columns)
            return cls(
                document["model"],
                document["version"],
                columns,
                *_counts_of(document, layout),
                (document["span"][0], document["span"][1]),
                tuple(LossProfile(**_tuples(loss)) for loss in document["losses"]),
                document["source"],
                tuple(document["notices"]),
                tuple(Hint(**hint) for hint in document["hints"]),
                Covariance.read(document["covariance"]) if "covariance" in document else None,
                tuple(
                    Segment(one["feature"], one["value"], *_counts_of(one, layout))
                    for one in document.get("segments", ())
                ),
            )
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, zlib.error) as error:
            raise ReferenceUnreadable(
                f"{origin}: is not a reference ({error!r}). Try: tenure-agent reference build"
            ) from error

    def save(self, path: Path) -> None:
        """Write it whole or not at all."""
        part = path.with_name(path.name + ".part")
        part.write_bytes(gzip.compress(self.dumps().encode(), mtime=0))
        part.replace(path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """
        Raises
        ------
        ReferenceUnreadable
            See `loads`.
        """
        try:
            text = gzip.decompress(path.read_bytes()).decode()
        except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
            raise ReferenceUnreadable(f"{path}: cannot be read ({error}). Try: tenure-agent reference build") from error
        return cls.loads(text, str(path))


def _document(value: ColumnBins | LossProfile | Hint) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in fields(value)}  # `asdict` would copy every edge


def _counts_document(summary: Summary, blocks: Array) -> dict[str, Any]:
    return {
        "summary": base64.b85encode(summary.to_bytes()).decode(),
        "blocks": len(blocks),
        "block_counts": base64.b85encode(zlib.compress(blocks.astype("<u4").tobytes(), 9)).decode(),
    }


def _counts_of(document: dict[str, Any], layout: Layout) -> tuple[Summary, Array]:
    summary = Summary.from_bytes(base64.b85decode(document["summary"]), layout)
    counts = np.frombuffer(zlib.decompress(base64.b85decode(document["block_counts"])), "<u4").astype(np.int64)
    return summary, counts.reshape(document["blocks"], -1) if document["blocks"] else np.zeros((0, 0), np.int64)


def _column_of(document: dict[str, Any]) -> ColumnBins:
    return ColumnBins(**_tuples(document))


def _tuples(document: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in document.items()}
