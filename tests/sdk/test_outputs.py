"""What predict may return for one row, as it arrives: the row is always kept, what can be no output is counted."""

import math
from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from pydantic import BaseModel
from scipy import sparse

from tenure import Monitor, Settings
from tenure.answer import Answer
from tenure.outputs import row_outputs
from tenure.screen import Screen
from tenure.testing import MemoryTransport

DEADLINE = 60.0
Pair = namedtuple("Pair", ["label", "score"])


class Animal(Enum):
    CAT = "cat"


class Scored(BaseModel):
    label: str
    score: float


@dataclass
class Priced:
    price: float


class Unreadable:
    """A host's object that raises when it is looked at."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("detached session")


LOOP: list[Any] = []
LOOP.append(LOOP)
CAT = {"prediction": "cat", "score": 0.9}
SCORES = {"prediction": "cat", "score": 0.9, "score.cat": 0.9, "score.dog": 0.1}
THREE = {"prediction": "1", "score": 0.7}
SEVERAL = {"prediction.0": 3.0, "prediction.1": 4.0}
ONE = [
    pytest.param(0.5, {"prediction": 0.5}, id="number"),
    pytest.param("fraud", {"prediction": "fraud"}, id="label"),
    pytest.param(True, {"prediction": 1.0}, id="bool"),
    pytest.param(None, {"prediction": None}, id="nothing"),
    pytest.param(math.inf, {"prediction": math.inf}, id="infinity"),
    pytest.param(10**400, {"prediction": math.inf}, id="huge"),
    pytest.param(Decimal("0.5"), {"prediction": 0.5}, id="decimal"),
    pytest.param(Animal.CAT, {"prediction": "cat"}, id="enumeration"),
    pytest.param(np.float64(0.5), {"prediction": 0.5}, id="numpy number"),
    pytest.param(np.str_("cat"), {"prediction": "cat"}, id="numpy text"),
    pytest.param(np.array(0.5), {"prediction": 0.5}, id="0-d array"),
    pytest.param(np.array("cat"), {"prediction": "cat"}, id="0-d text"),
    pytest.param(np.array([0.5]), {"prediction": 0.5}, id="(1,)"),
    pytest.param(np.array(["cat"]), {"prediction": "cat"}, id="(1,) text"),
    pytest.param(np.array([[0.5]]), {"prediction": 0.5}, id="(1, 1)"),
    pytest.param(np.array([[0.2, 0.8]]), {"prediction": 0.8}, id="(1, 2) probabilities"),
    pytest.param(np.array([[0.1, 0.7, 0.2]], "float32"), THREE | {"score": pytest.approx(0.7)}, id="(1, 3) probabilities"),
    pytest.param(np.array([[3.0, 4.0]]), SEVERAL, id="(1, 2) outputs"),
    pytest.param(np.array([1, 0]), {"prediction.0": 1.0, "prediction.1": 0.0}, id="indicators"),
    pytest.param(np.array([0.2, 0.8]), {"prediction": 0.8}, id="array of probabilities"),
    pytest.param([0.2, 0.8], {"prediction": 0.8}, id="binary probabilities"),
    pytest.param((0.1, 0.7, 0.2), THREE, id="probabilities"),
    pytest.param([0.33, 0.33, 0.33], {"prediction": "0", "score": 0.33}, id="rounded probabilities"),
    pytest.param([True, False], {"prediction.0": 1.0, "prediction.1": 0.0}, id="bools"),
    pytest.param([3.0, 4.0], SEVERAL, id="outputs"),
    pytest.param([3.0, None], {"prediction.0": 3.0, "prediction.1": None}, id="outputs with None"),
    pytest.param([math.nan, 4.0], {"prediction.0": None, "prediction.1": 4.0}, id="outputs with NaN"),
    pytest.param(np.ma.array([3.0, 4.0], mask=[True, False]), {"prediction.0": None, "prediction.1": 4.0}, id="masked"),
    pytest.param(pl.Series([0.2, 0.8]), {"prediction": 0.8}, id="polars"),
    pytest.param(pa.array([0.2, 0.8]), {"prediction": 0.8}, id="arrow"),
    pytest.param(sparse.csr_array([[3.0, 4.0]]), SEVERAL, id="sparse"),
    pytest.param([], {"prediction": None}, id="empty"),
    pytest.param([[]], {"prediction": None}, id="empty inside"),
    pytest.param([["cat"]], {"prediction": "cat"}, id="alone in lists"),
    pytest.param(["spam", "urgent"], {"prediction": "spam, urgent"}, id="labels"),
    pytest.param(["to", None, "ken"], {"prediction": "to, ken"}, id="tokens"),
    pytest.param({"urgent", "spam"}, {"prediction": "spam, urgent"}, id="set of labels"),
    pytest.param(("cat", 0.9), CAT, id="label and score"),
    pytest.param((0.9, "cat"), CAT, id="score and label"),
    pytest.param([("cat", 0.9)], CAT, id="one pair"),
    pytest.param([("cat", 0.9), ("dog", 0.1)], SCORES, id="pairs"),
    pytest.param([["dog", 0.1], ["cat", 0.2], ["cat", 0.9]], SCORES, id="pairs that repeat"),
    pytest.param([{"label": "cat", "score": 0.9}], CAT | {"label": "cat"}, id="one of a pipeline"),
    pytest.param([[{"label": "cat", "score": 0.9}, {"label": "dog", "score": 0.1}]], SCORES, id="all of a pipeline"),
    pytest.param({"cat": 0.9, "dog": 0.1}, SCORES, id="class → score"),
    pytest.param({"cat": 0.9, "dog": None}, SCORES | {"score.dog": None}, id="class → score with a gap"),
    pytest.param({0: 0.9, 1: 0.1}, {"prediction": "0", "score": 0.9, "score.0": 0.9, "score.1": 0.1}, id="classes by number"),
    pytest.param(pd.Series([0.9, 0.1], ["cat", "dog"]), SCORES, id="Series by class"),
    pytest.param(pd.Series([0.2, 0.8]), {"prediction": 0.8}, id="Series"),
    pytest.param(pd.DataFrame({"prediction": ["cat"], "age": [7]}), {"prediction": "cat", "age": 7.0}, id="frame of one row"),
    pytest.param({"price": 12.5}, {"prediction": 12.5, "price": 12.5}, id="one entry"),
    pytest.param(Priced(12.5), {"prediction": 12.5, "price": 12.5}, id="dataclass"),
    pytest.param({"score": 0.9, "limit": 0.5}, {"prediction": 0.9, "score": 0.9, "limit": 0.5}, id="score beside others"),
    pytest.param({"label": "cat", "score": 0.9}, CAT | {"label": "cat"}, id="named outputs"),
    pytest.param(Pair("cat", 0.9), CAT | {"label": "cat"}, id="NamedTuple"),
    pytest.param(Scored(label="cat", score=0.9), CAT | {"label": "cat"}, id="pydantic"),
    pytest.param({"ok": True, "n": 2.0}, {"prediction": 1.0, "ok": 1.0, "n": 2.0}, id="bool and number"),
    pytest.param({"prediction": {"cat": 0.9, "dog": 0.1}, "by": "v2"}, SCORES | {"by": "v2"}, id="nested"),
    pytest.param({"prediction": [0.1, 0.7, 0.2], "by": "v2"}, THREE | {"by": "v2"}, id="vector by name"),
    pytest.param({"prediction": 1.0, "prediction.low": 0.5}, {"prediction": 1.0, "prediction.low": 0.5}, id="bounds"),
    pytest.param({"label": "cat", "at": (1, 2)}, {"prediction": "cat", "label": "cat", "at.0": 1.0, "at.1": 2.0}, id="place"),
    pytest.param({}, {"prediction": None}, id="empty mapping"),
]  # fmt: skip
LOST = [
    pytest.param(object(), {"prediction": None}, {"prediction": 1}, id="object"),
    pytest.param(b"cat", {"prediction": None}, {"prediction": 1}, id="bytes"),
    pytest.param(np.zeros((3, 2)), {"prediction": None}, {"prediction": 1}, id="(3, 2) for one row"),
    pytest.param(pd.DataFrame({"a": [1, 2]}), {"prediction": None}, {"prediction": 1}, id="frame of two rows"),
    pytest.param({1, "cat"}, {"prediction": None}, {"prediction": 1}, id="set of this and that"),
    pytest.param(LOOP, {"prediction": None}, {"prediction": 1}, id="list in itself"),
    pytest.param(Unreadable(), {"prediction": None}, {"prediction": 1}, id="unreadable"),
    pytest.param(("cat", [1, 2]), {"prediction": "cat", "prediction.1": None}, {"prediction.1": 1}, id="label and vector"),
    pytest.param({"label": "a", "x": Unreadable()}, {"prediction": "a", "label": "a", "x": None}, {"x": 1}, id="unreadable inside"),
    pytest.param({"label": "cat", "x": object()}, {"prediction": "cat", "label": "cat", "x": None}, {"x": 1}, id="object by name"),
]  # fmt: skip


@pytest.fixture
def given(monitor: Monitor, transport: MemoryTransport) -> Callable[[Any], dict[str, Any]]:
    """What arrives of a watched call's output."""

    def given(output: Any) -> dict[str, Any]:
        assert monitor.watch(lambda features: output)({"amount": 1.5}) is output
        assert monitor.flush(DEADLINE)
        [row] = transport.predictions("fraud")
        assert row["features"] == {"amount": 1.5}
        assert (monitor.stats().acked, monitor.stats().dropped) == (1, {})
        outputs: dict[str, Any] = row["outputs"]
        return outputs

    return given


@pytest.mark.parametrize(("output", "expected"), ONE)
def test_one_row(
    monitor: Monitor, given: Callable[[Any], dict[str, Any]], output: Any, expected: dict[str, Any]
) -> None:
    assert given(output) == expected
    assert monitor.stats().skipped == {}


@pytest.mark.parametrize(("output", "expected", "skipped"), LOST)
def test_what_can_be_no_output_is_counted(
    monitor: Monitor, given: Callable[[Any], dict[str, Any]], output: Any, expected: Any, skipped: dict[str, int]
) -> None:
    assert given(output) == expected
    assert monitor.stats().skipped == skipped


def test_an_iterator_is_not_consumed(given: Callable[[Any], dict[str, Any]]) -> None:
    items = iter([1, 2])

    assert given(items) == {"prediction": None}
    assert list(items) == [1, 2]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer([0.2, 0.8], True, np.array(["no", "yes"])), {"prediction": 0.8, "score.no": 0.2, "score.yes": 0.8}),
        (Answer([0.2, 0.8], True, ["one"]), {"prediction": 0.8}),
        (Answer([0.9, 0.8, 0.1], True), {"prediction": "0", "score": 0.9}),
        (Answer([0.1, None, 0.2], True, [0.0, 1.0, 2.5]), {"prediction": "2.5", "score": 0.2, "score.0": 0.1, "score.1": None, "score.2.5": 0.2}),
        (Answer([None, math.nan, None], True), {"prediction": None, "score": None}),
        (Answer([0.2, 0.8], False), {"prediction.0": 0.2, "prediction.1": 0.8}),
    ],
)  # fmt: skip
def test_what_is_known_of_an_output_decides(answer: Answer, expected: dict[str, Any]) -> None:
    assert {name: values[0] for name, values in row_outputs([answer]).items()} == expected


def test_vectors_of_one_report_are_read_alike() -> None:
    """By chance one of several outputs adds up to 1; one with a gap says nothing."""
    assert row_outputs([[0.2, 0.8], [0.5, 7.0]]) == {"prediction.0": [0.2, 0.5], "prediction.1": [0.8, 7.0]}
    assert row_outputs([[0.2, 0.8], [None, 0.7]]) == {"prediction": [0.8, 0.7]}


def test_labels_and_numbers_in_one_report_are_two_columns_of_one_name(
    monitor: Monitor, transport: MemoryTransport
) -> None:
    for output in ({"cat": 0.9, "dog": 0.1}, 0.5, None):
        monitor.record({}, output)

    assert monitor.flush(DEADLINE)
    assert [row["outputs"].get("prediction") for row in transport.predictions("fraud")] == ["cat", 0.5, None]


@pytest.mark.parametrize("output", [{"mail": "a@b.c", "label": "x"}, pd.DataFrame({"mail": ["a@b.c"], "label": ["x"]})])
@pytest.mark.parametrize("screen", [Screen(exclude=frozenset({"mail"})), Screen(redact={"mail": "hash"})])
def test_a_hidden_name_does_not_stand_as_the_prediction(output: Any, screen: Screen) -> None:
    assert row_outputs([output], screen) == {"prediction": ["x"], "label": ["x"]}


def test_too_many_names_are_left_out_and_counted(transport: MemoryTransport) -> None:
    with Monitor("m", settings=Settings(flush_interval=0.001, max_columns=2), transport=transport) as monitor:
        monitor.record({}, {"cat": 0.9, "dog": 0.1})
        assert monitor.flush(DEADLINE)

    assert [row["outputs"] for row in transport.predictions("m")] == [CAT]
    assert monitor.stats().skipped == {"score.cat": 1, "score.dog": 1}


def test_names_alike_on_the_wire_are_sent_once(monitor: Monitor, given: Callable[[Any], dict[str, Any]]) -> None:
    """The agent would refuse a column that comes twice, and with it the batch."""
    long = "x" * 256

    assert given({f"{long}1": "a", f"{long}2": "b"}) == {"prediction": "a", long: "a"}
    assert monitor.stats().skipped == {f"{long}2": 1}
