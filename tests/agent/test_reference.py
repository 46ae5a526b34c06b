"""The reference: what a version looked like, in a file that ships."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tenure.errors import TenureError
from tenure_agent.losses import profile_losses
from tenure_agent.reference import Reference, ReferenceUnreadable, build_reference

Array = npt.NDArray[Any]


def texts(*values: str | None) -> Array:
    array = np.empty(len(values), object)
    array[:] = values
    return array


def reference(rows: int = 3000) -> Reference:
    rng = np.random.default_rng(1)
    said = rng.uniform(size=rows)
    columns = {
        ("feature", "amount"): rng.lognormal(size=rows),
        ("feature", 'quoted "name"; DROP TABLE x'): rng.integers(0, 5, rows).astype(float),
        ("feature", "country"): texts(*rng.choice(["NL", "DE", "ü"], rows).tolist()),
        ("feature", "empty"): np.full(rows, np.nan),
        ("output", "prediction"): said,
    }
    losses = profile_losses("binary", said, (rng.uniform(size=rows) < said).astype(float))
    return build_reference("fraud", "3.2.1", columns, losses=losses, source="a test")


def test_round_trip(tmp_path: Path) -> None:
    built = reference()
    path = tmp_path / "fraud.reference"
    built.save(path)
    loaded = Reference.load(path)

    assert loaded == built
    assert loaded.hash == built.hash
    assert loaded.offsets.tolist() == built.offsets.tolist()
    assert Reference.loads(built.dumps()) == built
    assert built.notices == ("empty: left out, no value in the reference",)


def test_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        reference().save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_hash_is_that_of_the_bins() -> None:
    built, other = reference(3000), reference(3001)
    assert built.hash != other.hash
    document = json.loads(built.dumps()) | {"version": "9", "source": "elsewhere", "losses": []}
    assert Reference.loads(json.dumps(document)).hash == built.hash


def test_no_raw_rows_leave_in_a_large_reference() -> None:
    secrets = np.random.default_rng(3).uniform(1e6, 1e7, 100_000)
    built = build_reference("m", "1", {("feature", "salary"): secrets})

    written = set(built.columns[0].edges)
    assert len(written & set(secrets.tolist())) < len(secrets) / 40
    assert len(built.dumps()) < 200_000


def test_blocks_are_counts_of_all_rows_in_time_order() -> None:
    rising = np.concatenate([np.arange(1280.0), [np.nan] * 1280])
    built = build_reference("m", "1", {("feature", "x"): rising, ("feature", "y"): -rising})

    blocks = np.array(built.blocks)

    assert blocks.shape == (64, 20)  # ten coarse bins a column
    assert blocks.sum(0).tolist() == np.bincount(built.coarse, built.counts).tolist()
    assert blocks[0].tolist() == [40, *[0] * 18, 40]
    assert blocks[31].tolist() == [*[0] * 9, 40, 40, *[0] * 9]
    assert blocks[32:].sum() == 0


def test_few_rows_make_few_blocks() -> None:
    sizes = [
        len(build_reference("m", "1", {("feature", "x"): np.arange(float(n))}).blocks) for n in (19, 20, 100, 5000)
    ]
    assert sizes == [0, 1, 5, 64]


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: b"not a reference",
        lambda data: data[: len(data) // 2],
        lambda data: data[:40] + bytes([data[40] ^ 0xFF]) + data[41:],
        lambda data: data[:12] + b"\x00" * 20 + data[32:],
        lambda data: gzip.compress(b"\xff\xfe"),
        lambda data: gzip.compress(b"[]"),
        lambda data: gzip.compress(b"{}"),
        lambda data: gzip.compress(b'{"format": 99}'),
        lambda data: gzip.compress(b'{"format": 1, "columns": [3], "losses": []}'),
        lambda data: gzip.compress(json.dumps(json.loads(gzip.decompress(data)) | {"columns": [{}]}).encode()),
    ],
)
def test_broken_file_is_a_clear_error(tmp_path: Path, damage: Any) -> None:
    path = tmp_path / "fraud.reference"
    reference(200).save(path)
    path.write_bytes(damage(path.read_bytes()))

    with pytest.raises(ReferenceUnreadable, match=r"fraud\.reference: .*Try: ") as refused:
        Reference.load(path)
    assert isinstance(refused.value, TenureError)


def test_absent_file_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ReferenceUnreadable, match="Try: tenure-agent reference build"):
        Reference.load(tmp_path / "absent.reference")


def test_coarse_bins_hold_about_a_tenth_each() -> None:
    built = build_reference("m", "1", {("feature", "x"): np.random.default_rng(5).normal(size=10_000)})
    mass = np.bincount(built.coarse, built.counts)
    assert len(mass) == 10
    assert (np.abs(mass - 1000) < 20).all()


def test_coarse_bins_keep_a_common_value_apart() -> None:
    values = np.concatenate([np.zeros(5000), np.random.default_rng(5).exponential(size=5000)])
    built = build_reference("m", "1", {("feature", "x"): values})
    mass = np.bincount(built.coarse, built.counts)
    assert 5000 in mass.tolist()
    assert math.isclose(mass.sum(), 10_000)


def test_coarse_bins_of_categories_put_the_rare_together() -> None:
    names = texts(*["a"] * 500, *["b"] * 490, *[f"rare{i}" for i in range(10)])
    built = build_reference("m", "1", {("feature", "x"): names})
    assert np.bincount(built.coarse, built.counts).tolist() == [500, 490, 10]


def test_reference_of_no_columns() -> None:
    built = build_reference("m", "1", {("feature", "x"): np.full(5, np.nan)})
    assert (built.columns, built.blocks, built.offsets.tolist(), built.coarse.tolist()) == ((), (), [0], [])
    assert built.coarse_starts.tolist() == [0]
