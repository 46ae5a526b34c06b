"""What predict returned, as output columns: "prediction", and "score", "score.<class>" or names of the host's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tenure_proto.v1 import monitoring_pb2 as pb

PREDICTION = "prediction"


def encode_row_outputs(outputs: Sequence[Any]) -> list[pb.Column]:
    """One output per row: a number, label or bool; a class → score mapping; named outputs; a probability vector.

    A mapping of numbers is class → score and predicts its highest-scoring class; one with a "prediction" or with texts in
    it names its outputs. A vector of two is the probability of the second class; a longer one predicts the position of
    its maximum.
    """
    from tenure.columns import encode_columns  # noqa: PLC0415  # protobuf is imported by the sender

    if not any(isinstance(output, Mapping) or _is_vector(output) for output in outputs):
        return encode_columns(PREDICTION, outputs)
    columns: dict[str, list[Any]] = {PREDICTION: [None] * len(outputs)}
    for i, output in enumerate(outputs):
        for name, value in _named(output).items():
            columns.setdefault(name, [None] * len(outputs))[i] = value
    return [column for name, values in columns.items() for column in encode_columns(name, values)]


def _named(output: Any) -> dict[str, Any]:
    if isinstance(output, Mapping):
        if PREDICTION in output:
            return dict(output)
        if output and all(isinstance(value, int | float) for value in output.values()):
            best = max(output, key=lambda name: output[name])
            return {PREDICTION: str(best), "score": output[best], **{f"score.{k}": v for k, v in output.items()}}
        first = next(iter(output.values()), None)
        return {PREDICTION: first, **output}
    if not _is_vector(output):
        return {PREDICTION: output}
    values = [float(value) for value in output]
    if len(values) <= 2:
        return {PREDICTION: values[-1] if values else None}
    best_at = max(range(len(values)), key=values.__getitem__)
    return {PREDICTION: float(best_at), "score": values[best_at]}


def encode_table_outputs(output: Any, rows: int, classes: Sequence[Any] | None = None) -> list[pb.Column]:
    """The output of one call on many rows: predictions, a matrix of class probabilities, or a frame of named outputs.

    Parameters
    ----------
    classes
        Names of the classes a matrix has probabilities of, where the model tells them.
    """
    from tenure.columns import encode_columns  # noqa: PLC0415

    if output is None:
        return []
    if len(output) != rows:
        raise ValueError(f"predict returned {len(output)} values for {rows} rows")
    if hasattr(output, "columns") and PREDICTION in list(output.columns):
        named = [(str(name), output[name]) for name in output.columns]
        return [column for name, values in named for column in encode_columns(name, values)]
    if getattr(output, "ndim", 1) == 2:
        matrix = output.to_numpy() if hasattr(output, "to_numpy") else output
        width = int(matrix.shape[1])
        if width <= 2:
            return encode_columns(PREDICTION, matrix[:, width - 1])
        best = matrix.argmax(1)
        said = best if classes is None or len(classes) != width else [str(classes[i]) for i in best]
        columns = encode_columns(PREDICTION, said) + encode_columns("score", matrix.max(1))
        for i, name in enumerate(classes or ()):
            columns += encode_columns(f"score.{name}", matrix[:, i])
        return columns
    if isinstance(output, list | tuple):
        return encode_row_outputs(output)
    return encode_columns(PREDICTION, output)


def _is_vector(output: Any) -> bool:
    return isinstance(output, list | tuple) or getattr(output, "ndim", 0) == 1
