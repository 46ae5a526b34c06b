"""A file from outside: what is no reference is refused with a reason, and takes neither long nor much memory."""

from __future__ import annotations

import base64
import gzip
import json
import resource
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.agent.live import columns, texts

from tenure_agent import inspection
from tenure_agent.builder import Rows, build_reference
from tenure_agent.inspection import MALFORMED, MOST_TEXT, NONE_OF_OURS, OTHER_MODEL, TOO_LARGE, Unfit, inspected
from tenure_agent.losses import LossProfile
from tenure_agent.reference import FORMAT
from tenure_agent.segment_builder import with_segments

ROWS = Rows({("feature", name): values for name, values in columns(3000).items()})
REFERENCE = with_segments(
    build_reference("fraud", "3", ROWS, losses=(LossProfile("error", 0.5, 0.1, 1, 99, 100),)), ROWS, ["country"]
)
DOCUMENT = json.loads(REFERENCE.dumps())
Document = dict[str, Any]
MOST_MEMORY = 400 << 20


def packed(document: Any) -> bytes:
    return gzip.compress(document if isinstance(document, bytes) else json.dumps(document).encode(), 1)


def altered(alter: Callable[[Document], object]) -> bytes:
    document = json.loads(json.dumps(DOCUMENT))
    alter(document)
    return packed(document)


def bomb(size: int, wbits: int) -> str:
    machine = zlib.compressobj(9, zlib.DEFLATED, wbits)
    piece = bytes(1 << 20)
    body = b"".join(machine.compress(piece) for _ in range(size >> 20)) + machine.flush()
    return base64.b85encode((bytes(10) if wbits < 0 else b"") + body).decode()


def column(document: Document, number: int = 0, **changes: Any) -> None:
    document["columns"][number] |= changes


def test_a_sound_one_is_what_the_file_says(tmp_path: Path) -> None:
    REFERENCE.save(tmp_path / "a.reference")
    found, text = inspected((tmp_path / "a.reference").read_bytes(), "fraud")
    assert (found, text) == (REFERENCE, REFERENCE.dumps())
    assert found.segments
    assert found.covariance is not None


@pytest.mark.parametrize("values", [["a", "b"], [0.0, 1.0], [np.nan, 3.0], [np.inf, -np.inf], [7.0, 7.0]])
def test_small_and_strange_ones_are_sound(values: list[Any], tmp_path: Path) -> None:
    array = texts(values * 50) if isinstance(values[0], str) else np.array(values * 50)
    build_reference("m", "", Rows({("feature", "x"): array})).save(tmp_path / "a.reference")
    assert inspected((tmp_path / "a.reference").read_bytes(), "m")[0].rows == 100


MALFORMED_FILES: dict[str, bytes] = {
    "empty": b"",
    "no gzip": b"garbage" * 100,
    "cut": packed(DOCUMENT)[:-20],
    "more behind it": packed(DOCUMENT) + b"x",
    "no json": packed(b"{"),
    "no utf-8": packed(b"\xff\xfe"),
    "a list": packed([1]),
    "nothing in it": packed({}),
    "deep": packed(b"[" * 500_000),
    "deeper": packed(b'{"a":' * 500_000),
    "long number": packed(b'{"format": ' + b"9" * 100_000 + b"}"),
    "no columns": altered(lambda d: d.update(columns=[])),
    "a column that is none": altered(lambda d: d["columns"].append({})),
    "no such kind": altered(lambda d: column(d, kind="vague")),
    "no such part": altered(lambda d: column(d, part="sideways")),
    "edges that fall": altered(lambda d: column(d, edges=d["columns"][0]["edges"][::-1])),
    "edges that are texts": altered(lambda d: column(d, edges=["x"] * len(d["columns"][0]["edges"]))),
    "an infinite edge": altered(lambda d: column(d, edges=[*d["columns"][0]["edges"][:-1], 1e999])),
    "no centre": altered(lambda d: column(d, centre=float("nan"))),
    "a name twice": altered(lambda d: column(d, 1, name="x0")),
    "a number for a name": altered(lambda d: column(d, name=7)),
    "a long name": altered(lambda d: column(d, name="x" * 300)),
    "a category twice": altered(lambda d: column(d, 3, categories=["DE"] * len(d["columns"][3]["categories"]))),
    "too few counts": altered(lambda d: d.update(summary=base64.b85encode(bytes(10)).decode())),
    "no base85": altered(lambda d: d.update(summary='"')),
    "blocks that do not fit": altered(lambda d: d.update(blocks=d["blocks"] + 1)),
    "blocks of other bins": altered(lambda d: d.update(blocks=d["blocks"] * 2)),
    "no number of blocks": altered(lambda d: d.update(blocks=-1)),
    "times that are none": altered(lambda d: d.update(span=["a", "b"])),
    "times backwards": altered(lambda d: d.update(span=[2, 1])),
    "a loss of no rows": altered(lambda d: d["losses"][0].update(rows=0)),
    "correlations that are none": altered(
        lambda d: d["covariance"].update(matrix=base64.b85encode(zlib.compress(b"\0\0\0\0\0\0\xf8\x7f" * 6)).decode())
    ),
    "a span of nothing": altered(lambda d: d.update(span=[])),
    "a number for a model": altered(lambda d: d.update(model=3)),
    "a number for a notice": altered(lambda d: d.update(notices=[3])),
    "a loss that is none": altered(lambda d: d["losses"][0].update(mean=float("nan"))),
    "a segment twice": altered(lambda d: d["segments"].append(d["segments"][0])),
    "covariance of many": altered(lambda d: d["covariance"].update(columns=["x"] * 100_000)),
    "covariance of others": altered(lambda d: d["covariance"].update(columns=["x"])),
}


@pytest.mark.parametrize("content", MALFORMED_FILES.values(), ids=MALFORMED_FILES)
def test_what_is_malformed_is_refused_and_nothing_of_it_is_quoted(content: bytes) -> None:
    with pytest.raises(Unfit) as refused:
        inspected(content, "fraud")
    assert (refused.value.reason, str(refused.value)) == (MALFORMED, NONE_OF_OURS)


def test_an_older_format_says_so() -> None:
    with pytest.raises(Unfit, match=rf"format 1 is not {FORMAT}\. Try: build it again") as refused:
        inspected(altered(lambda d: d.update(format=1)), "fraud")
    assert refused.value.reason == MALFORMED


def test_another_models_is_refused() -> None:
    with pytest.raises(Unfit, match="--model churn") as refused:
        inspected(packed(DOCUMENT), "churn")
    assert refused.value.reason == OTHER_MODEL


BOMBS: dict[str, Callable[[], bytes]] = {
    "of gzip": lambda: gzip.compress(bytes(1 << 20) * 200, 1),
    "of text": lambda: packed(b'"' + b" " * MOST_TEXT + b'"'),
    "of lists": lambda: packed(b"[" + b"[]," * (20 << 20) + b"[]]"),
    "of objects": lambda: packed(b"[" + b"{}," * (20 << 20) + b"{}]"),
    "of a summary": lambda: altered(lambda d: d.update(summary=bomb(64 << 20, -15))),
    "of blocks": lambda: altered(lambda d: d.update(block_counts=bomb(64 << 20, 15))),
    "of a segment": lambda: altered(lambda d: d["segments"][0].update(summary=bomb(64 << 20, -15))),
    "of correlations": lambda: altered(lambda d: d["covariance"].update(matrix=bomb(64 << 20, 15))),
    "of columns": lambda: altered(lambda d: d.update(columns=d["columns"] * 1000)),
    "of segments": lambda: altered(lambda d: d.update(segments=d["segments"] * 1000)),
    "of both": lambda: altered(lambda d: d.update(columns=d["columns"] * 400, segments=(d["segments"] * 100)[:70])),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_small_file_that_holds_much_takes_no_memory(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "MOST_INFLATED", 32 << 20)
    content = BOMBS[kind]()
    assert len(content) < inspection.MOST_TEXT // 2
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(Unfit) as refused:
        inspected(content, "fraud")
    assert refused.value.reason == TOO_LARGE
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10 < MOST_MEMORY


def test_two_hundred_columns_with_segments_are_not_too_large() -> None:
    draw = np.random.default_rng(0)
    values: dict[str, Any] = {f"x{i}": draw.normal(size=600) for i in range(200)}
    values["country"] = texts(draw.choice(["DE", "FR"], 600))
    rows = Rows({("feature", name): array for name, array in values.items()})
    built = with_segments(build_reference("m", "1", rows), rows, ["country"])
    assert len(built.segments) == 2
    assert inspected(gzip.compress(built.dumps().encode()), "m")[0] == built
