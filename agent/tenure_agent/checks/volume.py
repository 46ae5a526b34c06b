"""Do rows come as they usually do? The newest hour, and the day that ends with it, against what is usual then."""

from __future__ import annotations

from tenure_agent.records import Level
from tenure_agent.volume import DAY, LEAST, WEEK, Usual, Volume

CHECK = "volume"
OPEN_AFTER, CLOSE_AFTER = 2, 3  # hours: two of three open an episode, three usual ones in a row close it


def check_volume(
    usual: Volume | None, days: int, hour: int, rows: int, in_day: int, silent: int = 0
) -> tuple[Level, str]:
    """What one hour says by itself, before it must repeat; and why.

    Parameters
    ----------
    usual
        None: not known yet.
    days
        That are known.
    hour
        Of the day.
    rows, in_day
        How many came in that hour, and in the 24 that end with it.
    silent
        Whole days since the last row.
    """
    if usual is None and silent and not days:
        return Level.INSUFFICIENT_DATA, f"no row for {silent} days, and what was usual before is not known"
    if usual is None:
        return (
            Level.INSUFFICIENT_DATA,
            f"{days} days of rows so far, of the {LEAST // DAY} that tell what is usual",
        )
    counted = ((usual.hour, rows), (usual.day, in_day))
    worst, least = max(counted, key=lambda pair: pair[0].score(hour, pair[1]))
    if worst.score(hour, least) >= 1:
        return Level.WARNING, _sentence(worst, hour, least, usual.season)
    if usual.blind:
        return (
            Level.INSUFFICIENT_DATA,
            "rows come so seldom or so irregularly that none at all would be nothing unusual",
        )
    return Level.OK, _sentence(usual.hour, hour, rows, usual.season)


def _sentence(usual: Usual, hour: int, rows: int, season: int) -> str:
    low, high = usual.between(hour)
    if usual.span == 1:
        when = {DAY: "the day", WEEK: "the week"}.get(season, f"its cycle of {season} hours")
        return f"{rows:,} rows in the last hour; at this hour of {when} it is usually {low:,} to {high:,}"
    return f"{rows:,} rows in the last {usual.span} hours; by now it is usually {low:,} to {high:,}"
