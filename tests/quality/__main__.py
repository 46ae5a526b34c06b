"""`make quality`: does it cry wolf, and does it see what happened? On real streams, beside the rules others alarm by."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Iterator

import numpy as np
from tests.quality.rules import OURS, PEERS, Judged, judge
from tests.quality.streams import SETS, NoData, Stream, block_null, events, scenario, shuffled

SEEDS, PEER_SEEDS, SHUFFLES = 20, 2, 3
NAMES = (OURS, *PEERS)
missed: list[str] = []


def row(title: str, cells: Iterator[str] | list[str], aim: str = "") -> None:
    print(f"{title:<34}{''.join(f'{cell:>16}' for cell in cells)}   {aim}", flush=True)


def aim(met: bool, text: str) -> str:
    if not met:
        missed.append(text)
    return f"{'ok  ' if met else 'MISS'} {text}"


def given_nulls() -> None:
    for name in ("elec2", "bank", "valencia"):
        judged = judge(scenario(f"blocknull-{name}"), peers=True)
        met = judged.share(OURS) <= 0.01 and judged.episodes(OURS) <= 3
        cells = [f"{judged.share(rule):.1%} / {judged.episodes(rule)}" for rule in NAMES]
        row(f"given block null {name}", cells, aim(met, "≤ 1 % of checks, ≤ 3 episodes"))


def fresh_nulls() -> None:
    in_all = 0
    for name in SETS:
        found = [judge(block_null(name, seed), peers=seed < PEER_SEEDS) for seed in range(SEEDS)]
        in_all += sum(judged.episodes(OURS) for judged in found)
        quiet = statistics.mean(judged.share(OURS) <= 0.01 for judged in found)
        cells = []
        for rule in NAMES:
            those = found if rule == OURS else found[:PEER_SEEDS]
            shares, episodes = [j.share(rule) for j in those], [j.episodes(rule) for j in those]
            cells.append(f"{statistics.mean(shares):.1%} / {statistics.mean(episodes):.2f}")
        met = quiet >= 0.85
        row(f"{SEEDS} fresh block nulls {name}", cells, aim(met, f"≤ 1 % of checks in ≥ 85 % of them ({quiet:.0%})"))
    row("  episodes in all of them", [str(in_all)], aim(in_all <= 3, "≤ 3"))


def in_order() -> None:
    shares: dict[str, list[float]] = {rule: [] for rule in NAMES}
    for name in SETS:
        stream = scenario(f"asis-{name}")
        judged = judge(stream, peers=True)
        for rule in NAMES:
            shares[rule].append(judged.benign_share(rule, stream))
        columns = len(stream.columns)
        row(
            f"as it was: {name}",
            [f"{shares[rule][-1]:.1%} / {judged.episodes(rule)}" for rule in NAMES],
            f"     {judged.blind} of {columns} columns said to be unjudgeable",
        )
    ours = shares[OURS]
    met = statistics.median(ours) <= 0.05 and max(ours) <= 0.2
    cells = [f"{statistics.median(found):.1%} / {max(found):.1%}" for found in shares.values()]
    row("  median / worst benign time alarmed", cells, aim(met, "≤ 5 % median, ≤ 20 % worst"))


def independent() -> None:
    checks, episodes = 0, dict.fromkeys(NAMES, 0)
    for name in SETS:
        for seed in range(SHUFFLES):
            judged = judge(shuffled(name, seed), peers=True)
            checks += len(judged.ends)
            for rule in NAMES:
                episodes[rule] += judged.episodes(rule)
    per = {rule: 10_000 * found / checks for rule, found in episodes.items()}
    met = per[OURS] <= 1
    row(f"shuffled, {checks:,} checks", [f"{value:.1f}" for value in per.values()], aim(met, "≤ 1 episode per 10,000"))


def changes() -> None:
    clean = dict.fromkeys(NAMES, 0)

    def cell(judged: Judged, rule: str, stream: Stream) -> str:
        delay = judged.caught(rule, stream)
        clean[rule] += delay is not None
        return "-" if delay is None else f"{delay} rows"

    for stream in events():
        judged = judge(stream, peers=True)
        row(f"change in {stream.name}", [cell(judged, rule, stream) for rule in NAMES], f"     window {judged.window}")
    row("  seen cleanly, of 5", [str(found) for found in clean.values()], aim(clean[OURS] >= 4, "≥ 4"))


def main() -> int:
    parts: tuple[tuple[str, Callable[[], None]], ...] = (
        ("checks with an alarm on / episodes; nothing changes", given_nulls),
        ("the same, mean of fresh draws (others: of 2)", fresh_nulls),
        ("benign time with an alarm on / episodes of all time", in_order),
        ("episodes per 10,000 checks", independent),
        ("delay of an alarm that was not on before", changes),
    )
    try:
        scenario("blocknull-elec2")
    except NoData as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    with np.errstate(all="ignore"):
        for title, part in parts:
            print(f"\n{title}")
            row("", list(NAMES))
            part()
    print(f"\n{len(missed)} aims missed" if missed else "\nall aims met")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
