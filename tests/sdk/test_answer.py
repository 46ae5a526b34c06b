"""What predict returned is held as it was."""

from array import array
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tenure.answer import Answer, snapshot_output


class Tensor:
    """As torch's: its array shares the tensor's memory."""

    def __init__(self, values: Any) -> None:
        self.values = values

    def detach(self) -> "Tensor":
        return self

    def cpu(self) -> "Tensor":
        return self

    def numpy(self) -> Any:
        return self.values


def zero(values: Any) -> None:
    values[0] = 0.0


HELD = [
    pytest.param(lambda: [0.5], zero, [0.5], id="list"),
    pytest.param(lambda: np.array([0.5]), zero, [0.5], id="array"),
    pytest.param(lambda: np.array(0.5), lambda values: values.fill(0.0), 0.5, id="0-d array"),
    pytest.param(lambda: np.array([[0.5]]), lambda values: values.fill(0.0), [[0.5]], id="matrix"),
    pytest.param(lambda: array("d", [0.5]), zero, [0.5], id="array of Python's own"),
    pytest.param(lambda: memoryview(array("d", [0.5])), zero, [0.5], id="memoryview"),
    pytest.param(lambda: pd.Series([0.5]), zero, [0.5], id="Series"),
    pytest.param(lambda: Tensor(np.array([0.5])), lambda tensor: zero(tensor.values), [0.5], id="tensor"),
    pytest.param(lambda: Tensor(np.array(0.5)), lambda tensor: tensor.values.fill(0.0), 0.5, id="0-d tensor"),
    pytest.param(lambda: [[0.5]], lambda values: zero(values[0]), [[0.5]], id="list in a list"),
    pytest.param(lambda: ([0.5],), lambda values: zero(values[0]), [[0.5]], id="list in a tuple"),
    pytest.param(lambda: [{"a": 0.5}], lambda values: values[0].clear(), [{"a": 0.5}], id="mapping in a list"),
    pytest.param(
        lambda: {"a": {"b": 0.5}}, lambda values: values["a"].clear(), {"a.b": 0.5}, id="mapping in a mapping"
    ),
    pytest.param(lambda: {"a": [0.5]}, lambda values: zero(values["a"]), {"a": [0.5]}, id="list in a mapping"),
    pytest.param(lambda: {"a"}, lambda values: values.clear(), {"a"}, id="set"),
]


@pytest.mark.parametrize(("make", "change", "expected"), HELD)
@pytest.mark.parametrize("known", [False, True])
def test_a_later_change_is_not_seen(
    make: Callable[[], Any], change: Callable[[Any], None], expected: Any, known: bool
) -> None:
    output = make()
    held = snapshot_output(Answer(output, True) if known else output)
    change(output)

    value = held.value if known else held
    assert (value.tolist() if hasattr(value, "tolist") else value) == expected


def test_what_cannot_change_is_not_copied() -> None:
    frozen = ("a" * 100, 0.5, None, 7)

    assert all(snapshot_output(value) is value for value in frozen)
