"""The reference control endpoint: takes signed decisions and runs a command for each action.

A decision is verified, written to a journal and synced before it is taken (202); one that comes again is taken and not
run again. Commands run one at a time, the event on standard input. Decisions whose mode is not `act` are only kept.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiohttp import web
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

logger = logging.getLogger(__name__)

RECEIVED, RUNNING, DONE, FAILED, KEPT = "received", "running", "done", "failed", "kept"


class Endpoint:
    """
    Parameters
    ----------
    secret
        Shared with the agent.
    commands
        Action → shell words of the command to run.
    journal
        A file of JSON lines: every decision, and every change of its state.
    """

    def __init__(self, secret: str, commands: Mapping[str, str], journal: Path) -> None:
        self._webhook = Webhook(secret)
        self._commands = {action: shlex.split(command) for action, command in commands.items()}
        self._journal = journal
        self._events: dict[str, dict[str, Any]] = {}
        self._queue: asyncio.Queue[str] = asyncio.Queue()
        for line in _whole_lines(journal):
            entry = json.loads(line)
            self._events.setdefault(entry["id"], {}).update(entry)

    def application(self) -> web.Application:
        app = web.Application(client_max_size=1 << 20)
        app.add_routes(
            [
                web.post("/decisions", self._take),
                web.get("/decisions", self._list),
                web.get("/healthz", _healthy),
            ]
        )
        app.cleanup_ctx.append(self._working)
        return app

    async def _working(self, _: web.Application) -> Any:
        for id_, entry in self._events.items():
            if entry["state"] in {RECEIVED, RUNNING}:  # the endpoint stopped before it was done
                self._queue.put_nowait(id_)
        task = asyncio.create_task(self._work(), name="control-worker")
        yield
        task.cancel()

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        try:
            event = self._webhook.verify(body, dict(request.headers))
        except (WebhookVerificationError, ValueError) as error:
            logger.warning("a request was refused: %(why)s", {"why": type(error).__name__})
            return web.json_response({"error": "the signature does not verify"}, status=401)
        data = event.get("data") if isinstance(event, dict) else None
        if not isinstance(data, dict) or "action" not in data:
            return web.json_response({"error": "not a decision"}, status=400)
        id_ = request.headers["webhook-id"]
        if id_ not in self._events:
            runs = data.get("mode") == "act" and data["action"] in self._commands
            self._note(id_, state=RECEIVED if runs else KEPT, event=event)
            if runs:
                self._queue.put_nowait(id_)
        return web.json_response({"id": id_, "state": self._events[id_]["state"]}, status=202)

    async def _list(self, _: web.Request) -> web.Response:
        listed = [
            {"id": id_, "state": e["state"], "action": e["event"]["data"]["action"], "detail": e.get("detail")}
            for id_, e in self._events.items()
        ]
        return web.json_response({"decisions": listed})

    def _note(self, id_: str, **changes: Any) -> None:
        entry = {"id": id_, **changes}
        with self._journal.open("a") as journal:
            journal.write(json.dumps(entry) + "\n")
            journal.flush()
            os.fsync(journal.fileno())
        self._events.setdefault(id_, {}).update(entry)

    async def _work(self) -> None:
        while True:
            id_ = await self._queue.get()
            event = self._events[id_]["event"]
            self._note(id_, state=RUNNING)
            try:
                command = self._commands[event["data"]["action"]]
                process = await asyncio.create_subprocess_exec(
                    *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
                )
                output, _ = await process.communicate(json.dumps(event).encode())
            except Exception as error:
                logger.exception("the command for %(decision)s could not be run", {"decision": id_})
                self._note(id_, state=FAILED, detail=f"{type(error).__name__}: {error}")
                continue
            detail = output.decode(errors="replace").strip()[-2000:]
            self._note(id_, state=FAILED if process.returncode else DONE, detail=detail)


def _whole_lines(journal: Path) -> list[bytes]:
    """The lines of a journal; one that was cut off when the machine stopped was never answered for, and is removed."""
    if not journal.exists():
        return []
    *lines, cut = journal.read_bytes().split(b"\n")
    if cut:
        os.truncate(journal, journal.stat().st_size - len(cut))
    return lines


async def _healthy(_: web.Request) -> web.Response:
    return web.Response(text="ok\n")
