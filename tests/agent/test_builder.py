"""References from rows: as a whole or in pieces, the same; blocks in time order."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tenure_agent.builder import MAX_BLOCKS, Rows, build_reference
from tenure_agent.reference import Reference

Array = npt.NDArray[Any]
Columns = Mapping[tuple[str, str], Array]


@dataclass(frozen=True)
class Pieces:
    """Rows that come in pieces of any sizes."""

    whole: Rows
    size: int

    @property
    def rows(self) -> int:
        return self.whole.rows

    def sample(self) -> Columns:
        return self.whole.sample()

    def chunks(self, wanted: Collection[tuple[str, str]]) -> Iterator[Columns]:
        [whole] = self.whole.chunks(wanted)
        for start in range(0, self.rows, self.size):
            yield {key: values[start : start + self.size] for key, values in whole.items()}


def texts(values: Any) -> Array:
    array = np.empty(len(values), object)
    array[:] = values
    return array


def rows(n: int = 3000) -> Rows:
    rng = np.random.default_rng(1)
    values = rng.normal(size=n)
    values[::7] = np.nan
    return Rows(
        {
            ("feature", "x"): values,
            ("feature", "country"): texts(rng.choice(["NL", "DE"], n).tolist()),
            ("output", "prediction"): rng.uniform(size=n),
        }
    )


@pytest.mark.parametrize("size", [1, 137, 1000, 2999, 3000, 5000])
def test_in_pieces_is_as_a_whole(size: int) -> None:
    n = 300 if size == 1 else 3000
    whole, pieces = build_reference("m", "1", rows(n)), build_reference("m", "1", Pieces(rows(n), size))
    assert pieces.columns == whole.columns
    assert pieces.blocks.tolist() == whole.blocks.tolist()
    for name in ("counts", "magnitudes", "rows", "missing", "zeros", "low", "high"):
        assert getattr(pieces.summary, name).tolist() == getattr(whole.summary, name).tolist()
    assert pieces.summary.total == pytest.approx(whole.summary.total)


def built(**columns: Array) -> Reference:
    return build_reference("m", "1", Rows({("feature", name): values for name, values in columns.items()}))


def test_blocks_are_counts_of_all_rows_in_time_order() -> None:
    rising = np.concatenate([np.arange(2560.0) / 3, [np.nan] * 2560])
    reference = built(x=rising, y=-rising)

    assert reference.blocks.shape == (256, 22)  # ten coarse bins a column and one for what is missing
    assert reference.blocks.sum(0).tolist() == reference.coarse.counts(reference.summary).tolist()
    assert reference.blocks[0].tolist() == [20, *[0] * 19, 20, 0]
    assert reference.blocks[127].tolist() == [*[0] * 9, 20, 0, 20, *[0] * 10]
    assert reference.blocks[128:, [10, 21]].tolist() == [[20, 20]] * 128


@pytest.mark.parametrize(("n", "blocks"), [(19, 0), (20, 1), (100, 5), (100_000, MAX_BLOCKS)])
def test_blocks_hold_twenty_rows_at_least(n: int, blocks: int) -> None:
    assert len(built(x=np.sin(np.arange(float(n)))).blocks) == blocks


def test_what_is_left_out_is_told() -> None:
    reference = built(x=np.full(5, np.nan), y=np.arange(5.0))
    assert reference.notices == ("x: left out, no value in the reference",)
    assert [column.name for column in reference.columns] == ["y"]
    assert (reference.rows, reference.summary.seen.tolist()) == (5, [5])


def test_declared_kinds() -> None:
    source = Rows({("feature", "x"): np.array([1.0, 2.0] * 10), ("feature", "y"): np.arange(20.0)})
    reference = build_reference("m", "1", source, declared={"x": "categorical", "y": "ignore"})
    assert [(column.name, column.kind) for column in reference.columns] == [("x", "categorical")]
    assert reference.notices == ("y: left out, ignored by configuration",)


def test_no_rows_and_no_columns() -> None:
    for reference in (build_reference("m", "1", Rows({})), built(x=np.empty(0)), built(x=np.full(50, np.nan))):
        assert (reference.columns, reference.blocks.shape, reference.rows) == ((), (0, 0), 0)
        assert Reference.loads(reference.dumps()) == reference
