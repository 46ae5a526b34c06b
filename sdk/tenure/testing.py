"""Fakes that ship, so that your tests need no agent: a transport that remembers, and a clock you move by hand."""

from __future__ import annotations

import threading
from hashlib import sha256
from typing import Any

from tenure.capture import ROLES
from tenure.errors import TransportError
from tenure.pipeline import Answered
from tenure_proto.v1 import monitoring_pb2 as pb


class MemoryTransport:
    """Takes reports and references like an agent does and keeps what they held.

    >>> import tenure
    >>> transport = MemoryTransport()
    >>> monitor = tenure.Monitor("fraud", version="1", transport=transport)
    >>> monitor.record({"amount": 12.5}, 0.9, id="A17")
    'A17'
    >>> monitor.flush(timeout=5)
    True
    >>> transport.predictions("fraud")[0]["features"]
    {'amount': 12.5}
    """

    def __init__(self) -> None:
        self.reports: list[pb.ReportRequest] = []
        self.references: dict[tuple[str, str], bytes] = {}  # (model, version) → the file that was uploaded
        self._parts: dict[tuple[str, str, bytes], bytes] = {}
        self.available = True
        self._lock = threading.Lock()
        self._acked: dict[str, int] = {}

    def report(self, payload: bytes, timeout: float) -> pb.ReportReply:
        if not self.available:
            raise TransportError(f"the agent is away; waited up to {timeout} s")
        request = pb.ReportRequest.FromString(payload)
        with self._lock:
            if request.seq > self._acked.get(request.producer_id, 0):
                self._acked[request.producer_id] = request.seq
                self.reports.append(request)
        return pb.ReportReply(acked_seq=request.seq)

    def send(self, payload: bytes, timeout: float) -> Answered:
        try:
            return Answered(self.report(payload, timeout))
        except TransportError as error:
            return Answered(error)

    def offer(self, payload: bytes, timeout: float) -> pb.ReferenceReply:
        if not self.available:
            raise TransportError(f"the agent is away; waited up to {timeout} s")
        offer = pb.ReferenceOffer.FromString(payload)
        version, key = (offer.model, offer.version), (offer.model, offer.version, offer.sha256)
        with self._lock:
            if sha256(self.references.get(version, b"")).digest() == offer.sha256:
                return pb.ReferenceReply(taken=True)
            held = self._parts.get(key, b"")
            if offer.offset == len(held):
                held = self._parts[key] = held + offer.content
            if len(held) < offer.size:
                return pb.ReferenceReply(wanted=len(held))
            del self._parts[key]
            if sha256(held).digest() != offer.sha256:
                return pb.ReferenceReply(refused="damaged", why="what came has another hash")
            self.references[version] = held
        return pb.ReferenceReply(taken=True)

    def close(self) -> None:
        """Nothing to close: what was taken stays readable."""

    def predictions(self, model: str) -> list[dict[str, Any]]:
        """Every prediction of `model`, in the order it came: id, time, version, role, features, outputs, error."""
        found = []
        for report in self.reports:
            for batch in report.batches:
                if batch.model == model:
                    found += _batch_rows(batch)
        return found

    def outcomes(self, model: str) -> list[dict[str, Any]]:
        """Every outcome of `model`: id, time, label, value."""
        found = []
        for report in self.reports:
            for outcomes in report.outcomes:
                if outcomes.model == model:
                    labels = column_values(outcomes.labels, len(outcomes.ids))
                    values = column_values(outcomes.values, len(outcomes.ids))
                    times = memoryview(outcomes.times).cast("q")
                    found += [
                        {"id": id_, "time": time, "label": label, "value": value}
                        for id_, time, label, value in zip(outcomes.ids, times, labels, values, strict=True)
                    ]
        return found


class ManualClock:
    """A clock that stands still until it is moved. Calling it gives microseconds since 1970 UTC."""

    def __init__(self, start: int = 0) -> None:
        self.now = start

    def __call__(self) -> int:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += round(seconds * 1_000_000)


def column_values(column: pb.Column, rows: int) -> list[Any]:
    """A wire column as Python values, None where missing."""
    if column.kind == pb.TEXT:
        values: list[Any] = [column.texts[code] for code in memoryview(column.codes).cast("I")]
    elif column.numbers:
        values = [None if number != number else number for number in memoryview(column.numbers).cast("d")]  # noqa: PLR0124
    else:
        return [None] * rows
    if column.validity:
        values = [v if column.validity[i >> 3] >> (i & 7) & 1 else None for i, v in enumerate(values)]
    return values


def _batch_rows(batch: pb.Batch) -> list[dict[str, Any]]:
    features = {(column.name, column.kind == pb.TEXT): column_values(column, batch.rows) for column in batch.features}
    outputs = {(column.name, column.kind == pb.TEXT): column_values(column, batch.rows) for column in batch.outputs}
    errors = {error.row: error.type for error in batch.errors}
    counters = memoryview(batch.ids.counters).cast("Q")
    times = memoryview(batch.times).cast("q")
    return [
        {
            "id": batch.ids.texts[row] if batch.ids.texts else f"{batch.ids.prefix}-{counters[row]}",
            "time": times[row],
            "version": batch.version,
            "role": ROLES[batch.role],
            "features": _pick(features, row),
            "outputs": _pick(outputs, row),
            "error": errors.get(row),
        }
        for row in range(batch.rows)
    ]


def _pick(columns: dict[tuple[str, bool], list[Any]], row: int) -> dict[str, Any]:
    picked: dict[str, Any] = {}
    for (name, _), values in columns.items():
        if picked.get(name) is None:
            picked[name] = values[row]
    return picked
