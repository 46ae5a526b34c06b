"""What contradicts itself is refused with a reason, whatever it is: never another error, never a wrong shape."""

import struct
from collections.abc import Callable

import pytest
from google.protobuf.message import Message

from tenure_agent.blocks import LATEST, MAX_CATEGORIES, MAX_TEXT, Malformed
from tenure_agent.wire import (
    MAX_COLUMNS,
    MAX_LOSSES,
    MAX_PARTS,
    MAX_PREFIX,
    MAX_PRODUCER,
    MAX_ROWS,
    MAX_SIZE,
    Refusal,
    Rows,
    Truths,
    decode,
    decode_batch,
    decode_outcomes,
)
from tenure_proto.v1 import monitoring_pb2 as pb

ROWS = 3
INTS, FLOATS = struct.pack("<3q", 7, 8, 9), struct.pack("<3d", 1, 2, 3)


def batch() -> pb.Batch:
    return pb.Batch(
        model="m",
        version="1",
        rows=ROWS,
        times=INTS,
        ids=pb.Ids(prefix="p", counters=INTS),
        features=[
            pb.Column(name="x", numbers=FLOATS, validity=b"\5"),
            pb.Column(name="x", kind=pb.TEXT, texts=["a", "b"], codes=struct.pack("<3I", 0, 1, 0)),
        ],
        outputs=[pb.Column(name="prediction", numbers=FLOATS)],
        latencies=struct.pack("<3f", 1, 2, 3),
        errors=[pb.ErrorRow(row=2, type="KeyError")],
    )


def outcomes() -> pb.Outcomes:
    return pb.Outcomes(
        model="m",
        ids=["A", "B", "C"],
        times=INTS,
        labels=pb.Column(name="label", numbers=FLOATS),
        values=pb.Column(name="value", numbers=FLOATS),
    )


def columns(*kept: pb.Column) -> Callable[[pb.Batch], None]:
    def change(message: pb.Batch) -> None:
        del message.features[:]
        message.features.extend(kept)

    return change


def texts(codes: tuple[int, ...], dictionary: list[str], **more: bytes) -> Callable[[pb.Batch], None]:
    block = struct.pack(f"<{len(codes)}I", *codes)
    return columns(pb.Column(name="t", kind=pb.TEXT, texts=dictionary, codes=block, **more))


def change(**fields: object) -> Callable[[Message], None]:
    def apply(message: Message) -> None:
        for name, value in fields.items():
            message.ClearField(name)
            if isinstance(value, Message):
                getattr(message, name).CopyFrom(value)
            elif isinstance(value, list):
                getattr(message, name).extend(value)
            else:
                setattr(message, name, value)

    return apply


NUMBER = pb.Column(name="x", numbers=FLOATS)
BATCHES = {
    "no rows": change(rows=0),
    "more rows than are sent": change(rows=4),
    "fewer rows than are sent": change(rows=2),
    "too many rows": change(rows=MAX_ROWS + 1),
    "the most rows a number can say": change(rows=2**32 - 1),
    "no times": change(times=b""),
    "a time cut short": change(times=INTS[:-1]),
    "a time too many": change(times=INTS + INTS[:8]),
    "a time before 1970": change(times=struct.pack("<3q", 7, -1, 7)),
    "a time that is no time": change(times=struct.pack("<3q", 7, -(2**63), 7)),
    "a time in nanoseconds": change(times=struct.pack("<3q", 7, LATEST + 1, 7)),
    "no ids": change(ids=pb.Ids()),
    "ids cut short": change(ids=pb.Ids(prefix="p", counters=INTS[:9])),
    "an id too few": change(ids=pb.Ids(texts=["A", "B"])),
    "an id too many": change(ids=pb.Ids(texts=["A", "B", "C", "D"])),
    "latencies cut short": change(latencies=b"\0" * 11),
    "a latency too few": change(latencies=b"\0" * 8),
    "an error of no row": change(errors=[pb.ErrorRow(row=3, type="KeyError")]),
    "numbers cut short": columns(pb.Column(name="x", numbers=FLOATS[:-1])),
    "no numbers": columns(pb.Column(name="x")),
    "a number too many": columns(pb.Column(name="x", numbers=FLOATS + FLOATS[:8])),
    "validity too short": change(
        rows=9,
        times=INTS * 3,
        ids=pb.Ids(counters=INTS * 3),
        latencies=b"",
        outputs=[],
        features=[pb.Column(name="x", numbers=FLOATS * 3, validity=b"\1")],
    ),
    "an unknown kind": columns(pb.Column(name="x", kind=7, numbers=FLOATS)),  # type: ignore[arg-type]
    "a code of no text": texts((0, 1, 2), ["a", "b"]),
    "the greatest code": texts((0, 2**32 - 1, 0), ["a"]),
    "no dictionary": texts((0, 0, 0), []),
    "a code too few": texts((0, 0), ["a"]),
    "numbers where texts should be": columns(pb.Column(name="x", kind=pb.TEXT, numbers=FLOATS)),
    "a column twice": columns(NUMBER, NUMBER),
    "a column twice, as another kind of number": columns(NUMBER, pb.Column(name="x", kind=pb.BOOLEAN, numbers=FLOATS)),
}
OUTCOMES = {
    "no outcomes": change(ids=[]),
    "an id too few": change(ids=["A", "B"]),
    "times cut short": change(times=INTS[:-1]),
    "a time before 1970": change(times=struct.pack("<3q", 7, -1, 7)),
    "labels cut short": change(labels=pb.Column(numbers=FLOATS[:-1])),
    "a label too few": change(labels=pb.Column(numbers=FLOATS[:-8])),
    "a label of no text": change(labels=pb.Column(kind=pb.TEXT, texts=["a"], codes=struct.pack("<3I", 0, 1, 0))),
    "labels without texts": change(labels=pb.Column(kind=pb.TEXT)),
    "a value too many": change(values=pb.Column(numbers=FLOATS + FLOATS)),
}


def test_as_they_are_they_are_well_formed() -> None:
    assert len(decode_batch(batch())) == len(decode_outcomes(outcomes())) == ROWS


@pytest.mark.parametrize("fault", BATCHES)
def test_a_batch_that_contradicts_itself(fault: str) -> None:
    message = batch()
    BATCHES[fault](message)

    with pytest.raises(Malformed) as refused:
        decode_batch(message)
    assert refused.value.reason == "malformed"
    assert str(refused.value)


@pytest.mark.parametrize("fault", OUTCOMES)
def test_outcomes_that_contradict_themselves(fault: str) -> None:
    message = outcomes()
    OUTCOMES[fault](message)

    with pytest.raises(Malformed) as refused:
        decode_outcomes(message)
    assert refused.value.reason == "malformed"


LONG = "x" * (MAX_TEXT + 1)
LIMITS = {
    "a long text": (texts((0, 1, 0), ["a", LONG]), "text_too_long"),
    "a long id": (change(ids=pb.Ids(texts=["A", "B", LONG])), "text_too_long"),
    "a long prefix": (change(ids=pb.Ids(prefix="p" * (MAX_PREFIX + 1), counters=INTS)), "text_too_long"),
    "many columns": (
        lambda message: message.features.extend([message.features[0]] * MAX_COLUMNS),
        "too_many_columns",
    ),
    "many categories": (texts((0, 1, 0), ["a"] * (MAX_CATEGORIES + 1)), "too_many_categories"),
}


@pytest.mark.parametrize("limit", LIMITS)
def test_a_batch_past_a_limit(limit: str) -> None:
    message = batch()
    past, reason = LIMITS[limit]
    past(message)

    with pytest.raises(Malformed) as refused:
        decode_batch(message)
    assert refused.value.reason == reason


def test_an_outcome_past_a_limit() -> None:
    message = outcomes()
    message.ids[1] = LONG
    with pytest.raises(Malformed) as refused:
        decode_outcomes(message)
    assert refused.value.reason == "text_too_long"


def report(**fields: object) -> pb.ReportRequest:
    return pb.ReportRequest(**{"producer_id": "p", "seq": 1} | fields)  # type: ignore[arg-type]


def test_a_short_message_does_not_grow_without_bound() -> None:
    rows = 1024
    grown = pb.Batch(model="m", version="1", rows=rows, times=bytes(8 * rows), ids=pb.Ids(counters=bytes(8 * rows)))
    grown.features.append(
        pb.Column(name="t", kind=pb.TEXT, texts=["x" * (MAX_SIZE // 2 // rows)], codes=bytes(4 * rows))
    )

    parts = decode(report(batches=[grown, grown, batch()])).parts

    assert [type(part) for part in parts] == [Rows, Refusal, Rows]
    assert parts[1] == Refusal("m", "too_large", rows)


def test_parts_past_the_limit_are_counted_by_model() -> None:
    parts = decode(report(batches=[batch()] * (MAX_PARTS - 1), outcomes=[outcomes()] * 4)).parts

    assert [type(part) for part in parts[MAX_PARTS - 1 :]] == [Truths, Refusal]
    assert parts[-1] == Refusal("m", "too_many_batches", 3 * ROWS)


def test_models_of_refused_parts_are_counted_up_to_a_limit() -> None:
    many = [pb.Batch(model=f"m{i}", rows=1) for i in range(MAX_PARTS + 9)]
    refused = decode(report(producer_id="x" * (MAX_PRODUCER + 1), batches=many)).parts
    assert len(refused) == MAX_PARTS + 1
    assert refused[-1] == Refusal("", "bad_producer_id", 9)


@pytest.mark.parametrize("producer", ["", "x" * (MAX_PRODUCER + 1)])
def test_a_report_of_nobody(producer: str) -> None:
    decoded = decode(report(producer_id=producer, batches=[batch()], outcomes=[outcomes()]))
    assert decoded.producer == ""
    assert decoded.parts == (Refusal("m", "bad_producer_id", 2 * ROWS),)


def test_losses_of_many_names_lose_no_row() -> None:
    told = [pb.Loss(model="m", reason=f"r{i}", rows=2) for i in range(MAX_LOSSES + 5)]
    losses = decode(report(losses=told)).losses
    assert len(losses) == MAX_LOSSES + 1
    assert losses["", "other"] == 10
