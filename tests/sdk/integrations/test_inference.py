"""Bodies of the Open Inference Protocol, as rows."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

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


class Server(BaseHTTPRequestHandler):
    """Answers /v2/models/iris/infer as model servers do."""

    model: Any
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        [given] = body["inputs"]
        rows = np.array(given["data"]).reshape(given["shape"])
        found = self.model.predict_proba(rows)
        said = tensor("probabilities", list(found.shape), "FP64", found.ravel().tolist())
        answer = json.dumps({"model_name": "iris", "id": body["id"], "outputs": [said]}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def server() -> Iterator[str]:
    rows = np.arange(12.0).reshape(6, 2)
    Server.model = LogisticRegression().fit(rows, [0, 1, 2] * 2)
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{serving.server_address[1]}/v2/models/iris/infer"
        serving.shutdown()
        thread.join()


def test_a_round_trip(monitor: Monitor, transport: MemoryTransport, server: str) -> None:
    """Beside a model server: what was asked and answered over HTTP is one record a row, under the request's id."""
    rows = [[1.5, 2.5], [9.0, 8.0]]
    request = {"id": "A17", "inputs": [tensor("x", [2, 2], "FP64", [value for row in rows for value in row])]}
    with httpx.Client(trust_env=False) as client:
        answer = client.post(server, json=request).json()
    monitor.record(features(request), outputs(answer), id=[f"{answer['id']}-{i}" for i in range(2)])

    assert monitor.flush(60)
    said = Server.model.predict_proba(np.array(rows))
    found = transport.predictions("fraud")
    assert [(row["id"], row["features"]) for row in found] == [
        ("A17-0", {"x.0": 1.5, "x.1": 2.5}),
        ("A17-1", {"x.0": 9.0, "x.1": 8.0}),
    ]
    assert [row["outputs"] for row in found] == [
        {"prediction": str(best), "score": score}
        for best, score in zip(said.argmax(1).tolist(), said.max(1).tolist(), strict=True)
    ]
    assert monitor.stats().skipped == {}


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
