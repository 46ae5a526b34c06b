"""Segments as they go: what is seen in one of them only, what is not said twice, and that quiet ones stay quiet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from tests.agent.live import LENGTH
from tests.agent.segmented import PER_BLOCK, Columns, built, columns, judged, serve, tracks, wholes

from tenure_agent.past import WINDOW
from tenure_agent.records import Level, Verdict
from tenure_agent.reference import Reference
from tenure_agent.segment_tracks import ALARMING, Alarm, Left, SegmentTracks

REFERENCE_ROWS = 20_000
WARNING = Level.WARNING
BLOCKS, CHANGE = 320, 100  # of the whole, live


@pytest.fixture(scope="module")
def reference() -> Reference:
    return built(columns(REFERENCE_ROWS))


def live(seed: int = 7, blocks: int = BLOCKS) -> dict[str, Any]:
    return columns(blocks * PER_BLOCK, seed)


def moved(values: dict[str, Any], by: float, segment: str, first: int = CHANGE) -> dict[str, Any]:
    """x moves in one segment from a block on; or in all rows."""
    feature, _, value = segment.partition("=")
    late = np.arange(len(values["x"])) >= first * PER_BLOCK
    values["x"] = values["x"] + by * late * (values[feature] == value if segment else 1)
    return values


def told(reference: Reference, values: Columns) -> tuple[list[Verdict], list[Verdict]]:
    """What is said of all rows, and what of segments."""
    made = tracks(reference)
    serve(made, reference, values)
    said = made.heard(wholes(reference, values))
    return said, judged(made, len(values["x"]) // PER_BLOCK)


def warnings(said: Sequence[Verdict]) -> list[str]:
    return [verdict.segment for verdict in said if verdict.level in ALARMING]


def test_a_change_in_a_tenth_of_the_rows_is_seen_in_them_only(reference: Reference) -> None:
    whole, said = told(reference, moved(live(), 2.0, "country=IT"))
    assert {verdict.level for verdict in whole} <= {Level.OK, Level.INSUFFICIENT_DATA}
    assert warnings(said) == ["country=IT"]
    [opened] = [verdict for verdict in said if verdict.level is WARNING]
    length = tracks(reference).tracks["country=IT"].length
    assert length == 8 * LENGTH  # a window holds as many rows as its reference can judge, a fifth of it
    assert CHANGE * LENGTH + 7 * length <= opened.window.end <= CHANGE * LENGTH + 2 * WINDOW * length
    assert opened.reason.startswith("in country=IT: x: ")
    assert {reading.column for reading in opened.readings if reading.level in ALARMING} == {"x"}
    assert Level.CRITICAL not in {reading.level for reading in opened.readings}


@pytest.mark.parametrize("memory", [0.0, 0.995])
def test_quiet_streams_stay_quiet(memory: float) -> None:
    found = []
    for seed in range(5):
        values = columns(REFERENCE_ROWS + BLOCKS * PER_BLOCK, seed + 100, memory=memory)
        reference = built({name: array[:REFERENCE_ROWS] for name, array in values.items()})
        found += warnings(told(reference, {name: array[REFERENCE_ROWS:] for name, array in values.items()})[1])
    assert found == []


def test_what_moves_the_whole_alarms_once_and_says_where_it_comes_from(reference: Reference) -> None:
    whole, said = told(reference, moved(live(), 4.0, "country=DE"))
    assert warnings(said) == []
    opened = next(verdict for verdict in whole if verdict.level is Level.CRITICAL)
    assert opened.reason.startswith("x: ")
    assert "; mostly in country=DE (9" in opened.reason
    assert opened.reason.endswith("% of the rows)")
    quiet = [verdict.reason for verdict in whole if verdict.level is Level.OK]
    assert not [reason for reason in quiet if "mostly in" in reason]


def test_what_moves_all_rows_alike_comes_from_nowhere(reference: Reference) -> None:
    whole, said = told(reference, moved(live(), 3.0, ""))
    assert warnings(said) == []
    assert Level.CRITICAL in {verdict.level for verdict in whole}
    assert not [verdict for verdict in whole if "mostly in" in verdict.reason]


def test_the_same_rows_cut_otherwise_are_no_second_alarm(reference: Reference) -> None:
    values = live()
    values["plan"] = np.where(values["country"] == "IT", "paid", values["plan"])  # a third of paid is from there
    made = tracks(reference)
    serve(made, reference, moved(values, 2.5, "country=IT"))
    assert "plan=paid" not in warnings(judged(made, BLOCKS))


def test_late_rows_count_in_their_block_while_the_window_holds_it(reference: Reference) -> None:
    made, values = tracks(reference), live(blocks=100)
    track = made.tracks["country=DE"]
    blocks = track.length // LENGTH  # of the whole, in one of the segment
    serve(made, reference, values)
    judged(made, 80)
    assert track.past.next == 80 // blocks
    before = made.newest["country=DE"].rows
    serve(made, reference, {name: array[: 5 * PER_BLOCK] for name, array in values.items()}, 75)
    serve(made, reference, {name: array[: 5 * PER_BLOCK] for name, array in values.items()}, 20)  # too late
    judged(made, 80 + blocks)
    assert 100 <= made.newest["country=DE"].rows - before <= 150  # half of 5 blocks, and what chance does


def test_too_few_rows_are_never_ok(reference: Reference) -> None:
    made = tracks(reference)
    values = live()
    serve(made, reference, {name: array[values["country"] != "ES"] for name, array in values.items()})
    said = judged(made, 400)
    assert [verdict.segment for verdict in said if verdict.level is Level.OK and "country" in verdict.segment] == [
        *("country=DE", "country=FR", "country=IT"),
    ]
    assert "country=ES" not in made.newest  # no row, no block that could be over


def test_a_reference_without_segments_of_a_feature_says_so() -> None:
    reference = built(columns(3000), ["plan"])
    made = tracks(reference, ["country", "plan"])
    [said] = made.news(made.unjudged(5 * LENGTH))
    assert (said.segment, said.level) == ("country", Level.INSUFFICIENT_DATA)
    assert said.reason.startswith("the reference holds no segments of country. Try: ")
    assert made.news(made.unjudged(9 * LENGTH)) == []


def test_only_what_changes_is_said(reference: Reference) -> None:
    made = tracks(reference)
    serve(made, reference, live())
    said = judged(made, BLOCKS)
    assert len(said) <= 2 * len(made.tracks)  # too little at first, then OK
    assert set(made.newest) == set(made.tracks)


@pytest.mark.parametrize(
    ("shown", "warned"),
    [
        ((Level.WARNING, Level.WARNING), []),  # still open, nothing new
        ((Level.INSUFFICIENT_DATA, Level.WARNING), ["country=IT"]),
        ((Level.OK, Level.OK), []),  # it had moved with others
    ],
)
def test_an_open_episode_is_taken_up_as_it_was_shown(
    reference: Reference, shown: tuple[Level, Level], warned: list[str]
) -> None:
    values = moved(live(), 2.0, "country=IT")
    made = tracks(reference, ["country"])
    serve(made, reference, values)
    until = CHANGE + 17 * 8
    done = made.judge(until * LENGTH)
    assert made.tracks["country=IT"].past.critical
    left = {
        name: Left(track.length, made._settings[name], [step for own, _, step in done if own == name])
        for name, track in made.tracks.items()
    }
    again = SegmentTracks(reference, ["country"], LENGTH, left, {"country=IT": shown})
    serve(again, reference, values)
    said = judged(again, until + 8)
    assert again.tracks["country=IT"].past.critical
    assert warnings(said) == warned


def test_an_alarm_of_the_whole_counts_for_two_windows(reference: Reference) -> None:
    values = moved(live(), 2.0, "country=IT")
    found: list[Verdict] = []
    for age in (None, 1, 3):
        made = tracks(reference)
        serve(made, reference, values)
        window = made.tracks["country=IT"].length * WINDOW
        made.alarmed([] if age is None else [Alarm(found[0].window.end - age * window)])
        found += [verdict for verdict in judged(made, BLOCKS) if verdict.level is WARNING]
    assert [verdict.segment for verdict in found] == ["country=IT"] * 2
    assert found[0].window == found[1].window
