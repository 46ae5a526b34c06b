"""What each detector of faults is for: told apart from what is none, sized, and said in words."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tenure_agent.builder import Rows, build_reference
from tenure_agent.detectors import DETECTORS
from tenure_agent.detectors.chances import chance_of_difference, chance_of_more
from tenure_agent.detectors.detector import percent
from tenure_agent.detectors.pairs import merge_small, pair_of
from tenure_agent.reference import Reference
from tenure_agent.summary import Summary, merge
from tenure_agent.tally import summarise

Array = npt.NDArray[Any]
KEY = ("feature", "x")
RNG = np.random.default_rng(7)


def texts(*values: str | None) -> Array:
    array = np.empty(len(values), object)
    array[:] = values
    return array


def compared(reference: Array, current: Array, parts: int = 1) -> tuple[Reference, Summary]:
    built = build_reference("m", "1", Rows({KEY: reference}))
    groups = np.arange(len(current)) * parts // max(len(current), 1)
    return built, merge(built.layout, summarise(built.layout, {KEY: current}, groups, parts))


def found(name: str, reference: Array, current: Array, parts: int = 1) -> tuple[float, str]:
    built, summary = compared(reference, current, parts)
    statistic = float(DETECTORS[name].measure(built, summary).statistic[0])
    return statistic, DETECTORS[name].explain(built, summary, 0) if statistic >= DETECTORS[name].floor else ""


COLUMNS: dict[str, Array] = {
    "lognormal": RNG.lognormal(3, 1, 4000),
    "heavy tail": RNG.lognormal(0, 3, 4000),
    "far from 0": RNG.normal(100, 1, 4000),
    "both signs": RNG.normal(2, 3, 4000),
    "uniform": RNG.uniform(0, 1, 4000),
    "counts": RNG.poisson(3, 4000).astype(float),
    "zeros and a tail": np.where(RNG.random(4000) < 0.4, 0.0, RNG.exponential(20, 4000)),
}


@pytest.mark.parametrize("factor", [10, 100, 1000, 0.001, 7, -1000])
@pytest.mark.parametrize("name", COLUMNS)
def test_a_multiplied_column_is_recognised_with_its_factor(name: str, factor: float) -> None:
    values = COLUMNS[name]
    statistic, words = found("scale", values[:3000], values[3000:] * factor)
    sign = 1.0 if factor < 0 else 0.0
    assert statistic == pytest.approx(abs(np.log2(abs(factor))) + sign, abs=1e-9 if factor != 7 else 0.35)
    if factor == 1000:
        assert words == "its values are 1000 times the reference's"
    if factor == 0.001:
        assert words == "its values are the reference's divided by 1000"


@pytest.mark.parametrize("name", ["lognormal", "heavy tail", "far from 0", "uniform", "zeros and a tail"])
def test_another_sign_is_recognised(name: str) -> None:
    values = COLUMNS[name]
    assert found("scale", values[:3000], -values[3000:]) == (1.0, "its values have the other sign")


def test_degrees_are_recognised() -> None:
    celsius = RNG.normal(12, 8, 4000)
    fahrenheit = celsius * 1.8 + 32
    assert found("scale", celsius[:3000], fahrenheit[3000:])[1] == "its values are °F where the reference's are °C"
    assert found("scale", fahrenheit[:3000], celsius[3000:])[1] == "its values are °C where the reference's are °F"


HARMLESS = {
    "as ever": lambda x: x,
    "shifted by two deviations": lambda x: x + 2 * x.std(),
    "shifted far": lambda x: x + 50 * x.std(),
    "half as wide again": lambda x: x * 1.5,
    "doubled": lambda x: x * 2,
    "a third": lambda x: x / 3,
    "constant": lambda x: np.full(len(x), 123456.0),
    "noise elsewhere": lambda x: RNG.uniform(1e5, 2e5, len(x)),
    "silent zeros": lambda x: np.where(np.arange(len(x)) % 2, 0.0, x),
}


@pytest.mark.parametrize("change", HARMLESS.values(), ids=HARMLESS)
@pytest.mark.parametrize("name", ["lognormal", "heavy tail", "far from 0", "both signs", "uniform", "zeros and a tail"])
def test_what_is_no_other_unit_is_not_called_one(name: str, change: Any) -> None:
    values = COLUMNS[name]
    assert found("scale", values[:3000], change(values[3000:])) == (0.0, "")


def test_too_few_values_say_nothing_of_units() -> None:
    assert np.isnan(found("scale", COLUMNS["uniform"], COLUMNS["uniform"][:19] * 1000)[0])


@pytest.mark.parametrize("parts", [1, 20])
@pytest.mark.parametrize("value", [0.0, -1.0, 999.0, 12.3456])
def test_a_new_point_mass_is_named(value: float, parts: int) -> None:
    values = np.where(RNG.random(1000) < 0.38, value, RNG.normal(10, 3, 1000))
    statistic, words = found("point_mass", RNG.normal(10, 3, 20_000), values, parts)
    share = float((values == value).mean())
    assert statistic == pytest.approx(share, abs=2e-3)
    assert words.startswith(f"{percent(share)} of its values are exactly {value:g}")


def test_a_point_mass_that_exploded_is_named() -> None:
    reference = np.where(np.arange(20_000) % 500 == 0, 0.0, RNG.normal(10, 3, 20_000))
    statistic, words = found("point_mass", reference, np.where(np.arange(1000) < 380, 0.0, RNG.normal(10, 3, 1000)))
    assert statistic == pytest.approx(0.378)
    assert words == "38 % of its values are exactly 0, 0.2 % in the reference"


@pytest.mark.parametrize("parts", [1, 1000])
@pytest.mark.parametrize("value", [10.000123, 0.0, 1e6])
def test_a_constant_column_is_named(value: float, parts: int) -> None:
    statistic, words = found("point_mass", RNG.normal(10, 3, 20_000), np.full(1000, value), parts)
    assert statistic == pytest.approx(1.0, abs=2e-3)
    assert words.startswith(f"all its values are exactly {value:.6g}, ")


def test_a_point_mass_of_texts_is_named() -> None:
    old = texts(*["NL", "DE"] * 500)
    statistic, words = found("point_mass", old, texts(*["NL"] * 90, *["DE"] * 10))
    assert statistic == pytest.approx(0.4)
    assert words == "90 % of its values are 'NL', 50 % in the reference"
    assert found("point_mass", old, texts(*["n/a"] * 100))[1] == "all its values are 'n/a', 0 % in the reference"


def test_a_constant_that_was_constant_is_no_point_mass() -> None:
    assert found("point_mass", np.full(500, 7.0), np.full(100, 7.0)) == (0.0, "")


def outside(values: Array, reference: Array, room: float = 0.0) -> float:
    """The share of values beyond the reference's by more than some part of its range, or of its one value."""
    far = room * (float(np.ptp(reference)) or abs(float(reference[0])))
    return float(((values < reference.min() - far) | (values > reference.max() + far)).mean())


def test_out_of_range_is_exact_where_the_ends_are_atoms() -> None:
    reference = np.clip(RNG.normal(size=20_000), -2.0, 2.0)
    for current in (RNG.normal(0.5, 2, size=3000), np.nextafter([2.0, 2.0, -2.0, -2.0], [3.0, 1.0, -3.0, -1.0])):
        statistic, words = found("out_of_range", reference, current)
        assert statistic == pytest.approx(outside(current, reference))
        assert words.startswith(
            f"{percent(statistic)} of its values lie outside the reference's -2 … 2: they reach from "
        )


@pytest.mark.parametrize(
    "reference",
    [
        RNG.normal(size=20_000),
        RNG.lognormal(0, 2, 9000),
        RNG.normal(1e4, 100, 300),
        np.array([3.7]),
        -RNG.random(7) * 1e-9,
        RNG.random(9) * 1e-311,
    ],
)
def test_out_of_range_is_exact_beyond_the_numbers_named_and_a_tenth_of_the_range_off_at_most(reference: Array) -> None:
    spread = float(np.ptp(reference)) or float(reference[0])
    current = RNG.uniform(reference.min() - spread, reference.max() + spread, 3000)
    statistic, words = found("out_of_range", reference, current)
    assert outside(current, reference, 0.1) <= statistic + 1e-12
    assert 0 < statistic <= outside(current, reference) + 1e-12
    assert found("out_of_range", reference, reference) == (0.0, "")
    statistic, words = found("out_of_range", reference, np.append(np.resize(reference, 99), np.inf))
    assert statistic == pytest.approx(0.01)
    assert words.startswith("1 % of its values lie outside the reference's ")
    assert words.endswith(": they are infinite")
    least, most = words.split("reference's ")[1].split(":")[0].split(" … ")
    assert float(least) <= reference.min() <= reference.max() <= float(most)


def test_values_of_another_type() -> None:
    numbers = RNG.normal(size=1000)
    assert found("type_change", numbers, texts("12", "13")) == (
        1.0,
        "all its values are texts, numbers in the reference",
    )
    assert found("type_change", numbers, texts(None, None))[0] == 0.0
    assert found("missing", numbers, texts("12", "13"))[0] == 0.0  # each fault has one name


def test_vanished_categories_are_counted() -> None:
    old = texts(*["a"] * 50, *["b"] * 30, *["c"] * 20)
    statistic, words = found("vanished_category", old, texts(*["a"] * 100))
    assert statistic == pytest.approx(0.5)
    assert words == "2 categories do not come any more, 'b' among them: 50 % of the reference's values"


def test_chances_of_shares() -> None:
    def chance(b: int, m: int, a: int, n: int) -> float:
        return float(chance_of_more(np.array([b]), np.array([m]), np.array([a]), np.array([n]))[0])

    assert chance(0, 100, 0, 100) == chance(5, 100, 5, 100) == chance(0, 10, 5, 10) == 1.0
    # Fisher's exact test: 0.01265 for 2 of 100 against 2 of 2000; ours is a little larger.
    assert 0.01265 <= chance(2, 100, 2, 2000) < 0.014
    # 600 of 1000 against 500 of 1000: z = 4.449 with Yates' correction.
    assert chance(600, 1000, 500, 1000) == pytest.approx(4.3e-6, rel=0.02)
    both = chance_of_difference(np.array([500]), np.array([1000]), np.array([600]), np.array([1000]))
    assert both[0] == pytest.approx(2 * chance(600, 1000, 500, 1000))


def test_small_bins_are_merged_until_each_expects_five() -> None:
    first, second = RNG.integers(0, 12, 60), RNG.integers(0, 12, 60)
    starts, unordered = np.array([0, 20, 58, 60]), np.array([False, True, False])
    first[58:] = second[58:] = 1
    pair = pair_of(first, second, starts)

    merged = merge_small(pair, unordered)

    assert merged.sums(merged.first).tolist() == pair.n.tolist()
    assert merged.sums(merged.second).tolist() == pair.m.tolist()
    expected = (merged.first + merged.second) * (np.minimum(pair.n, pair.m) / (pair.n + pair.m))[merged.column]
    assert (expected[:58][merged.held[:58]] >= 5).all()
    assert merged.bins[2] == 1  # a column that expects fewer in all has one bin
    assert 1 < merged.bins[0] < pair.bins[0]


@pytest.mark.parametrize(
    ("share", "shown"),
    [(0.38, "38 %"), (0.002, "0.2 %"), (0.0, "0 %"), (1.0, "100 %"), (0.9998, "99.98 %"), (1e-6, "under 0.01 %")],
)
def test_shares_as_people_read_them(share: float, shown: str) -> None:
    assert percent(share) == shown
