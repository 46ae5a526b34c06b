"""What predict returned, as output columns: "prediction", and "score" or "score.<class>" where the model gives one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tenure.columns import encode_columns
from tenure_proto.v1 import monitoring_pb2 as pb


def encode_row_outputs(outputs: Sequence[Any]) -> list[pb.Column]:
    """One output per row: a number, label or bool; a class → score mapping; a probability vector.

    A mapping predicts its highest-scoring class. A vector of two is the probability of the second class; a longer one
    predicts the position of its maximum.
    """
    if not any(isinstance(output, Mapping) or _is_vector(output) for output in outputs):
        return encode_columns("prediction", outputs)
    predictions: list[Any] = []
    scores: list[Any] = []
    classes: dict[str, list[Any]] = {}
    for i, output in enumerate(outputs):
        if isinstance(output, Mapping) and output:
            best = max(output, key=lambda name: output[name])
            predictions.append(str(best))
            scores.append(output[best])
            for name, score in output.items():
                classes.setdefault(str(name), [None] * len(outputs))[i] = score
        else:
            prediction, score = _read_vector(output) if _is_vector(output) else (output, None)
            predictions.append(prediction)
            scores.append(score)
    columns = encode_columns("prediction", predictions)
    if any(score is not None for score in scores):
        columns += encode_columns("score", scores)
    for name, values in classes.items():
        columns += encode_columns(f"score.{name}", values)
    return columns


def encode_table_outputs(output: Any, rows: int) -> list[pb.Column]:
    """The output of one call on many rows: a vector of predictions, or a matrix of class probabilities."""
    if output is None:
        return []
    if len(output) != rows:
        raise ValueError(f"predict returned {len(output)} values for {rows} rows")
    if getattr(output, "ndim", 1) == 2:
        matrix = output.to_numpy() if hasattr(output, "to_numpy") else output
        width = int(matrix.shape[1])
        if width > 2:
            return encode_columns("prediction", matrix.argmax(1)) + encode_columns("score", matrix.max(1))
        return encode_columns("prediction", matrix[:, width - 1])
    if isinstance(output, list | tuple):
        return encode_row_outputs(output)
    return encode_columns("prediction", output)


def _is_vector(output: Any) -> bool:
    return isinstance(output, list | tuple) or getattr(output, "ndim", 0) == 1


def _read_vector(output: Any) -> tuple[Any, Any]:
    values = [float(value) for value in output]
    if not values:
        return None, None
    if len(values) <= 2:
        return values[-1], None
    best = max(range(len(values)), key=values.__getitem__)
    return float(best), values[best]
