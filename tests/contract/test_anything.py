"""Whatever a host may hold, through capture, wire and store: no exception, exact accounts, and stored is what was given."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import count
from typing import Any, NoReturn

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tenure import Monitor, Settings, Stats
from tenure_agent.records import FEATURE, OUTPUT

DEADLINE = 60.0
MOST_TEXT = 4096
NAN, INF = math.nan, math.inf
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
PAIR, ALONE = re.compile("([\ud800-\udbff])([\udc00-\udfff])"), re.compile("[\ud800-\udfff]")

derandomized = settings(derandomize=True, max_examples=100)
numbers = count()


class Hostile:
    """Raises at whatever it is asked."""

    def _raise(self, *_: Any) -> NoReturn:
        raise RuntimeError("detached session")

    __float__ = __len__ = __eq__ = __ne__ = __bool__ = __iter__ = __getattr__ = __getitem__ = __str__ = _raise
    __hash__ = None  # type: ignore[assignment]

    def _repr_pretty_(self, printer: Any, _: bool) -> None:
        printer.text("Hostile()")  # hypothesis may show it


UNFIT: tuple[Any, ...] = (
    b"raw",
    {1, 2},
    [1],
    [],
    (1, "x"),
    1j,
    object(),
    Hostile(),
    np.zeros(2),
    pd.DataFrame({"x": [1]}),
)

texts = st.text(st.characters(exclude_categories=[]), max_size=8)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | texts
    | st.sampled_from([2**63, 10**400, -(10**400), "", "\0", "\ud800", "\udc1f\ud83d", "nan", "x" * 5000])
    | st.sampled_from([pd.NA, pd.NaT, np.float32(NAN), np.float64(0.1), np.int64(7), np.str_("np"), Decimal("0.1")])
    | st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2100, 1, 1))  # noqa: DTZ001  # naive means UTC
)
unfit = st.sampled_from(UNFIT)
mute = st.sampled_from([one for one in UNFIT if type(one) in {bytes, complex, object, Hostile}])  # no output either
names = st.sampled_from(["a", "b", "a.b", "", "\0", "\ud800", "x" * 300, "drop table; --", (1, 2), 2.5, None])
nested = st.recursive(
    scalars | unfit, lambda inner: st.dictionaries(names, inner, max_size=3) | st.lists(inner, max_size=3), max_leaves=4
)
features = st.dictionaries(names, nested, max_size=5).flatmap(
    lambda drawn: st.booleans().map(lambda flag: {**drawn, "flag": flag})
)


def number_of(value: Any) -> float | None:
    """The number that a value is stored as."""
    if isinstance(value, dt.datetime) and value is not pd.NaT:
        return float((value.replace(tzinfo=dt.UTC) - EPOCH) // dt.timedelta(microseconds=1))
    if not isinstance(value, bool | int | float | np.number | Decimal):
        return None
    try:
        number = float(value)
    except OverflowError:
        return INF if value > 0 else -INF
    return None if math.isnan(number) else number


def text_of(value: Any) -> str | None:
    """The text that a value is stored as: what UTF-8 cannot carry is replaced, what is too long is cut."""
    if not isinstance(value, str):
        return None
    whole = PAIR.sub(lambda pair: chr(0x10000 + (ord(pair[1]) - 0xD800) * 0x400 + ord(pair[2]) - 0xDC00), value)
    return ALONE.sub("\ufffd", whole)[:MOST_TEXT]


def is_absent(value: Any) -> bool:
    return (
        value is None
        or value is pd.NA
        or value is pd.NaT
        or (isinstance(value, float | np.floating) and math.isnan(value))
    )


def leaves(value: Mapping[Any, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, inner in value.items():
        if isinstance(inner, dict):
            yield from leaves(inner, f"{before}{key}.")
        else:
            yield f"{before}{key}", inner


def expected(value: Mapping[Any, Any]) -> tuple[dict[str, float | str], int]:
    """What is stored of a row by name, and how many of its values are left out and counted."""
    stored: dict[str, float | str] = {}
    seen: set[str] = set()
    left_out = 0
    for name, inner in leaves(value):
        number, text = number_of(inner), text_of(inner)
        found = text if number is None else number
        wire = (text_of(name) or "_")[:256]
        if found is not None and wire not in seen:
            stored[wire] = found
        elif not is_absent(inner):
            left_out += 1
        seen.add(wire)
    return stored, left_out


def once(found: list[tuple[str, Any]]) -> dict[str, Any]:
    """By id; none of them is stored twice."""
    assert len(dict(found)) == len(found)
    return dict(found)


@pytest.fixture(scope="module")
def monitor(store: Any) -> Iterator[Monitor]:
    with Monitor("anything", agent=store.address, settings=Settings(flush_interval=0.001)) as monitor:
        yield monitor


def settled(monitor: Monitor, before: Stats) -> Stats:
    """The account's growth, once all is acked or dropped; exact at either end."""
    assert monitor.flush(DEADLINE)
    after = monitor.stats()
    for stats in (before, after):
        assert stats.emitted == stats.acked + stats.queued + sum(stats.dropped.values())
    lost = {reason: rows - before.dropped.get(reason, 0) for reason, rows in after.dropped.items()}
    return Stats(
        emitted=after.emitted - before.emitted,
        acked=after.acked - before.acked,
        queued=after.queued,
        dropped={reason: rows for reason, rows in lost.items() if rows},
        skipped={"": sum(after.skipped.values()) - sum(before.skipped.values())},
    )


def unique(text: str) -> str:
    return f"{next(numbers)} {text}"


@derandomized
@given(rows=st.lists(st.tuples(features, scalars | mute, texts), min_size=1, max_size=4), watched=st.booleans())
@example(
    rows=[({"a": value, "flag": True}, value, "") for value in (2**63, 10**400, NAN, -INF, "\ud800", "\0", None)],
    watched=False,
)
@example(rows=[({"a.b": 1, "a": {"b": 2}, "flag": False}, UNFIT[0], "\ud83d\udc1f")], watched=True)
@example(rows=[({"a": value, "flag": True}, 0.5, "x" * 9000) for value in UNFIT], watched=True)
def test_rows(store: Any, monitor: Monitor, rows: list[tuple[dict[Any, Any], Any, str]], *, watched: bool) -> None:
    before, left_out = monitor.stats(), 0
    cases: dict[str, tuple[dict[Any, Any], Any]] = {}
    for given_, output, text in rows:
        id = unique(text)
        if watched:
            predict = monitor.watch(id="order")(lambda features, output=output: output)
            assert predict({**given_, "order": id}) is output
        else:
            assert monitor.record(given_, output, id=id) == id
        cases[text_of(id) or ""] = given_, output

    grown = settled(monitor, before)
    predictions = once(store.new(monitor.model)[0])

    assert (grown.emitted, grown.acked, grown.queued, grown.dropped) == (len(rows), len(rows), 0, {})
    assert predictions.keys() == cases.keys()
    for id, (given_, output) in cases.items():
        stored, skipped = expected(given_)
        said, unsaid = expected({"prediction": output})
        left_out += skipped + unsaid
        assert predictions[id][FEATURE] == stored
        assert predictions[id][OUTPUT] == said
    assert grown.skipped == {"": left_out}
    assert store.kinds(monitor.model, "flag") == {"BOOLEAN"}


cells = scalars | unfit
columns = st.dictionaries(
    st.sampled_from(["a", "", "\0", "x" * 300]), st.lists(cells, min_size=3, max_size=3), max_size=3
)


@derandomized
@given(columns=columns, outputs=st.lists(scalars | mute, min_size=3, max_size=3), text=texts, framed=st.booleans())
def test_tables(
    store: Any, monitor: Monitor, columns: dict[str, list[Any]], outputs: list[Any], text: str, *, framed: bool
) -> None:
    before = monitor.stats()
    ids = [unique(text) for _ in outputs]
    rows = [{name: values[i] for name, values in columns.items()} | {"flag": i == 0} for i in range(3)]
    named = {name: pd.Series(values, dtype=object) for name, values in columns.items()} | {"flag": [True, False, False]}

    monitor.record(pd.DataFrame(named) if framed else rows, outputs, id=ids)

    grown = settled(monitor, before)
    predictions = once(store.new(monitor.model)[0])
    assert (grown.emitted, grown.acked, grown.queued, grown.dropped) == (3, 3, 0, {})
    wanted = {
        text_of(id): (expected(row), expected({"prediction": one}))
        for id, row, one in zip(ids, rows, outputs, strict=True)
    }
    assert predictions == {id: {FEATURE: row[0], OUTPUT: said[0]} for id, (row, said) in wanted.items()}
    assert grown.skipped == {"": sum(row[1] + said[1] for row, said in wanted.values())}


@derandomized
@given(truths=st.lists(st.tuples(texts, scalars | mute, scalars | mute), min_size=1, max_size=4))
def test_outcomes(store: Any, monitor: Monitor, truths: list[tuple[str, Any, Any]]) -> None:
    before, left_out = monitor.stats(), 0
    cases = {unique(text): (label, value) for text, label, value in truths}
    for id, (label, value) in cases.items():
        monitor.outcome(id, label=label, value=value)

    grown = settled(monitor, before)
    outcomes = once(store.new(monitor.model)[1])

    assert (grown.emitted, grown.acked, grown.queued, grown.dropped) == (len(truths), len(truths), 0, {})
    assert outcomes.keys() == {text_of(id) for id in cases}
    for id, (label, value) in cases.items():
        number, said, worth = outcomes[text_of(id) or ""]
        if said is None or isinstance(label, str):
            assert (number, said) == (number_of(label), text_of(label))
        else:  # with texts among the labels of one report, all of them become text
            assert number is None
            assert said == str(label) or float(said) == number_of(label)
        assert worth == number_of(value)
        left_out += (number is None and said is None and not is_absent(label)) + (
            worth is None and not is_absent(value)
        )
    assert grown.skipped == {"": left_out}


anything = st.recursive(
    cells | st.sampled_from([np.zeros((2, 3)), np.zeros((2, 2, 2)), pd.DataFrame({"a": [1, 2]}), pd.Series(["a", "b"]), range(3)]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3) | st.lists(inner, max_size=3).map(tuple),
    max_leaves=6,
)  # fmt: skip


@derandomized
@given(argument=anything, output=anything, id=anything, label=anything, keyed=st.booleans())
@example(argument={"a": 1}, output={"a": None, "b": np.zeros(2)}, id=np.zeros((2, 3)), label=Hostile(), keyed=True)
@example(argument=np.zeros((2, 3)), output=[Hostile(), 1], id=np.zeros((2, 3)), label=[1], keyed=False)
def test_whatever_is_given_the_host_sees_no_exception_and_the_account_is_exact(
    store: Any, monitor: Monitor, argument: Any, output: Any, id: Any, label: Any, *, keyed: bool
) -> None:
    before = monitor.stats()

    @monitor.watch(id=lambda given: id) if keyed else monitor.watch
    def predict(given: Any) -> Any:
        assert given is argument
        return output

    @monitor.watch
    def fails(given: Any) -> Any:
        raise ZeroDivisionError

    assert predict(argument) is output
    with pytest.raises(ZeroDivisionError):
        fails(argument)
    monitor.record(argument, output, id=id)
    monitor.outcome(id, label=label, value=label)

    grown = settled(monitor, before)
    predictions, outcomes = store.new(monitor.model)
    assert grown.emitted == grown.acked + sum(grown.dropped.values())
    assert grown.dropped.keys() <= {"capture_error"}
    assert len(predictions) + len(outcomes) == grown.acked
