"""The Open Inference Protocol, version 2 (KServe, Triton, MLServer): JSON bodies as rows.

A tensor of shape [n] or [n, 1] is a column by its own name; one of shape [n, k] is k columns: name.0, name.1, …
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from tenure.errors import SettingError

PREDICTION = "prediction"
BODY = "the JSON object of the Open Inference Protocol, version 2"


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


DATATYPES: dict[str, Callable[[Any], bool]] = {
    "BOOL": lambda value: isinstance(value, bool),
    **{f"{sign}INT{bits}": _whole for sign in ("U", "") for bits in (8, 16, 32, 64)},
    **{f"FP{bits}": _number for bits in (16, 32, 64)},
    "BYTES": lambda value: isinstance(value, str | bytes),
}


class Tensor(NamedTuple):
    """One named tensor, as rows."""

    name: str
    rows: list[list[Any]]
    flat: bool  # one value a row

    def columns(self, row: int) -> dict[str, Any]:
        values = self.rows[row]
        return {self.name: values[0]} if self.flat else {f"{self.name}.{i}": value for i, value in enumerate(values)}


def features(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of a request's ``inputs``.

    Raises
    ------
    SettingError
        The body is not as the protocol has it.
    """
    tensors = _tensors(body, "inputs")
    return [_joined(tensors, row) for row in range(len(tensors[0].rows))]


def outputs(body: Mapping[str, Any]) -> list[Any]:
    """What a response's ``outputs`` say of each row, as `Monitor.record` takes it.

    One tensor is a value, or a vector of class probabilities, per row. Several are named outputs; of those the one named
    "prediction", else the first with one value a row, else the first column, is the prediction.

    Raises
    ------
    SettingError
        The body is not as the protocol has it.
    """
    tensors = _tensors(body, "outputs")
    if len(tensors) == 1:
        return [values[0] if tensors[0].flat else values for values in tensors[0].rows]
    single = [tensor.name for tensor in tensors if tensor.flat]
    chosen = PREDICTION if PREDICTION in single else next(iter(single), f"{tensors[0].name}.0")
    rows = [_joined(tensors, row) for row in range(len(tensors[0].rows))]
    return [{PREDICTION: row.pop(chosen)} | row for row in rows]


def _joined(tensors: list[Tensor], row: int) -> dict[str, Any]:
    return {name: value for tensor in tensors for name, value in tensor.columns(row).items()}


def _tensors(body: Any, key: str) -> list[Tensor]:
    if not isinstance(body, Mapping):
        raise SettingError("body", body, BODY)
    listed = body.get(key)
    if not isinstance(listed, list) or not listed:
        raise SettingError(key, listed, "a list of at least one tensor with name, shape, datatype and data")
    tensors = [_tensor(given, f"{key}[{i}]") for i, given in enumerate(listed)]
    names = [tensor.name for tensor in tensors]
    for i, tensor in enumerate(tensors):
        if tensor.name in names[:i]:
            raise SettingError(f"{key}[{i}].name", tensor.name, "a name that no other tensor has")
        if len(tensor.rows) != len(tensors[0].rows):
            rows = len(tensors[0].rows)
            raise SettingError(f"{key}[{i}].shape", listed[i]["shape"], f"[{rows}, …]: as many rows as {key}[0] has")
    return tensors


def _tensor(given: Any, field: str) -> Tensor:
    if not isinstance(given, Mapping):
        raise SettingError(field, given, "an object with name, shape, datatype and data")
    name, shape, datatype, data = (given.get(key) for key in ("name", "shape", "datatype", "data"))
    if not isinstance(name, str) or not name:
        raise SettingError(f"{field}.name", name, "the tensor's name, a text")
    if not isinstance(shape, list) or len(shape) not in (1, 2) or not all(_whole(n) and n >= 0 for n in shape):
        raise SettingError(f"{field}.shape", shape, "[n] or [n, k]")
    if not isinstance(datatype, str) or datatype not in DATATYPES:
        raise SettingError(f"{field}.datatype", datatype, f"one of {', '.join(DATATYPES)}")
    if not isinstance(data, list):
        raise SettingError(f"{field}.data", data, "a list; binary tensors are not read")
    values = [value for one in data for value in (one if isinstance(one, list) else [one])]
    if len(values) != math.prod(shape):
        raise SettingError(f"{field}.data", f"{len(values)} values", f"{math.prod(shape)}, as the shape {shape} has")
    fits = DATATYPES[datatype]
    for i, value in enumerate(values):
        if value is not None and not fits(value):
            raise SettingError(f"{field}.data[{i}]", value, f"a value of datatype {datatype}, or null")
    if datatype == "BYTES":
        values = [value.decode("utf-8", "replace") if isinstance(value, bytes) else value for value in values]
    width = shape[1] if len(shape) == 2 else 1
    return Tensor(name, [values[i * width : (i + 1) * width] for i in range(shape[0])], width == 1)
