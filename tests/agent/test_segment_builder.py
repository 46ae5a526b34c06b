"""The segments of a reference: what they hold, which there are, and that they come back from a file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.agent.segmented import COUNTRIES, built, columns, source
from tests.agent.test_builder import Pieces

from tenure_agent.builder import build_reference
from tenure_agent.discretion import discreet
from tenure_agent.reference import Reference, ReferenceUnreadable
from tenure_agent.segment_builder import with_segments
from tenure_agent.segments import FEWEST
from tenure_agent.tally import summarise

ROWS = 6000
VALUES = columns(ROWS)


@pytest.fixture(scope="module")
def reference() -> Reference:
    return built(VALUES)


def test_each_value_has_its_own_rows_in_the_bins_of_all(reference: Reference) -> None:
    assert [one.name for one in reference.segments] == [
        *("country=DE", "country=FR", "country=IT", "country=ES"),
        *("plan=free", "plan=paid"),
    ]
    for one in reference.segments:
        mine = VALUES[one.feature] == one.value
        part = {("feature", name): array[mine] for name, array in VALUES.items()}
        [expected] = summarise(reference.layout, part, np.zeros(int(mine.sum()), int), 1)
        assert one.summary.to_bytes() == discreet(reference.layout, expected).to_bytes()
        own = reference.of(one)
        assert own.hash == reference.hash
        assert len(one.blocks) == one.rows // 20
        assert one.blocks.sum(0).tolist() == own.coarse.counts(one.summary).tolist()
        first = {key: array[: -(-one.rows // len(one.blocks))] for key, array in part.items()}
        [summary] = summarise(reference.layout, first, np.zeros(len(first["feature", "x"]), int), 1)
        assert one.blocks[0].tolist() == own.coarse.counts(summary).tolist()


@pytest.mark.parametrize("size", [137, 1000, ROWS])
def test_in_pieces_is_as_a_whole(reference: Reference, size: int) -> None:
    pieces = Pieces(source(VALUES), size)
    again = with_segments(build_reference("fraud", "3", pieces), pieces, ("country", "plan"))
    for one, other in zip(again.segments, reference.segments, strict=True):
        assert one.name == other.name
        assert one.blocks.tolist() == other.blocks.tolist()
        assert one.summary.counts.tolist() == other.summary.counts.tolist()


def test_a_file_holds_them(reference: Reference, tmp_path: Path) -> None:
    reference.save(path := tmp_path / "fraud.reference")
    again = Reference.load(path)
    assert again == reference
    for one, other in zip(again.segments, reference.segments, strict=True):
        assert (one.feature, one.value, one.rows) == (other.feature, other.value, other.rows)
        assert one.summary.to_bytes() == other.summary.to_bytes()
        assert one.blocks.tolist() == other.blocks.tolist()


def test_a_file_without_is_what_it_always_was(reference: Reference) -> None:
    plain = replace(reference, segments=())
    assert "segments" not in json.loads(plain.dumps())
    assert Reference.loads(plain.dumps()).segments == ()
    assert plain.digest == build_reference("fraud", "3", source(VALUES)).digest != reference.digest
    assert plain.hash == reference.hash
    assert not plain.same_counts(reference)
    assert plain.same_counts(Reference.loads(plain.dumps()))


def test_a_broken_segment_is_no_reference(reference: Reference) -> None:
    document = json.loads(reference.dumps())
    document["segments"][1]["summary"] = document["segments"][1]["summary"][:40]
    with pytest.raises(ReferenceUnreadable):
        Reference.loads(json.dumps(document))


def test_rare_values_are_together_with_what_has_none() -> None:
    values = dict(VALUES)
    values["country"] = VALUES["country"].copy()
    values["country"][: FEWEST - 1] = "LU"
    values["country"][FEWEST : 2 * FEWEST - 1] = None
    values["country"][5000:5200] = [f"c{i}" for i in range(200)]
    others = [one for one in built(values, ["country"]).segments if one.value is None]
    assert [(one.name, one.rows) for one in others] == [("country=(other)", 2 * (FEWEST - 1) + 200)]
    assert {one.value for one in built(values, ["country"]).segments} == {*COUNTRIES, None}


@pytest.mark.parametrize(
    ("feature", "told"),
    [
        ("nowhere", "nowhere: no segments, it is no feature of these rows"),
        ("ids", f"ids: no segments, no value comes often enough: in {FEWEST} rows"),
        ("same", "same: no segments, all rows have one value"),
        ("hollow", "hollow: no segments, it has no value to name"),
        ("when", "when: no segments, it is no feature of these rows"),
    ],
)
def test_what_tells_nothing_apart_is_noticed(feature: str, told: str) -> None:
    odd = {
        "ids": np.array([f"id {i}" for i in range(ROWS)], object),
        "same": np.ones(ROWS),
        "hollow": np.full(ROWS, np.nan),
        "when": np.arange(ROWS).astype("datetime64[s]"),
    }
    found = built(VALUES | odd, [feature, "plan"])
    assert told in found.notices
    assert {one.feature for one in found.segments} == {"plan"}


def test_nothing_asked_nothing_built() -> None:
    assert built(VALUES, []) == build_reference("fraud", "3", source(VALUES))
