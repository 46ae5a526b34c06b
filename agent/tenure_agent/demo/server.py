"""The serving process: a small HTTP server whose predict is watched with one decorator.

It serves the champion, lets a canary answer one flight in ten, and has shadows score the same flights unseen.
`python -m tenure_agent.demo.server FOLDER` prints its port and serves until its standard input closes.
"""

from __future__ import annotations

import asyncio
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from aiohttp import web

import tenure
from tenure_agent.demo.model import Array, LateModel
from tenure_agent.demo.registry import MODEL, Registry

CANARY_SHARE = 10  # per cent
Predict = Callable[[pd.DataFrame], Array]


class Server:
    """Versions by role; each has its predict watched under its own version."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._champion: Predict = self._watched("1", "champion")
        self._canary: Predict | None = None
        self._shadows: list[Predict] = []

    def _watched(self, version: str, role: str) -> Predict:
        monitor = tenure.Monitor(MODEL, version=version)
        model = LateModel.load(self._registry.model_path(version))

        @monitor.watch(id="id", time="scheduled", role=role)
        def predict(flights: pd.DataFrame) -> Array:
            return model.predict(flights)

        return predict

    def application(self) -> web.Application:
        app = web.Application(client_max_size=16 << 20)
        app.add_routes(
            [
                web.post("/predict", self._predict),
                web.post("/outcomes", self._outcomes),
                web.post("/roles", self._roles),
                web.post("/flush", self._flush),
            ]
        )
        return app

    async def _predict(self, request: web.Request) -> web.Response:
        flights = pd.DataFrame(await request.json())
        flights["scheduled"] = pd.to_datetime(flights["scheduled"], unit="us", utc=True)
        for shadow in self._shadows:
            shadow(flights)
        if self._canary is None:
            return web.json_response(self._champion(flights).tolist())
        drawn = np.array([zlib.crc32(id_.encode()) % 100 < CANARY_SHARE for id_ in flights["id"]], bool)
        answers = np.empty(len(flights))
        for predict, mine in ((self._champion, ~drawn), (self._canary, drawn)):
            if mine.any():
                answers[mine] = predict(flights[mine])
        return web.json_response(answers.tolist())

    async def _outcomes(self, request: web.Request) -> web.Response:
        told = await request.json()
        tenure.Monitor(MODEL).outcome(told["ids"], label=told["labels"], time=told["times"])
        return web.Response()

    async def _roles(self, request: web.Request) -> web.Response:
        roles: dict[str, Any] = await request.json()
        self._champion = self._watched(roles["champion"], "champion")
        self._canary = self._watched(roles["canary"], "challenger") if roles["canary"] else None
        self._shadows = [self._watched(version, "shadow") for version in roles["shadows"]]
        return web.Response()

    async def _flush(self, _: web.Request) -> web.Response:
        monitor = tenure.Monitor(MODEL)
        complete = await asyncio.to_thread(monitor.flush, 30.0)
        stats = monitor.stats()
        counts = {
            "emitted": stats.emitted,
            "acked": stats.acked,
            "queued": stats.queued,
            "dropped": dict(stats.dropped),
        }
        return web.json_response({"complete": complete, **counts})


async def serve(folder: Path) -> None:
    """Listen on a free port until standard input closes: the driver's death ends its server."""
    runner = web.AppRunner(Server(Registry(folder)).application(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
