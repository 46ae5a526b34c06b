"""Two references laid over each other, as values and as a picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from tenure_agent.builder import Rows, build_reference
from tenure_agent.cli.reference import reference as verb
from tenure_agent.overlay import Overlay, overlays
from tenure_agent.reference import Reference

X, C = ("feature", "x"), ("feature", "c")


def built(version: str = "1", **columns: Any) -> Reference:
    return build_reference("m", version, Rows({("feature", name): np.asarray(v) for name, v in columns.items()}))


def texts(*held: tuple[str, int]) -> np.ndarray[Any, Any]:
    return np.repeat(np.array([name for name, _ in held], object), [rows for _, rows in held])


def only(first: Reference, second: Reference) -> Overlay:
    [found] = overlays(first, second)
    return found


@pytest.mark.parametrize("values", [np.arange(500.0), np.r_[np.zeros(300), np.arange(200.0)], np.full(100, 7.0)])
def test_alike_lie_upon_each_other(values: np.ndarray[Any, Any]) -> None:
    found = only(built(x=values), built(x=values))
    assert found.apart == 0
    assert sum(before for _, before, _ in found.parts) == pytest.approx(1, abs=0.02)  # the ends may be left out


def test_numbers_that_moved_are_counted_over_the_same_range() -> None:
    values = np.linspace(0, 999.5, 1000)
    found = only(built(x=values), built(x=values + 1000))
    assert found.apart == pytest.approx(1, abs=0.03)
    assert found.parts[0][0] == pytest.approx(0, abs=10)
    assert found.parts[0][2] == found.parts[-2][1] == 0


def test_half_of_the_rows_moved() -> None:
    moved = np.r_[np.linspace(0, 1, 500), np.linspace(10, 11, 500)]
    assert only(built(x=np.linspace(0, 1, 1000)), built(x=moved)).apart == pytest.approx(0.5, abs=0.03)


def test_texts_missing_and_others() -> None:
    first = built(c=np.r_[texts(("a", 60), ("b", 30)), np.full(10, None)])
    second = built(c=texts(("a", 60), ("n", 38), ("rare", 2)))
    assert only(first, second).parts == (
        ("a", 0.6, 0.6),
        ("b", 0.3, 0.0),
        ("n", 0.0, 0.38),
        ("", 0.0, 0.02),
        (None, 0.1, 0.0),
    )


def test_columns_of_one_only_or_of_another_kind_are_left_out() -> None:
    first = built(x=np.arange(100.0), c=texts(("a", 100)), y=np.arange(100.0))
    assert [one.name for one in overlays(first, built(x=texts(("a", 100)), c=texts(("b", 100))))] == ["c"]


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    made = [
        built("1", x=np.arange(500.0), c=texts(("[red]", 500))),
        built("2", x=np.arange(500.0) * 3, c=texts(("b", 500))),
    ]
    paths = [tmp_path / f"{one.version}.reference" for one in made]
    for one, path in zip(made, paths, strict=True):
        one.save(path)
    return [str(path) for path in paths]


def test_the_picture(files: list[str]) -> None:
    told = CliRunner().invoke(verb, ["show", files[0], "--against", files[1]], catch_exceptions=False).output
    assert "only m 1" in told
    assert "only m 2" in told
    assert told.index("c: 100% of its rows lie elsewhere") < told.index("x: ")
    assert "[red]" in told
    one = CliRunner().invoke(verb, ["show", files[0], "--against", files[1], "--column", "x"], catch_exceptions=False)
    assert "c: " not in one.output


def test_as_json(files: list[str]) -> None:
    told = CliRunner().invoke(verb, ["show", files[0], "--against", files[1], "--json"], catch_exceptions=False).output
    found = json.loads(told)
    assert found["second"] == Reference.load(Path(files[1])).digest
    assert [one["name"] for one in found["columns"]] == ["x", "c"]
    assert found["columns"][1]["apart"] == 1
