"""Whatever bytes arrive, they are decoded or refused; what is decoded adds up. `make fuzz` does a million of them."""

from __future__ import annotations

import os
import random
from collections import Counter

import numpy as np
from google.protobuf.message import DecodeError

from tenure_agent.blocks import Malformed
from tenure_agent.wire import Generated, Rows, Truths, decode_batch, decode_outcomes
from tenure_proto.v1 import monitoring_pb2 as pb

INPUTS = int(os.environ.get("TENURE_FUZZ", "4000"))
SEED = 20240617
WHOLE = [0, 1, 2, 3, 7, 8, 255, 4096, 2**20, 2**20 + 1, 2**31, 2**32 - 1]
TEXTS = ["", "a", "amount", "\x00", "é", "𐏿", "'; DROP TABLE rows_1; --", "x" * 300, "x" * 70_000]


def test_any_report_is_decoded_or_refused() -> None:
    rng, seen = random.Random(SEED), Counter[str]()
    for _ in range(INPUTS):
        seen[_outcome(_mutated(rng))] += 1
    # every way out is really taken
    assert set(seen) >= {"decoded", "malformed", "no message"}, seen
    assert seen["decoded"] > INPUTS / 20


def _outcome(message: bytes) -> str:
    try:
        request = pb.ReportRequest.FromString(message)
    except DecodeError:
        return "no message"
    ways = {_batch(batch) for batch in request.batches} | {_outcomes(outcomes) for outcomes in request.outcomes}
    return "empty" if not ways else "malformed" if "malformed" in ways else "decoded"


def _batch(batch: pb.Batch) -> str:
    try:
        rows = decode_batch(batch)
    except Malformed as refusal:
        return _refused(refusal)
    _adds_up(rows, batch.rows)
    return "decoded"


def _outcomes(outcomes: pb.Outcomes) -> str:
    try:
        truths = decode_outcomes(outcomes)
    except Malformed as refusal:
        return _refused(refusal)
    _agree(truths, len(outcomes.ids))
    return "decoded"


def _refused(refusal: Malformed) -> str:
    assert refusal.reason
    assert str(refusal)
    return "malformed"


def _adds_up(rows: Rows, count: int) -> None:
    assert len(rows) == len(rows.ids) == count
    assert rows.role in {0, 1, 2}
    assert rows.times.min() >= 0
    for block in (rows.latencies, rows.errors):
        assert block is None or len(block) == count
    assert isinstance(rows.ids, Generated) or all(isinstance(one, str) for one in rows.ids)
    for column in rows.columns:
        assert len(column.values) == count
        if column.kind == "TEXT":
            assert all(one is None or isinstance(one, str) for one in column.values)
        else:
            assert column.values.dtype == np.float64


def _agree(truths: Truths, count: int) -> None:
    assert {len(block) for block in (truths.ids, truths.times, truths.numbers, truths.texts, truths.values)} == {count}


def _mutated(rng: random.Random) -> bytes:
    """A sound report, damaged in its fields or its bytes or not at all."""
    report = _sound(rng)
    for _ in range(rng.choice([0, 1, 1, 2, 5])):
        _damage(rng, report)
    message = bytearray(report.SerializeToString())
    if message and rng.random() < 0.3:
        for _ in range(rng.randint(1, 4)):
            place = rng.randrange(len(message))
            change = rng.randrange(3)
            if change == 0:
                message[place] ^= 1 << rng.randrange(8)
            elif change == 1:
                del message[place : place + rng.randint(1, 16)]
            else:
                message[place:place] = rng.randbytes(rng.randint(1, 16))
            if not message:
                break
    return bytes(message)


def _sound(rng: random.Random) -> pb.ReportRequest:
    rows = rng.randint(1, 20)
    batch = pb.Batch(model="fraud", version="1", rows=rows, times=np.arange(rows, dtype="<i8").tobytes())
    if rng.random() < 0.5:
        batch.ids.prefix, batch.ids.counters = "a-b", np.arange(rows, dtype="<u8").tobytes()
    else:
        batch.ids.texts.extend(f"id {i}" for i in range(rows))
    batch.features.extend([_numbers(rng, rows, "amount"), _texts(rng, rows, "country")])
    batch.outputs.append(_numbers(rng, rows, "prediction"))
    if rng.random() < 0.3:
        batch.latencies = np.ones(rows, "<f4").tobytes()
        batch.errors.append(pb.ErrorRow(row=rng.randrange(rows), type="ValueError"))
    report = pb.ReportRequest(producer_id="p", seq=1, batches=[batch])
    if rng.random() < 0.5:
        outcomes = pb.Outcomes(model="fraud", ids=[f"id {i}" for i in range(rows)])
        outcomes.times = np.arange(rows, dtype="<i8").tobytes()
        outcomes.labels.CopyFrom(rng.choice([_numbers, _texts])(rng, rows, "label"))
        report.outcomes.append(outcomes)
    return report


def _numbers(rng: random.Random, rows: int, name: str) -> pb.Column:
    values = [rng.choice([0.0, -1.5, float("nan"), float("inf"), 1e308]) for _ in range(rows)]
    return pb.Column(name=name, kind=pb.NUMBER, numbers=np.array(values, "<f8").tobytes())


def _texts(rng: random.Random, rows: int, name: str) -> pb.Column:
    texts = rng.sample(TEXTS[:-1], rng.randint(1, 4))
    codes = np.array([rng.randrange(len(texts)) for _ in range(rows)], "<u4").tobytes()
    valid = np.packbits(np.array([rng.random() < 0.8 for _ in range(rows)]), bitorder="little").tobytes()
    return pb.Column(name=name, kind=pb.TEXT, texts=texts, codes=codes, validity=rng.choice([b"", valid]))


def _damage(rng: random.Random, report: pb.ReportRequest) -> None:
    batch = report.batches[0]
    columns = [*batch.features, *batch.outputs, *(outcomes.labels for outcomes in report.outcomes)]
    column = rng.choice(columns)
    kind = rng.randrange(9)
    if kind == 0:
        batch.rows = rng.choice(WHOLE)
    elif kind == 1:
        column.kind = rng.choice([0, 1, 2, 3, 4, 99])  # type: ignore[assignment]  # the wire carries any number
    elif kind == 2:
        column.codes = np.array([rng.choice(WHOLE) for _ in range(batch.rows % 64)], "<u4").tobytes()
    elif kind == 3:
        column.validity = rng.randbytes(rng.randint(0, 8))
    elif kind == 4:
        column.numbers = column.numbers[: rng.randint(0, 64)]
    elif kind == 5:
        column.name = rng.choice(TEXTS)
        del column.texts[: rng.randint(0, 3)]
    elif kind == 6:
        batch.times = np.array([rng.choice([-1, 0, 2**62]) for _ in range(batch.rows % 64)], "<i8").tobytes()
    elif kind == 7:
        batch.errors.append(pb.ErrorRow(row=rng.choice(WHOLE), type=rng.choice(TEXTS)))
    else:
        batch.features.append(column)
