"""Agents forked from one process that has imported everything: a start costs 0.2 s, and a fault can be armed in it.

Orders come as JSON lines: ``{"config": path, "fault": …}`` starts an agent and answers with its process id;
``{"wait": pid}`` answers with its exit code. A fault is a point of ours, or a call of DuckDB's on a file:

- ``{"point": "begun" | "before commit" | "after commit" | "in checkpoint", "nth": 3}`` ends the agent there by SIGKILL.
- ``{"calls": "fdatasync pwrite", "file": ".wal", "outcome": 5, "nth": 0, "when": "report" | "checkpoint"}`` lets one call
  fail with an errno, or ends the agent there (-1), or in the middle of what it writes (-2, after the first page -3, before the last -4), counted from the second
  report, or from the start of a checkpoint. Needs the shim.

SIGUSR1 has an agent checkpoint, and touch ``checkpointed`` beside its configuration. ``{"clock": path}`` gives it a clock that is off by the seconds in that file.
"""

from __future__ import annotations

import asyncio
import ctypes
import datetime as dt
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from apscheduler.schedulers import base as apscheduler

from tenure_agent import daemon, log, scheduler
from tenure_agent.admission import Admission
from tenure_agent.config import load_config
from tenure_agent.store import Database
from tenure_agent.store.room import Room


def main() -> None:
    children: set[int] = set()
    for line in sys.stdin:
        order = json.loads(line)
        if "wait" in order:
            _, status = os.waitpid(order["wait"], 0)
            children.discard(order["wait"])
            print(os.waitstatus_to_exitcode(status), flush=True)
            continue
        child = os.fork()
        if not child:
            os.close(0)
            _serve(order)
        children.add(child)
        print(child, flush=True)
    for child in children:  # whoever gave the orders is gone
        os.kill(child, signal.SIGKILL)


def _serve(order: Mapping[str, Any]) -> None:
    try:
        log.configure("console", "error")
        clock = _clock(Path(order["clock"])) if "clock" in order else daemon.wall_clock
        agent = daemon.Agent(load_config(Path(order["config"])), clock)
        fault = order.get("fault")
        if fault is not None:
            _arm_point(fault["point"], fault["nth"]) if "point" in fault else _arm_call(fault)
        asyncio.run(_run(agent, Path(order["config"]).with_name("checkpointed")))
    except BaseException:  # noqa: BLE001  # nothing of the nursery's runs on in the child
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


async def _run(agent: daemon.Agent, told: Path) -> None:
    def checkpoint() -> None:
        agent._database.checkpoint().add_done_callback(lambda _: told.touch())

    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, checkpoint)
    await agent.run()


def _killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


def _arm_point(point: str, nth: int) -> None:
    left = nth

    def now_is_it() -> bool:
        nonlocal left
        left -= 1
        return left < 0

    if point == "in checkpoint":
        _before(Database, "_checkpoint", lambda: threading.Timer(nth / 1000, _killed).start())
        return
    store, wrote = Admission.store, Room.wrote
    due = False

    def stored(*args: Any) -> Any:
        nonlocal due
        due = now_is_it()
        if due and point == "begun":
            _killed()
        done = store(*args)
        if due and point == "before commit":
            _killed()
        return done

    def wrote_then(*args: Any) -> None:
        if due and point == "after commit":
            _killed()
        wrote(*args)

    setattr(Admission, "store", stored)  # noqa: B010
    setattr(Room, "wrote", wrote_then)  # noqa: B010


def _arm_call(fault: Mapping[str, Any]) -> None:
    shim = ctypes.CDLL(None)
    count = 0

    def arm() -> None:
        nonlocal count
        count += 1
        if count == (2 if fault["when"] == "report" else 1):
            shim.fault_arm(
                fault["calls"].encode(), fault["file"].encode(), ctypes.c_long(fault["nth"]), fault["outcome"]
            )

    if fault["when"] == "report":
        _before(Admission, "store", arm)
    else:
        _before(Database, "_checkpoint", arm)


def _before(kind: type, name: str, call: Callable[[], object]) -> None:
    real = getattr(kind, name)

    def both(*args: Any) -> Any:
        call()
        return real(*args)

    setattr(kind, name, both)


def _clock(file: Path) -> Callable[[], int]:
    """The wall clock, also of APScheduler."""

    class Moment(dt.datetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> Moment:
            return cls.fromtimestamp(time.time() + float(file.read_text()), tz)

    apscheduler.datetime = Moment
    scheduler.LOOK = 0.05
    return lambda: round((time.time() + float(file.read_text())) * 1e6)


if __name__ == "__main__":
    main()
