"""Encoded columns as the screen lets them pass: hashed, bucketed, cut. Whatever library they came from, they are alike."""

from __future__ import annotations

from collections.abc import Sequence

from tenure.columns import packed, text_column, unpacked, written
from tenure.screen import BUCKET, HASH, Screen, bucket_of_number
from tenure_proto.v1 import monitoring_pb2 as pb


def screened(columns: list[pb.Column], name: str, screen: Screen) -> list[pb.Column]:
    """The columns of one name (numbers, texts or both) after redaction and the limit on text."""
    rule = screen.rule(name)
    if rule == HASH:
        return [_hashed(columns, screen)] if columns else columns
    for column in columns:
        if column.kind == pb.TEXT:
            texts = list(column.texts)
            kept = [screen.bucket_of_text(text) for text in texts] if rule == BUCKET else _cut(texts, screen.max_text)
            if kept is not texts:
                column.texts[:] = kept
        elif rule == BUCKET and column.kind != pb.BOOLEAN:
            column.numbers = packed("d", map(bucket_of_number, unpacked("d", column.numbers)))
    return columns


def _cut(texts: list[str], most: int) -> list[str]:
    return [text[:most] for text in texts] if max(map(len, texts), default=0) > most else texts


def _hashed(columns: Sequence[pb.Column], screen: Screen) -> pb.Column:
    """One text column, also of numbers and texts mixed: a hash tells nothing of either."""
    values: list[str | None] = []
    for column in columns:
        found = [None if text is None else screen.hashed(text) for text in _texts(column)]
        values = (
            found
            if not values
            else [one if one is not None else other for one, other in zip(values, found, strict=True)]
        )
    return text_column(columns[0].name, values)


def _texts(column: pb.Column) -> list[str | None]:
    if column.kind == pb.TEXT:
        codes = unpacked("I", column.codes)
        return [column.texts[code] if _valid(column, i) else None for i, code in enumerate(codes)]
    return [None if number != number else written(number) for number in unpacked("d", column.numbers)]  # noqa: PLR0124


def _valid(column: pb.Column, row: int) -> bool:
    return not column.validity or bool(column.validity[row >> 3] >> (row & 7) & 1)
