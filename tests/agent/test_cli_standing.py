"""`tenure-agent status` for people: of many segments, those that have something to say."""

from __future__ import annotations

from typing import Any

import pytest

from tenure_agent.cli.standing import print_standing


def verdict(segment: str, level: str) -> dict[str, Any]:
    said = {"model": "fraud", "version": "3", "check": "drift", "segment": segment, "level": level}
    return said | {"time": "2024-01-01T00:00:00Z", "reason": f"because of {segment or 'all'}"}


def test_quiet_segments_are_counted_and_others_told(capsys: pytest.CaptureFixture[str]) -> None:
    levels = {
        "": "OK",
        "country=DE": "OK",
        "country=[red]": "WARNING",
        "country=FR": "OK",
        "plan=free": "INSUFFICIENT_DATA",
        "device": "INSUFFICIENT_DATA",
        "plan=paid": "ERROR",
    }
    print_standing(
        {
            "agent": "1",
            "addresses": {},
            "event_time": None,
            "models": {},
            "outbox": {},
            "archive": None,
            "stored": 0,
            "dropped": {},
            "lost_after_ack": 0,
            "verdicts": [verdict(segment, level) for segment, level in levels.items()],
        }
    )
    shown = capsys.readouterr().out
    told = [segment for segment in levels if f"because of {segment or 'all'}" in shown]
    assert told == ["", "country=[red]", "device", "plan=paid"]
    assert "WARNING fraud 3 drift country=[red], 2024-01-01T00:00:00Z" in shown
    assert "2 segments OK fraud 3 drift" in shown
    assert "1 segments INSUFFICIENT_DATA fraud 3 drift" in shown
