"""Bodies of the Open Inference Protocol, as rows."""

from typing import Any

import pytest

from tenure import Monitor, SettingError
from tenure.integrations.inference import features, outputs
from tenure.testing import MemoryTransport


def tensor(name: str, shape: list[int], datatype: str, data: list[Any]) -> dict[str, Any]:
    return {"name": name, "shape": shape, "datatype": datatype, "data": data}


AMOUNT = tensor("amount", [2], "FP64", [1.5, None])
COUNTRY = tensor("country", [2, 1], "BYTES", ["NL", "DE"])
PIXELS = tensor("pixels", [2, 2], "INT32", [[1, 2], [3, 4]])
NEW = tensor("new", [2], "BOOL", [True, False])


def test_tensors_are_columns() -> None:
    assert features({"inputs": [AMOUNT, COUNTRY, PIXELS, NEW]}) == [
        {"amount": 1.5, "country": "NL", "pixels.0": 1, "pixels.1": 2, "new": True},
        {"amount": None, "country": "DE", "pixels.0": 3, "pixels.1": 4, "new": False},
    ]


@pytest.mark.parametrize(
    ("tensors", "expected"),
    [
        ([AMOUNT], [1.5, None]),
        ([PIXELS], [[1, 2], [3, 4]]),
        ([PIXELS, NEW], [{"prediction": True, "pixels.0": 1, "pixels.1": 2}, {"prediction": False, "pixels.0": 3, "pixels.1": 4}]),
    ],
)  # fmt: skip
def test_outputs(tensors: list[Any], expected: list[Any]) -> None:
    assert outputs({"outputs": tensors}) == expected


def test_both_are_what_record_takes(monitor: Monitor, transport: MemoryTransport) -> None:
    monitor.record(features({"inputs": [COUNTRY]}), outputs({"outputs": [NEW]}))

    assert monitor.flush(60)
    found = [(row["features"], row["outputs"]) for row in transport.predictions("fraud")]
    assert found == [({"country": "NL"}, {"prediction": 1.0}), ({"country": "DE"}, {"prediction": 0.0})]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ([], "body"),
        ({}, "inputs"),
        ({"inputs": []}, "inputs"),
        ({"inputs": [3]}, "inputs[0]"),
        ({"inputs": [AMOUNT | {"name": ""}]}, "inputs[0].name"),
        ({"inputs": [AMOUNT | {"shape": [1, 1, 2]}]}, "inputs[0].shape"),
        ({"inputs": [AMOUNT | {"shape": [-2]}]}, "inputs[0].shape"),
        ({"inputs": [AMOUNT | {"datatype": "FP8"}]}, "inputs[0].datatype"),
        ({"inputs": [AMOUNT | {"datatype": ["FP64"]}]}, "inputs[0].datatype"),
        ({"inputs": [AMOUNT | {"data": None}]}, "inputs[0].data"),
        ({"inputs": [AMOUNT | {"data": [1.5]}]}, "inputs[0].data"),
        ({"inputs": [AMOUNT | {"datatype": "INT64"}]}, "inputs[0].data[0]"),
        ({"inputs": [AMOUNT, AMOUNT]}, "inputs[1].name"),
        ({"inputs": [AMOUNT, tensor("x", [1], "FP32", [1])]}, "inputs[1].shape"),
    ],
)
def test_a_bad_body_says_where(body: Any, field: str) -> None:
    with pytest.raises(SettingError) as raised:
        features(body)

    assert raised.value.field == field
    assert "Try: " in str(raised.value)
