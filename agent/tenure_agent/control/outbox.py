"""Delivers decisions at least once, in order of their time, until they are taken or given up in plain sight."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import random
from collections.abc import Callable

import aiohttp

from tenure_agent.control.webhook import body_of, signed_headers
from tenure_agent.metrics import Metrics
from tenure_agent.records import MICROS
from tenure_agent.store import Database, decisions
from tenure_agent.store.database import Cursor
from tenure_agent.store.decisions import Letter

logger = logging.getLogger(__name__)

FIRST_DELAY, MOST_DELAY = 1.0, 600.0
MAX_ATTEMPTS = 150  # about a day
TIMEOUT = aiohttp.ClientTimeout(total=10)


class Outbox:
    """Posts pending decisions to the control endpoint.

    Parameters
    ----------
    url, secret
        Where to post, and what to sign with.
    clock
        Wall time in microseconds since 1970 UTC.
    rng
        Source of the backoff's jitter.
    """

    def __init__(
        self,
        database: Database,
        url: str,
        secret: str,
        metrics: Metrics,
        clock: Callable[[], int],
        rng: random.Random | None = None,
    ) -> None:
        self._database = database
        self._url = url
        self._secret = secret
        self._metrics = metrics
        self._clock = clock
        self._rng = rng or random.Random()  # noqa: S311  # jitter, not a secret
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="outbox")

    def wake(self) -> None:
        """There may be something to post."""
        self._wake.set()

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        async with aiohttp.ClientSession(timeout=TIMEOUT) as session:
            while True:
                self._wake.clear()
                try:
                    for letter in await self._database.async_read(self._due):
                        await self._deliver(session, letter)
                except Exception:
                    logger.exception("the outbox failed; it goes on")
                with_timeout = asyncio.wait_for(self._wake.wait(), FIRST_DELAY)
                try:
                    await with_timeout
                except TimeoutError:
                    continue

    def _due(self, cursor: Cursor) -> list[Letter]:
        return decisions.due(cursor, self._clock(), round(MOST_DELAY * MICROS))

    async def _deliver(self, session: aiohttp.ClientSession, letter: Letter) -> None:
        error, final = await self._post(session, letter)
        attempts = letter.attempts + 1
        now = self._clock()
        state, next_attempt = decisions.DELIVERED, now
        if error is not None:
            dead = final or attempts >= MAX_ATTEMPTS
            state = decisions.DEAD if dead else decisions.PENDING
            delay = self._rng.uniform(0, min(MOST_DELAY, FIRST_DELAY * 2**attempts))
            next_attempt = now + round(delay * MICROS)
            told = {"decision": letter.decision.id, "attempt": attempts, "why": error}
            level = logging.ERROR if dead else logging.WARNING
            logger.log(level, "decision %(decision)s was not taken (attempt %(attempt)d): %(why)s", told)
        self._metrics.deliveries.labels(state).inc()
        await self._database.async_write(
            lambda cursor: decisions.mark(cursor, letter.decision.id, state, attempts, next_attempt, error)
        )
        for of_state, count in (await self._database.async_read(decisions.counts)).items():
            self._metrics.outbox.labels(of_state).set(count)

    async def _post(self, session: aiohttp.ClientSession, letter: Letter) -> tuple[str | None, bool]:
        """What went wrong, if anything, and whether trying again cannot help."""
        body, content_type = body_of(letter)
        headers = signed_headers(self._secret, letter.decision.id, body, content_type, dt.datetime.now(dt.UTC))
        try:
            # A redirect followed would turn the POST into a GET, and count as taken.
            async with session.post(self._url, data=body, headers=headers, allow_redirects=False) as response:
                if response.status < 300:
                    return None, False
                # 410 is Standard Webhooks' word for "never again".
                return f"HTTP {response.status}", response.status == 410
        except (aiohttp.ClientError, TimeoutError) as error:
            return f"{type(error).__name__}: {error}", False
