"""The reference: what a version looked like, in a file that ships."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tenure.errors import TenureError
from tenure_agent.builder import Rows, build_reference
from tenure_agent.losses import profile_losses
from tenure_agent.reference import FORMAT, Reference, ReferenceUnreadable

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
    return build_reference("fraud", "3.2.1", Rows(columns), losses=losses, told="a test", span=(1, 10**15))


def test_round_trip(tmp_path: Path) -> None:
    built = reference()
    path = tmp_path / "fraud.reference"
    built.save(path)
    loaded = Reference.load(path)

    assert loaded == built
    assert loaded.hash == built.hash
    assert loaded.digest == built.digest
    assert loaded.layout.offsets.tolist() == built.layout.offsets.tolist()
    assert loaded.blocks.tolist() == built.blocks.tolist()
    assert loaded.summary.counts.tolist() == built.summary.counts.tolist()
    assert (loaded.source, loaded.span, loaded.rows) == ("a test", (1, 10**15), 3000)
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
    again = Reference.loads(json.dumps(document))
    assert again.hash == built.hash
    assert again.digest != built.digest
    assert again != built


def test_no_raw_rows_leave_in_a_large_reference() -> None:
    secrets = np.random.default_rng(3).uniform(1e6, 1e7, 100_000)
    built = build_reference("m", "1", Rows({("feature", "salary"): secrets}))

    written = set(built.columns[0].edges)
    assert len(written & set(secrets.tolist())) < len(secrets) / 40
    assert len(built.dumps()) < 200_000


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
        lambda data: gzip.compress(json.dumps({"format": FORMAT, "columns": [3], "losses": []}).encode()),
        lambda data: gzip.compress(json.dumps(json.loads(gzip.decompress(data)) | {"summary": "nonsense"}).encode()),
        lambda data: gzip.compress(json.dumps(json.loads(gzip.decompress(data)) | {"blocks": 7}).encode()),
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
