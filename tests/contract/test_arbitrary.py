"""Whatever a message holds, it is decoded to the lengths it tells, or refused; `tests/faults/test_fuzz.py` goes on."""

import struct
from contextlib import suppress

from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from tenure_agent.blocks import Malformed
from tenure_agent.wire import Generated, decode_batch, decode_outcomes
from tenure_proto.v1 import monitoring_pb2 as pb

INTS = struct.pack("<3q", 7, 8, 9)


def check_batch(message: pb.Batch) -> bool:
    """True where it decodes; then all its parts have its length."""
    try:
        decoded = decode_batch(message)
    except Malformed:
        return False
    parts = (decoded.times, decoded.ids, decoded.latencies, decoded.errors, *(c.values for c in decoded.columns))
    assert {len(part) for part in parts if part is not None} == {message.rows}
    assert isinstance(decoded.ids, Generated) or all(isinstance(id_, str) for id_ in decoded.ids)
    assert decoded.role in {0, 1, 2}
    return True


def check_outcomes(message: pb.Outcomes) -> bool:
    try:
        decoded = decode_outcomes(message)
    except Malformed:
        return False
    parts = (decoded.ids, decoded.times, decoded.numbers, decoded.texts, decoded.values)
    assert {len(part) for part in parts} == {len(message.ids)}
    return True


blocks = st.binary(max_size=33) | st.integers(0, 5).flatmap(lambda n: st.binary(min_size=8 * n, max_size=8 * n))
words = st.lists(st.text(max_size=5), max_size=4)
some_columns = st.builds(
    pb.Column,
    name=st.text(max_size=2),
    kind=st.integers(0, 5),
    numbers=blocks,
    texts=words,
    codes=blocks,
    validity=blocks,
)
batches = st.builds(
    pb.Batch,
    model=st.text(max_size=5),
    role=st.integers(0, 5),
    rows=st.integers(0, 4) | st.integers(0, 2**32 - 1),
    times=blocks | st.just(INTS),
    ids=st.builds(pb.Ids, prefix=st.text(max_size=3), counters=blocks, texts=words),
    features=st.lists(some_columns, max_size=3),
    outputs=st.lists(some_columns, max_size=2),
    latencies=blocks,
    errors=st.lists(st.builds(pb.ErrorRow, row=st.integers(0, 9), type=st.text(max_size=5)), max_size=2),
)
some_outcomes = st.builds(
    pb.Outcomes, ids=words, times=blocks | st.just(INTS), labels=some_columns, values=some_columns
)


@given(message=batches)
def test_any_batch_is_decoded_or_malformed(message: pb.Batch) -> None:
    assert check_batch(message) in {True, False}


@given(message=some_outcomes)
def test_any_outcomes_are_decoded_or_malformed(message: pb.Outcomes) -> None:
    assert check_outcomes(message) in {True, False}


def varint(number: int) -> bytes:
    low, rest = number & 127, number >> 7
    return bytes([low | 128]) + varint(rest) if rest else bytes([low])


def tagged(field: int, value: int | bytes) -> bytes:
    """One field as Protobuf writes it, whatever the schema says of its number."""
    if isinstance(value, int):
        return varint(field << 3) + varint(value)
    return varint(field << 3 | 2) + varint(len(value)) + value


payloads = st.recursive(
    st.integers(0, 3) | st.integers(0, 2**64 - 1) | blocks | st.text(max_size=5).map(str.encode),
    lambda inner: st.lists(st.builds(tagged, st.integers(1, 12), inner), max_size=8).map(b"".join),
)


@given(fields=st.lists(st.builds(tagged, st.integers(1, 12), payloads), max_size=12))
def test_any_bytes_are_decoded_or_malformed(fields: list[bytes]) -> None:
    block = b"".join(fields)
    with suppress(DecodeError):
        assert check_batch(pb.Batch.FromString(block)) in {True, False}
    with suppress(DecodeError):
        assert check_outcomes(pb.Outcomes.FromString(block)) in {True, False}
