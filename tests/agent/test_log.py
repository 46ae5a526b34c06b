"""The log: one event a line, ids and counts, and never what a row holds."""

from __future__ import annotations

import ast
import asyncio
import json
import logging
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import tenure_agent
from tenure.errors import TenureError
from tenure_agent import log

VALUE = "a feature's value"
SOURCES = sorted(Path(tenure_agent.__file__).parent.rglob("*.py"))
LEVELS = {"debug", "info", "warning", "error", "critical", "exception", "log"}


def fail(error: Exception, cause: Exception | None) -> None:
    raise error from cause


def fail_with(error: Exception, cause: Exception | None = None) -> logging.LogRecord:
    """The record of a failure, as `logger.exception` makes it."""
    try:
        fail(error, cause)
    except Exception:  # noqa: BLE001
        return record("the check of %(model)s failed", {"model": "fraud"}, exc_info=sys.exc_info())
    raise AssertionError("it always fails")


def record(message: str, fields: dict[str, Any] | None = None, exc_info: Any = None) -> logging.LogRecord:
    return logging.LogRecord("tenure_agent.x", logging.ERROR, "x.py", 1, message, (fields,) if fields else (), exc_info)


def both(made: logging.LogRecord) -> Iterator[str]:
    yield log.Console().format(made)
    yield log.JsonLines().format(made)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError(VALUE), "ValueError"),
        (KeyError(VALUE), "KeyError"),
        (ExceptionGroup(VALUE, [ValueError(VALUE)]), "ExceptionGroup"),
        (OSError(28, "No space left on device", VALUE), "OSError: No space left on device"),
        (OSError(VALUE), "OSError"),
        (TenureError("model: 'x' is unknown"), "TenureError: model: 'x' is unknown"),
    ],
)
def test_an_error_is_told_without_what_it_quotes(error: Exception, told: str) -> None:
    console, line = both(fail_with(error))
    assert VALUE not in console + line
    entry = json.loads(line)
    assert entry["error"] == told
    assert f"\n  {told}\n" in console
    assert all(re.fullmatch(r".+\.py:\d+ in fail(_with)?", at) for at in entry["at"])


def test_a_cause_is_told_in_the_same_way() -> None:
    made = fail_with(TenureError("the reference cannot be used"), ValueError(VALUE))
    for text in both(made):
        assert VALUE not in text
        assert "TenureError: the reference cannot be used; after ValueError" in text


def test_json_lines_carry_their_fields() -> None:
    entry = json.loads(
        log.JsonLines().format(record("%(reports)d reports of %(model)s", {"reports": 3, "model": "a\nb"}))
    )
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", entry.pop("time"))
    assert entry == {
        "level": "error",
        "logger": "tenure_agent.x",
        "message": "3 reports of a\nb",
        "reports": 3,
        "model": "a\nb",
    }


@pytest.mark.parametrize("name", ["a\nERROR forged", "\x1b[31mred", "\r", "\u202e", "\ud800"])
def test_a_name_neither_ends_a_line_nor_steers_a_terminal(name: str) -> None:
    for text in both(record("model %(model)s", {"model": name})):
        assert text.isprintable()
        assert text.isascii()


@pytest.mark.parametrize("style", ["console", "json"])
def test_whatever_is_logged_goes_to_standard_error(
    style: Any, capsys: pytest.CaptureFixture[str], root: Callable[[], None]
) -> None:
    log.configure(style, "warning")
    logging.getLogger("another.library").info("not shown")
    logging.getLogger("another.library").warning("shown %s", "once")
    out, err = capsys.readouterr()
    assert out == ""
    [line] = err.splitlines()
    assert "shown once" in line
    assert line.startswith("{") == (style == "json")


def test_what_nobody_awaits_is_told_without_its_value(capsys: pytest.CaptureFixture[str], root: None) -> None:
    log.configure("console", "info")

    async def story() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(log.loop_failed)
        future: asyncio.Future[None] = loop.create_future()
        future.set_exception(ValueError(VALUE))
        del future
        await asyncio.sleep(0)

    asyncio.run(story())
    err = capsys.readouterr().err
    assert "Future exception was never retrieved" in err
    assert "ValueError" in err
    assert VALUE not in err


@pytest.fixture
def root() -> Iterator[None]:
    """The root logger as it was."""
    logger = logging.getLogger()
    before, level = logger.handlers[:], logger.level
    logger.handlers = []
    yield
    logger.handlers = before
    logger.setLevel(level)


def calls(path: Path) -> Iterator[ast.Call]:
    """Calls of a module's logger."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            called = node.func
            if isinstance(called, ast.Attribute) and called.attr in LEVELS and ast.unparse(called.value) == "logger":
                yield node


def test_every_line_of_ours_carries_known_fields_only() -> None:
    found = 0
    for path in SOURCES:
        for call in calls(path):
            place = f"{path.name}:{call.lineno}"
            template, *given = call.args[1:] if ast.unparse(call.func) == "logger.log" else call.args
            assert isinstance(template, ast.Constant), f"{place}: not a fixed text"
            named = set(re.findall(r"%\((\w+)\)", str(template.value)))
            assert str(template.value).count("%") == len(re.findall(r"%\(\w+\)[sd]", str(template.value))), place
            assert named <= log.FIELDS, f"{place}: {named - log.FIELDS} is not in log.FIELDS"
            assert len(given) == bool(named), place
            found += 1
    assert found > 10
