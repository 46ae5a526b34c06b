"""What predict may return for many rows at once, as it arrives: the rows are always kept."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from scipy import sparse

from tenure import Monitor, Settings
from tenure.answer import Answer
from tenure.screen import Screen
from tenure.table_outputs import Named, table_outputs
from tenure.testing import MemoryTransport

DEADLINE = 60.0
ROWS = [{"amount": 1.5}, {"amount": 2.5}]
THREE = np.array([[0.2, 0.8, 0.0], [0.5, 0.1, 0.4]])
PAIR = np.array([[0.2, 0.8], [0.9, 0.1]])
SEVERAL = np.array([[3.0, 4.0], [5.0, 6.0]])

BEST = {"prediction": ["1", "0"], "score": [0.8, 0.5]}
NAMED = {
    "prediction": ["b", "a"],
    "score": [0.8, 0.5],
    "score.a": [0.2, 0.5],
    "score.b": [0.8, 0.1],
    "score.c": [0.0, 0.4],
}
BINARY = {"prediction": [0.8, 0.1]}
BINARY_NAMED = {**BINARY, "score.no": [0.2, 0.9], "score.yes": [0.8, 0.1]}
BY_PLACE = {"prediction.0": [3.0, 5.0], "prediction.1": [4.0, 6.0]}
BY_NAME = {"prediction": [3.0, 5.0], "price": [3.0, 5.0], "demand": [4.0, 6.0]}
LOST = {"prediction": [None, None]}
MANY = [
    pytest.param(None, {}, id="nothing"),
    pytest.param([0, 1], {"prediction": [0.0, 1.0]}, id="list"),
    pytest.param((0.5, None), {"prediction": [0.5, None]}, id="tuple"),
    pytest.param([True, False], {"prediction": [1.0, 0.0]}, id="bools"),
    pytest.param(["a", "b"], {"prediction": ["a", "b"]}, id="labels"),
    pytest.param(np.array([0.5, 1.0]), {"prediction": [0.5, 1.0]}, id="1-D"),
    pytest.param(np.array(["a", "b"]), {"prediction": ["a", "b"]}, id="1-D of labels"),
    pytest.param(pd.Series([0.5, None], index=[9, 9]), {"prediction": [0.5, None]}, id="pandas Series"),
    pytest.param(pd.Series(["a", None]), {"prediction": ["a", None]}, id="pandas Series of labels"),
    pytest.param(pd.Categorical(["a", "b"]), {"prediction": ["a", "b"]}, id="categories"),
    pytest.param(pl.Series([0.5, None]), {"prediction": [0.5, None]}, id="polars Series"),
    pytest.param(pa.chunked_array([[0.5], [None]]), {"prediction": [0.5, None]}, id="Arrow column"),
    pytest.param(PAIR[:, :1], {"prediction": [0.2, 0.9]}, id="(n, 1)"),
    pytest.param(PAIR, BINARY, id="(n, 2) probabilities"),
    pytest.param(THREE, BEST, id="(n, 3) probabilities"),
    pytest.param(np.array([[math.nan, 0.5, 0.5], [0.2, 0.3, 0.5]]), {"prediction": [None, "2"], "score": [None, 0.5]}, id="probabilities with a gap"),
    pytest.param(np.ma.array(PAIR, mask=[[True, False], [False, False]]), BINARY, id="masked probabilities"),
    pytest.param(SEVERAL, BY_PLACE, id="(n, k) outputs"),
    pytest.param(SEVERAL.astype("float32"), BY_PLACE, id="(n, k) of float32"),
    pytest.param(SEVERAL.astype(int), BY_PLACE, id="(n, k) of integers"),
    pytest.param(np.eye(2, dtype=int), {"prediction.0": [1.0, 0.0], "prediction.1": [0.0, 1.0]}, id="indicators"),
    pytest.param(np.array([["a", "b"], ["c", "d"]]), {"prediction.0": ["a", "c"], "prediction.1": ["b", "d"]}, id="(n, k) labels"),
    pytest.param(sparse.csr_array(SEVERAL), BY_PLACE, id="sparse"),
    pytest.param(PAIR.tolist(), BINARY, id="list of probabilities"),
    pytest.param(list(PAIR), BINARY, id="list of arrays"),
    pytest.param(THREE.tolist(), BEST, id="list of lists"),
    pytest.param(SEVERAL.tolist(), BY_PLACE, id="list of outputs"),
    pytest.param([["a", "b"], ["c"]], {"prediction": ["a, b", "c"]}, id="lists of labels"),
    pytest.param([("a", 0.9), ("b", 0.8)], {"prediction": ["a", "b"], "score": [0.9, 0.8]}, id="pairs"),
    pytest.param([{"a": 0.9, "b": 0.1}, {"b": 0.6, "c": 0.4}], {"prediction": ["a", "b"], "score": [0.9, 0.6], "score.a": [0.9, None], "score.b": [0.1, 0.6], "score.c": [None, 0.4]}, id="class → score"),
    pytest.param(pd.DataFrame({"prediction": ["a", "b"], "age": [1, 2]}), {"prediction": ["a", "b"], "age": [1.0, 2.0]}, id="frame with prediction"),
    pytest.param(pd.DataFrame({"p": [0.5, 1.0]}), {"prediction": [0.5, 1.0]}, id="frame of one column"),
    pytest.param(pd.DataFrame(THREE, columns=list("abc")), NAMED, id="pandas by class"),
    pytest.param(pl.DataFrame(THREE, schema=list("abc")), NAMED, id="polars by class"),
    pytest.param(pa.table(dict(zip("abc", THREE.T, strict=True))), NAMED, id="Arrow by class"),
    pytest.param(pd.DataFrame(PAIR, columns=["no", "yes"]), BINARY_NAMED, id="two classes"),
    pytest.param(pd.DataFrame(THREE), BEST, id="frame by number"),
    pytest.param(pd.DataFrame(SEVERAL), BY_PLACE, id="outputs by number"),
    pytest.param(pd.DataFrame(SEVERAL, columns=["price", "demand"]), BY_NAME, id="pandas by name"),
    pytest.param(pl.DataFrame(SEVERAL, schema=["price", "demand"]), BY_NAME, id="polars by name"),
    pytest.param(pd.DataFrame({"x": [1, 2], "label": ["a", "b"]}), {"prediction": ["a", "b"], "x": [1.0, 2.0], "label": ["a", "b"]}, id="label beside others"),
    pytest.param({"label": np.array(["a", "b"]), "at": SEVERAL}, {"prediction": ["a", "b"], "label": ["a", "b"], "at.0": [3.0, 5.0], "at.1": [4.0, 6.0]}, id="mapping of arrays"),
    pytest.param({"outputs": THREE.tolist()}, BEST, id="mapping of one"),
    pytest.param({"no": [0.2, 0.9], "yes": [0.8, 0.1]}, BINARY_NAMED, id="mapping by class"),
]  # fmt: skip
MISFITS = [
    pytest.param(0.5, id="one number"),
    pytest.param("ab", id="a text as long as the rows"),
    pytest.param([0.5], id="short"),
    pytest.param(np.zeros(3), id="long"),
    pytest.param(THREE[:1], id="short matrix"),
    pytest.param(pd.DataFrame(PAIR[:1]), id="short frame"),
    pytest.param([], id="empty"),
    pytest.param({"cat": 0.9, "dog": 0.1}, id="mapping of one row"),
    pytest.param({1.0, 2.0}, id="set"),
    pytest.param(np.zeros((2, 2, 2)), id="3-D"),
    pytest.param(object(), id="object"),
    pytest.param([object(), object()], id="objects"),
]


def sent(monitor: Monitor, transport: MemoryTransport, output: Any) -> dict[str, list[Any]]:
    """The output of a watched call on many rows, as it arrives."""
    assert monitor.watch(lambda features: output)(ROWS) is output
    assert monitor.flush(DEADLINE)
    found = transport.predictions("fraud")
    assert [row["features"] for row in found] == ROWS
    assert (monitor.stats().acked, monitor.stats().dropped) == (2, {})
    return {name: [row["outputs"][name] for row in found] for name in found[0]["outputs"]}


@pytest.mark.parametrize(("output", "expected"), MANY)
def test_many_rows(monitor: Monitor, transport: MemoryTransport, output: Any, expected: dict[str, list[Any]]) -> None:
    assert sent(monitor, transport, output) == expected
    assert monitor.stats().skipped == {}


@pytest.mark.parametrize("output", MISFITS)
def test_an_output_that_does_not_fit_is_counted_and_its_rows_are_kept(
    monitor: Monitor, transport: MemoryTransport, output: Any
) -> None:
    assert sent(monitor, transport, output) == LOST
    assert monitor.stats().skipped == {"prediction": 2}


def test_of_named_outputs_only_the_misfit_is_lost(monitor: Monitor, transport: MemoryTransport) -> None:
    output = {"out": np.array([1.0, 2.0]), "by": "v2"}

    assert sent(monitor, transport, output) == {"prediction": [1.0, 2.0], "out": [1.0, 2.0], "by": [None, None]}
    assert monitor.stats().skipped == {"by": 2}


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (0.5, {"prediction": 0.5}),
        ("fraud", {"prediction": "fraud"}),
        ({"cat": 0.9, "dog": 0.1}, {"prediction": "cat", "score": 0.9, "score.cat": 0.9, "score.dog": 0.1}),
        ([0.2, 0.8], {"prediction": 0.8}),
        (THREE[:1], {"prediction": "1", "score": 0.8}),
        ({"out": np.array([1.0])}, {"prediction": 1.0}),
    ],
)
def test_a_table_of_one_row(monitor: Monitor, transport: MemoryTransport, output: Any, expected: Any) -> None:
    monitor.record(pd.DataFrame(ROWS[:1]), output)

    assert monitor.flush(DEADLINE)
    assert [row["outputs"] for row in transport.predictions("fraud")] == [expected]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(Answer(THREE, True, np.array(list("abc"))), NAMED, id="classes"),
        pytest.param(Answer(THREE, True, ["a"]), BEST, id="classes that do not fit"),
        pytest.param(Answer(THREE.tolist(), True, list("abc")), NAMED, id="list"),
        pytest.param(Answer(pd.DataFrame(THREE), True, list("abc")), NAMED, id="frame by number"),
        pytest.param(Answer(PAIR, True, ["no", "yes"]), BINARY_NAMED, id="binary"),
        pytest.param(Answer(SEVERAL, True), {"prediction": [4.0, 6.0]}, id="what adds up to more"),
        pytest.param(Answer(PAIR, False), {"prediction.0": [0.2, 0.9], "prediction.1": [0.8, 0.1]}, id="outputs"),
        pytest.param(Answer([0, 1], False), {"prediction": [0, 1]}, id="labels"),
        pytest.param(Answer(None, True), {}, id="nothing"),
        pytest.param(Answer([PAIR, PAIR[:, :1]], True), {"prediction.0": [0.8, 0.1], "prediction.1": [0.2, 0.9]}, id="several labels"),
        pytest.param(
            Answer([THREE, PAIR, PAIR], True, [list("abc"), [0, 1], [0, 1]]),
            {"prediction.0": ["b", "a"], "prediction.0.score": [0.8, 0.5], "prediction.1": [0.8, 0.1], "prediction.2": [0.8, 0.1]},
            id="several outputs of classes",
        ),
    ],
)  # fmt: skip
def test_what_is_known_of_an_output_decides(answer: Answer, expected: dict[str, Any]) -> None:
    found = {name: np.asarray(values).tolist() for name, values in table_outputs(answer, 2).items()}

    assert found == expected


@pytest.mark.parametrize(
    "output",
    [pd.DataFrame({"mail": ["a@b", "c@d"], "x": ["e", "f"]}), [{"mail": "a@b", "x": "e"}, {"mail": "c@d", "x": "f"}]],
)
@pytest.mark.parametrize("screen", [Screen(exclude=frozenset({"mail"})), Screen(redact={"mail": "hash"})])
def test_a_hidden_name_does_not_stand_as_the_prediction(output: Any, screen: Screen) -> None:
    assert [*table_outputs(output, 2, screen)["prediction"]] == ["e", "f"]


def test_named_once_it_stays(monitor: Monitor) -> None:
    once = table_outputs(SEVERAL, 2)

    assert table_outputs(once, 2) is once
    assert isinstance(once, Named)


HUNDREDS = np.arange(800.0).reshape(400, 2)
PARTED = [
    pytest.param(HUNDREDS, lambda i: {"prediction.0": 2.0 * i, "prediction.1": 2.0 * i + 1}, id="matrix"),
    pytest.param(pd.DataFrame(HUNDREDS, columns=["prediction", "x"]), lambda i: {"prediction": 2.0 * i, "x": 2.0 * i + 1}, id="frame"),
    pytest.param({"a": HUNDREDS[:, 0], "b": ["x"] * 400}, lambda i: {"prediction": 2.0 * i, "a": 2.0 * i, "b": "x"}, id="mapping"),
    pytest.param(pa.array(HUNDREDS[:, 0]), lambda i: {"prediction": 2.0 * i}, id="Arrow"),
    pytest.param([0.5] * 200, lambda _: {"prediction": None}, id="half as long"),
]  # fmt: skip


@pytest.mark.parametrize(("output", "expected"), PARTED)
@pytest.mark.parametrize("batch_bytes", [2000, 1 << 20])
@pytest.mark.parametrize("sample", [1.0, 0.5])
def test_parts_of_a_table_keep_their_outputs(
    transport: MemoryTransport, output: Any, expected: Callable[[int], Any], batch_bytes: int, sample: float
) -> None:
    settings = Settings(flush_interval=0.001, batch_bytes=batch_bytes)
    with Monitor("m", settings=settings, transport=transport, sample=sample) as monitor:
        monitor.record(pd.DataFrame({"row": range(400)}), output, id=[str(i) for i in range(400)])
        assert monitor.flush(DEADLINE)

    found = transport.predictions("m")
    stats = monitor.stats()
    assert len(found) == stats.acked == 400 - stats.dropped.get("sampled_out", 0)
    assert [row["outputs"] for row in found] == [expected(int(row["id"])) for row in found]
    assert stats.skipped == ({"prediction": len(found)} if isinstance(output, list) else {})
