"""What predict may return, as output columns."""

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from tenure.outputs import encode_row_outputs, encode_table_outputs
from tenure.testing import column_values
from tenure_proto.v1 import monitoring_pb2 as pb

MATRIX = np.array([[0.2, 0.8, 0.0], [0.5, 0.1, 0.4]])
PAIR = np.array([[0.2, 0.8], [0.9, 0.1]])


def decoded(columns: list[pb.Column], rows: int) -> dict[str, list[Any]]:
    return {column.name: column_values(column, rows) for column in columns}


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [
        pytest.param([0.5, 1], {"prediction": [0.5, 1.0]}, id="numbers"),
        pytest.param(["fraud", None], {"prediction": ["fraud", None]}, id="labels"),
        pytest.param([True, False], {"prediction": [1.0, 0.0]}, id="bools"),
        pytest.param([np.float64(0.5)], {"prediction": [0.5]}, id="numpy scalar"),
        pytest.param(
            [{"cat": 0.9, "dog": 0.1}, {"dog": 0.6, "cow": 0.4}],
            {
                "prediction": ["cat", "dog"],
                "score": [0.9, 0.6],
                "score.cat": [0.9, None],
                "score.dog": [0.1, 0.6],
                "score.cow": [None, 0.4],
            },
            id="class → score",
        ),
        pytest.param(
            [{0: 0.9, 1: 0.1}],
            {"prediction": ["0"], "score": [0.9], "score.0": [0.9], "score.1": [0.1]},
            id="classes by number",
        ),
        pytest.param([[0.2, 0.8]], {"prediction": [0.8]}, id="binary probabilities"),
        pytest.param([np.array([0.3])], {"prediction": [0.3]}, id="array of one"),
        pytest.param([(0.1, 0.7, 0.2)], {"prediction": [1.0], "score": [0.7]}, id="probabilities"),
        pytest.param([[], 0.5], {"prediction": [None, 0.5]}, id="empty vector"),
    ],
)
def test_one_output_per_row(outputs: list[Any], expected: dict[str, list[Any]]) -> None:
    assert decoded(encode_row_outputs(outputs), len(outputs)) == expected


def test_labels_and_numbers_in_one_report_are_two_columns_of_one_name() -> None:
    columns = {(c.name, c.kind): column_values(c, 3) for c in encode_row_outputs([{"cat": 0.9}, 0.5, None])}

    assert columns["prediction", pb.TEXT] == ["cat", None, None]
    assert columns["prediction", pb.NUMBER] == [None, 0.5, None]
    assert columns["score.cat", pb.NUMBER] == [0.9, None, None]


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        pytest.param(None, {}, id="nothing"),
        pytest.param(np.array([0.5, 1.0]), {"prediction": [0.5, 1.0]}, id="numpy vector"),
        pytest.param(np.array(["a", "b"]), {"prediction": ["a", "b"]}, id="numpy labels"),
        pytest.param([0, 1], {"prediction": [0.0, 1.0]}, id="list"),
        pytest.param((0, 1), {"prediction": [0.0, 1.0]}, id="tuple"),
        pytest.param(
            [{"a": 0.9}, {"a": 0.8}],
            {"prediction": ["a", "a"], "score": [0.9, 0.8], "score.a": [0.9, 0.8]},
            id="list of mappings",
        ),
        pytest.param(pd.Series([0.5, None], index=[9, 9]), {"prediction": [0.5, None]}, id="pandas"),
        pytest.param(pl.Series([0.5, None]), {"prediction": [0.5, None]}, id="polars"),
        pytest.param(PAIR, {"prediction": [0.8, 0.1]}, id="binary matrix"),
        pytest.param(PAIR[:, :1], {"prediction": [0.2, 0.9]}, id="matrix of one column"),
        pytest.param(PAIR.tolist(), {"prediction": [0.8, 0.1]}, id="list of pairs"),
        pytest.param(MATRIX, {"prediction": [1.0, 0.0], "score": [0.8, 0.5]}, id="matrix"),
        pytest.param(pd.DataFrame(MATRIX), {"prediction": [1.0, 0.0], "score": [0.8, 0.5]}, id="frame"),
        pytest.param(MATRIX.tolist(), {"prediction": [1.0, 0.0], "score": [0.8, 0.5]}, id="list of lists"),
    ],
)
def test_one_output_for_a_table(output: Any, expected: dict[str, list[Any]]) -> None:
    assert decoded(encode_table_outputs(output, 2), 2) == expected


@pytest.mark.parametrize("output", [[1.0], np.zeros(3), MATRIX[:1], PAIR[:1], pd.DataFrame(PAIR[:1]), []])
def test_an_output_that_does_not_fit_its_rows_is_refused(output: Any) -> None:
    with pytest.raises(ValueError, match=f"predict returned {len(output)} values for 2 rows"):
        encode_table_outputs(output, 2)
