"""What predict returned for many rows at once, as columns: the same names as for one row each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tenure.answer import Answer
from tenure.capture import PLAIN, UNSUPPORTED
from tenure.features import columns_of
from tenure.outputs import (
    LABEL,
    PREDICTION,
    ROUNDING,
    SCORE,
    TOLERANCE,
    class_names,
    distributed,
    hidden,
    listed,
    row_outputs,
)

if TYPE_CHECKING:
    from tenure.screen import Screen


class Named(dict[str, Sequence[Any]]):
    """Output columns by their final names, each with one value per row."""


def table_outputs(output: Any, rows: int, screen: Screen | None = None) -> Named:
    """The output of one call on many rows.

    One value per row in whatever holds them; a matrix of class probabilities (a wrapped `predict_proba` gave it, or its
    rows add up to 1) or of several outputs; a frame or mapping of named columns; for a single row also what `row_outputs`
    takes. What does not fit the rows is UNSUPPORTED, once per row: the rows are kept, the loss of the output is counted.
    """
    if isinstance(output, Named):
        return output
    answer = output if isinstance(output, Answer) else Answer(output)
    if answer.value is None:
        return Named()
    try:
        found = _columns(answer, rows, screen)
        fits = found is not None and all(len(values) == rows for values in found.values())
    except Exception:  # noqa: BLE001  # a host's object may raise anything when it is read
        fits, found = False, None
    return Named(found) if fits and found is not None else Named({PREDICTION: [UNSUPPORTED] * rows})


def _columns(answer: Answer, rows: int, screen: Screen | None) -> Mapping[str, Sequence[Any]] | None:
    value = answer.value
    if answer.probabilities and isinstance(value, list) and all(getattr(one, "ndim", 0) == 2 for one in value):
        return _several(value, listed(answer.classes))
    if hasattr(value, "toarray"):  # a sparse matrix
        value = value.toarray()
    if isinstance(value, dict) and not any(_sized(one, rows) for one in value.values()):
        return row_outputs([answer], screen) if rows == 1 else None
    if isinstance(value, dict) or hasattr(value, "columns") or hasattr(value, "column_names"):
        named = {name: values for name, values in columns_of(value).items() if not hidden(screen, name)}
        if not isinstance(value, dict) and len(value) != rows:
            return None
        lost = [UNSUPPORTED] * rows
        return _framed({name: values if _sized(values, rows) else lost for name, values in named.items()}, answer)
    if not _sized(value, rows):
        return row_outputs([answer], screen) if rows == 1 else None
    if isinstance(value, list):
        if PLAIN.issuperset(map(type, value)):
            return {PREDICTION: value}
        return row_outputs([Answer(one, answer.probabilities, answer.classes) for one in value], screen)
    dimensions = getattr(value, "ndim", 1)
    if dimensions == 2:
        return _matrix(value if hasattr(value, "argmax") else value.__array__(), answer)
    return {PREDICTION: value} if dimensions == 1 else None


def _sized(value: Any, rows: int) -> bool:
    """Whether it holds one thing per row."""
    if isinstance(value, str | bytes | Mapping | frozenset) or not hasattr(value, "__len__"):
        return False
    return getattr(value, "ndim", None) != 0 and len(value) == rows


def _matrix(matrix: Any, answer: Answer) -> dict[str, Sequence[Any]]:
    if hasattr(matrix, "filled") and str(matrix.dtype).startswith("float"):
        matrix = matrix.filled(float("nan"))
    width = int(matrix.shape[1])
    if width == 1:
        return {PREDICTION: matrix[:, 0]}
    if not (_distributed(matrix) if answer.probabilities is None else answer.probabilities):
        return {f"{PREDICTION}.{i}": matrix[:, i] for i in range(width)}
    names = class_names(answer.classes, width)
    found = {PREDICTION: matrix[:, 1]} if width == 2 else _best(matrix, names)
    return found | {f"{SCORE}.{name}": matrix[:, i] for i, name in enumerate(names or ())}


def _best(matrix: Any, names: list[str] | None) -> dict[str, Sequence[Any]]:
    scores = matrix.max(1)  # NaN where one of the row's is
    said = [
        None if score != score else names[at] if names else str(at)  # noqa: PLR0124
        for at, score in zip(matrix.argmax(1).tolist(), scores.tolist(), strict=True)
    ]
    return {PREDICTION: said, SCORE: scores}


def _distributed(matrix: Any) -> bool:
    """`distributed`, of an array at once."""
    if not str(matrix.dtype).startswith("float"):
        return False
    sums = matrix.sum(1)
    whole = sums == sums  # noqa: PLR0124  # rows with a gap do not vote
    kept, sums = matrix[whole], sums[whole]
    if not len(kept) or kept.min() < -ROUNDING or kept.max() > 1 + ROUNDING:
        return False
    return bool(abs(sums - 1).max() <= TOLERANCE)


def _several(matrices: list[Any], classes: list[Any] | None) -> dict[str, Sequence[Any]]:
    """The probabilities of several outputs, a matrix each, as scikit-learn's multi-label classifiers give them."""
    found: dict[str, Sequence[Any]] = {}
    for i, matrix in enumerate(matrices):
        own = _matrix(matrix, Answer(matrix, True, classes[i] if classes and len(classes) == len(matrices) else None))
        found[f"{PREDICTION}.{i}"] = own[PREDICTION]
        if SCORE in own:
            found[f"{PREDICTION}.{i}.{SCORE}"] = own[SCORE]
    return found


def _framed(named: dict[str, Sequence[Any]], answer: Answer) -> dict[str, Sequence[Any]]:
    """Columns by name: class → score where every row adds up to 1, else the host's own names."""
    if not named:
        return {}
    numbered = list(named) == [str(i) for i in range(len(named))]
    if len(named) > 1 and not numbered and named.keys() & {PREDICTION, LABEL, SCORE}:
        return _chosen(named, answer)
    if len(named) == 1:
        return _spread(PREDICTION, next(iter(named.values())), answer)
    if answer.probabilities or (answer.probabilities is None and all(map(_fractions, named.values()))):
        rows = [list(row) for row in zip(*map(_values, named.values()), strict=True)]
        if answer.probabilities or distributed(rows):
            classes = answer.classes if numbered else list(named)
            return row_outputs([Answer(row, True, classes) for row in rows])
    return {f"{PREDICTION}.{name}": values for name, values in named.items()} if numbered else _chosen(named, answer)


def _chosen(named: dict[str, Sequence[Any]], answer: Answer) -> dict[str, Sequence[Any]]:
    """The prediction among the host's own names, and beside it all of them."""
    chosen = next(name for name in (PREDICTION, LABEL, SCORE, *named) if name in named)
    found = _spread(PREDICTION, named[chosen], answer)
    for name, values in named.items():
        if name != PREDICTION:
            found |= _spread(name, values, Answer(values, False))
    return found


def _spread(name: str, values: Any, answer: Answer) -> dict[str, Sequence[Any]]:
    """A column, or several of that name where each row has several values."""
    if getattr(values, "ndim", 1) == 2:
        own: dict[str, Sequence[Any]] = _matrix(values, answer)
    elif isinstance(values, list) and not PLAIN.issuperset(map(type, values)):
        own = row_outputs([Answer(one, answer.probabilities) for one in values])
    else:
        return {name: values}
    return {key if name == PREDICTION else name + key.removeprefix(PREDICTION): one for key, one in own.items()}


def _values(column: Any) -> list[Any]:
    return listed(column) or []


def _fractions(column: Any) -> bool:
    """Whether it holds floats."""
    dtype = getattr(column, "dtype", None) or getattr(column, "type", None)
    if dtype is None:
        return isinstance(column, list) and all(type(one) is float for one in column)
    return getattr(column, "ndim", 1) == 1 and str(dtype).lower().startswith(("float", "double"))
