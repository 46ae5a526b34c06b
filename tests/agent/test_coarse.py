"""Coarse bins: about ten of equal mass, common values alone, and one for what is missing."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tenure_agent.builder import Rows, build_reference
from tenure_agent.reference import Reference
from tenure_agent.summary import Summary

Array = npt.NDArray[Any]


def built(**columns: Array) -> Reference:
    return build_reference("m", "1", Rows({("feature", name): values for name, values in columns.items()}))


def own(reference: Reference) -> list[int]:
    found: list[int] = reference.coarse.counts(reference.summary).tolist()
    return found


def texts(*values: str) -> Array:
    array = np.empty(len(values), object)
    array[:] = values
    return array


def test_ten_of_equal_mass_and_one_for_missing() -> None:
    values = np.append(np.random.default_rng(5).normal(size=10_000), [np.nan] * 7)
    mass = own(built(x=values))
    assert len(mass) == 11
    assert mass[-1] == 7
    assert (np.abs(np.array(mass[:-1]) - 1000) < 20).all()


def test_a_common_value_stands_alone() -> None:
    mass = own(built(x=np.concatenate([np.zeros(5000), np.random.default_rng(5).exponential(size=5000)])))
    assert 5000 in mass
    assert sum(mass) == 10_000
    assert [rows for rows in mass if 0 < rows != 5000] == pytest.approx([1000] * 5, abs=20)


def test_twelve_categories_and_one_for_the_others() -> None:
    names = texts(*[f"c{i:02}" for i in range(20) for _ in range(100 - i)])
    assert own(built(x=names)) == [*range(100, 88, -1), sum(range(81, 89)), 0]


def test_columns_end_to_end() -> None:
    reference = built(x=np.sin(np.arange(1000.0)), y=np.repeat([1.0, 2.0], 500))
    coarse = reference.coarse
    assert coarse.starts[-1] == len(own(reference))
    assert coarse.missing.tolist() == (coarse.starts[1:] - 1).tolist()
    assert len(coarse) == 2
    assert coarse.sums(np.array(own(reference))).tolist() == [1000, 1000]
    assert coarse.sums(coarse.shares(np.array([own(reference)] * 3))) == pytest.approx(np.ones((3, 2)))
    assert coarse.shares(np.zeros(int(coarse.starts[-1]), int)).tolist() == [0.0] * int(coarse.starts[-1])


def test_labels_say_what_a_coarse_bin_holds() -> None:
    names = texts(*[f"c{i:02}" for i in range(14) for _ in range(100 - i)])
    rows = len(names)
    amount = np.where(np.arange(rows) % 2 == 0, 0.0, np.arange(rows) % 500 / 10 + 1)
    coarse = built(amount=amount, flag=np.arange(rows) % 2 == 0, country=names).coarse
    found = coarse.labels(0)
    assert len(found) == coarse.stretch(0).stop
    assert found[:2] == ["under 0", "exactly 0"]
    assert all(one.startswith("between ") for one in found[2:-2])
    assert [one.split()[1] for one in found[2:-2]] == ["0", *(one.split()[-1] for one in found[2:-3])]
    assert found[-2] == f"over {found[-3].split()[-1]}"
    assert coarse.labels(1)[-1] == coarse.labels(2)[-1] == "missing"
    assert coarse.labels(1) == ["under 0", "exactly 0", "between 0 and 1", "exactly 1", "over 1", "missing"]
    assert coarse.labels(2) == [*(f"'c{i:02}'" for i in range(12)), "any other category", "missing"]
    assert sum(len(coarse.labels(i)) for i in range(3)) == coarse.starts[-1]


def test_no_columns() -> None:
    nothing = built()
    assert nothing.coarse.starts.tolist() == [0]
    assert nothing.coarse.counts(Summary.empty(nothing.layout)).tolist() == []
    assert nothing.coarse.sums(np.zeros((3, 0))).shape == (3, 0)
