"""A version's stream block by block: what alarms, what does not, late rows, pauses, restarts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from tests.agent.live import LENGTH, PER_BLOCK, SETTINGS, built, columns, judged, serve, summaries

from tenure_agent.checks.drift import Settings
from tenure_agent.past import LONGEST, WINDOW, Step
from tenure_agent.records import Level, Verdict
from tenure_agent.reference import Reference
from tenure_agent.store import Database, steps
from tenure_agent.summary import Summary
from tenure_agent.track import Track

Array = npt.NDArray[Any]
OK, CRITICAL, UNKNOWN = Level.OK, Level.CRITICAL, Level.INSUFFICIENT_DATA
ROWS = 1800  # of the reference: six windows, sixty blocks
ARRAYS = ("together", "counts", "moved", "missing", "moved_newest", "missing_newest", "absent")


@pytest.fixture(scope="module")
def reference() -> Reference:
    return built(columns(ROWS))


def stream(blocks: int, seed: int = 9) -> dict[str, Array]:
    return columns(blocks * PER_BLOCK, seed)


def rows(first: int, last: int) -> slice:
    """Of blocks."""
    return slice(first * PER_BLOCK, last * PER_BLOCK)


def told(reference: Reference, values: dict[str, Array], settings: Settings = SETTINGS) -> list[Verdict]:
    """A verdict for each block."""
    track = Track(reference, LENGTH)
    found = summaries(reference, values)
    serve(track, found)
    return [verdict for verdict, _ in judged(track, len(found), settings)]


def critical(said: list[Verdict]) -> list[int]:
    """Blocks after which an episode was open."""
    return [block for block, verdict in enumerate(said) if verdict.level is CRITICAL]


def as_plain(said: list[tuple[Verdict, Step]]) -> list[tuple[object, ...]]:
    """All of it, so that == means the same bits; an outage has no counts once it was kept."""
    return [
        (verdict, repr(step.score), step.critical, *(getattr(step, name).tolist() for name in ARRAYS))
        for verdict, step in said
    ]


def test_a_quiet_stream_stays_quiet(reference: Reference) -> None:
    said = told(reference, stream(200))
    assert [verdict.level for verdict in said] == [UNKNOWN] * 4 + [OK] * 196
    assert said[50].window.end - said[50].window.start == WINDOW * LENGTH
    assert said[50].window.end == 51 * LENGTH
    assert {verdict.rows for verdict in said[9:]} == {WINDOW * PER_BLOCK}


def shifted(values: dict[str, Array], first: int, last: int) -> None:
    values["x0"][rows(first, last)] += 3.0


def missing(values: dict[str, Array], first: int, last: int) -> None:
    values["x1"][rows(first, last)] = np.nan


def zeros(values: dict[str, Array], first: int, last: int) -> None:
    values["amount"][rows(first, last)] = 0.0


def stranger(values: dict[str, Array], first: int, last: int) -> None:
    values["country"][rows(first, last)] = "XX"


MOVES = [shifted, missing, zeros, stranger]
Move = Callable[[dict[str, Array], int, int], None]


@pytest.mark.parametrize(("move", "column"), [*zip(MOVES, ["x0", "x1", "amount", "country"], strict=True)])
def test_what_moves_and_stays_alarms_within_two_windows_until_it_is_known(
    reference: Reference, move: Move, column: str
) -> None:
    values = stream(200)
    move(values, 70, 200)
    said = told(reference, values)
    open_ = critical(said)
    assert 70 + 7 <= open_[0] < 70 + 2 * WINDOW
    assert open_ == list(range(open_[0], open_[-1] + 1))
    assert open_[-1] - open_[0] < (11 if move is missing else 6) * WINDOW  # a run is known when twice one was seen
    assert said[open_[0]].reason.startswith(f"{column}: ")
    assert said[open_[-1]].reason.startswith("the level is known by now; closes after 5 quiet blocks")


def test_a_constant_column_that_starts_to_vary_alarms() -> None:
    reference = built(columns(ROWS) | {"fixed": np.full(ROWS, 4.0)})
    values = stream(100) | {"fixed": np.full(100 * PER_BLOCK, 4.0)}
    values["fixed"][rows(60, 100)] += np.random.default_rng(3).normal(size=40 * PER_BLOCK)
    said = told(reference, values)
    assert 67 <= critical(said)[0] < 80
    assert said[79].reason.startswith("fixed: ")


@pytest.mark.parametrize("move", MOVES)
def test_what_passes_within_most_of_a_window_does_not_alarm(move: Move) -> None:
    reference = built(columns(ROWS, normal=8))
    values = columns(140 * PER_BLOCK, 9, normal=8)
    move(values, 70, 75)
    said = told(reference, values)
    assert critical(said) == []
    assert max(verdict.measures["score"] for verdict in said[70:80]) > 1
    assert any(verdict.reason.startswith("not confirmed yet, 2 of 8 blocks: ") for verdict in said)


def test_the_same_again_is_muted_within_the_memory_and_not_after_it(reference: Reference) -> None:
    # memory lasts four references of 60 blocks, after three windows; what is muted teaches anew
    values = stream(540)
    for first in (70, 170, 500):
        shifted(values, first, first + 15)
    open_ = critical(told(reference, values))
    assert {block for block in open_ if block < 170} != set()
    assert [block for block in open_ if 170 <= block < 500] == []
    assert 507 <= next(block for block in open_ if block >= 500) < 520


def test_too_short_a_reference_warns_until_six_windows_were_judged() -> None:
    reference = built(columns(900))
    values = stream(150)
    shifted(values, 30, 50)
    stranger(values, 120, 150)
    said = told(reference, values)
    levels = [verdict.level for verdict in said]
    assert Level.WARNING in levels[37:60]
    assert CRITICAL not in levels[:64]
    assert CRITICAL in levels[127:150]
    warned = said[levels.index(Level.WARNING)]
    assert "(the reference holds 3.0 windows, too few to be certain)" in warned.reason


def paused(reference: Reference, values: dict[str, Array], first: int, last: int) -> list[tuple[int, Summary]]:
    """A stream with a pause: (block, summary)."""
    found = summaries(reference, values)
    return [(i if i < first else i + last - first, one) for i, one in enumerate(found)]


@pytest.mark.parametrize("length", [4, 30, LONGEST + 60])
@pytest.mark.parametrize("moves", [False, True])
def test_after_an_outage_all_goes_on(reference: Reference, length: int, moves: bool) -> None:
    values = stream(140)
    if moves:
        shifted(values, 100, 140)
    parts = dict(paused(reference, values, 100, 100 + length))
    track, said = Track(reference, LENGTH), []
    for block in range(140 + length):
        if block in parts:
            track.add(block * LENGTH, parts[block])
        said += [verdict for verdict, _ in judged(track, block + 1)]

    assert len(said) == 140 + length
    assert {verdict.level for verdict in said[100 : 100 + length]} <= {OK, UNKNOWN}
    assert (length < 10) or {verdict.level for verdict in said[106 : 100 + length]} == {UNKNOWN}
    open_ = critical(said)
    assert (open_ != []) == moves
    if moves:
        assert 100 + length + 7 <= open_[0] < 100 + length + 2 * WINDOW


def test_an_outage_is_no_absence_of_columns(reference: Reference) -> None:
    parts = paused(reference, stream(100), 50, 59)
    track = Track(reference, LENGTH)
    for block, one in parts:
        track.add(block * LENGTH, one)
    said = judged(track, 109, Settings(30, 2.5))
    assert [step.absent.max(initial=0) for _, step in said] == [0.0] * len(said)
    assert critical([verdict for verdict, _ in said]) == []


def test_an_open_episode_outlives_an_outage(reference: Reference) -> None:
    values = stream(120)
    shifted(values, 70, 120)
    track = Track(reference, LENGTH)
    for block, one in paused(reference, values, 82, 130):
        track.add(block * LENGTH, one)
    said = judged(track, 168)
    levels = {step.block: verdict.level for verdict, step in said}
    assert levels[81] is CRITICAL
    assert levels[86] is UNKNOWN
    assert all(step.critical for _, step in said if 81 <= step.block < 135)
    assert levels[135] is CRITICAL


def test_late_rows_count_in_their_block_while_the_window_holds_it(reference: Reference) -> None:
    found = summaries(reference, stream(60))
    track = Track(reference, LENGTH)
    serve(track, found[:40])
    judged(track, 40)
    track.add(31 * LENGTH, found[50])  # the oldest block of the next window
    track.add(30 * LENGTH, found[50])  # too late
    assert 30 not in track._blocks
    track.add(40 * LENGTH + 7, found[40])
    [(verdict, step)] = judged(track, 41)
    assert verdict.rows == (WINDOW + 1) * PER_BLOCK
    assert track.newest is not None
    assert reference.coarse.sums(track.newest.counts)[:, 0].tolist() == [2 * PER_BLOCK] + [PER_BLOCK] * 9
    assert step.counts.tolist() == reference.coarse.counts(found[40]).tolist()
    track.add(41 * LENGTH, found[41])
    assert judged(track, 42)[0][0].rows == WINDOW * PER_BLOCK


def test_rows_of_one_block_may_come_in_parts(reference: Reference) -> None:
    values = stream(40)
    whole, parts = Track(reference, LENGTH), Track(reference, LENGTH)
    serve(whole, summaries(reference, values))
    for i, one in enumerate(summaries(reference, values, PER_BLOCK // 3)):
        parts.add(i * LENGTH // 3, one)
    assert [one[1:] for one in as_plain(judged(whole, 40))] == [one[1:] for one in as_plain(judged(parts, 40))]


def eventful(reference: Reference) -> dict[int, Summary]:
    """A stream with drift, an outage, a block with few rows and one with none."""
    values = stream(260)
    shifted(values, 90, 110)
    missing(values, 200, 260)
    parts = dict(paused(reference, values, 150, 175))
    [parts[40]] = summaries(reference, stream(1), PER_BLOCK)[:1]
    del parts[41]
    return parts


def test_catching_up_is_as_block_by_block(reference: Reference) -> None:
    parts = eventful(reference)
    steadily, at_once = Track(reference, LENGTH), Track(reference, LENGTH)
    one_by_one = []
    for block in range(290):
        if block in parts:
            steadily.add(block * LENGTH, parts[block])
        one_by_one += judged(steadily, block + 1)
    for block, one in parts.items():
        at_once.add(block * LENGTH, one)
    caught_up = judged(at_once, 290)

    silent = {step.block for _, step in one_by_one} - {step.block for _, step in caught_up}
    assert silent == set(range(159, 175))  # of windows without a row, nothing is said
    assert as_plain([pair for pair in one_by_one if pair[1].block not in silent]) == as_plain(caught_up)
    assert at_once.past.next == steadily.past.next == 290
    assert critical([verdict for verdict, _ in caught_up]) != []
    assert len(at_once._blocks) < WINDOW


def test_a_restart_goes_on_to_the_last_bit(reference: Reference, database: Database) -> None:
    parts = eventful(reference)
    steady = Track(reference, LENGTH)
    known: dict[int, Summary] = {}
    kept, every = steps.newest, 17
    for block in range(0, 290, every):
        back = database.read(lambda c: kept(c, 1, 1, reference.hash, LENGTH)).result()
        again = Track(reference, LENGTH, back)
        for number, one in known.items():
            again.add(number * LENGTH, one)
        for number in range(block, min(block + every, 290)):
            if number in parts:
                known[number] = parts[number]
                for track in (steady, again):
                    track.add(number * LENGTH, parts[number])
        expected, found = judged(steady, min(block + every, 290)), judged(again, min(block + every, 290))
        assert as_plain(expected) == as_plain(found), block
        fresh = [step for _, step in found]
        database.write(lambda c, fresh=fresh: steps.append(c, 1, 1, reference.hash, LENGTH, fresh)).result()  # type: ignore[misc]


def test_nothing_came_nothing_is_due(reference: Reference) -> None:
    track = Track(reference, LENGTH)
    assert judged(track, 10**9) == []
    assert track.due(10**15) == range(0)
    track.add(7 * LENGTH + 3, summaries(reference, stream(1))[0])
    assert track.due(8 * LENGTH - 1) == range(7, 7)
    assert track.due(9 * LENGTH) == range(7, 9)


def test_a_clock_that_was_decades_off_costs_nothing(reference: Reference) -> None:
    found = summaries(reference, stream(12))
    track = Track(reference, LENGTH)
    track.add(0, found[0])
    now = 30_000_000 * LENGTH
    serve(track, found[1:], 30_000_000 - 11)
    said = judged(track, 30_000_000)
    assert len(said) == 10 + 11
    assert said[-1][0].level is OK
    assert said[-1][0].window.end == now
