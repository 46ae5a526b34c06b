"""Reports on one stream: several wait for a commit at a time, and are stored and answered in the order they came."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from tenure_agent.ingest import Ingest, Lane
from tenure_proto.v1 import monitoring_pb2 as pb

ON_THE_WAY = 256  # reports of one stream


async def stored(ingest: Ingest, requests: AsyncIterator[pb.ReportRequest]) -> AsyncGenerator[pb.ReportReply, None]:
    """Store reports; their replies, until the first that fails: what came after it is not stored.

    Raises
    ------
    Busy, StoreFull
        As `Ingest.report` does.
    """
    lane, room = Lane(), asyncio.Semaphore(ON_THE_WAY)
    replies: asyncio.Queue[asyncio.Future[pb.ReportReply] | None] = asyncio.Queue()
    handed: deque[asyncio.Future[pb.ReportReply]] = deque()

    async def take() -> None:
        try:
            async for request in requests:
                await room.acquire()
                await ingest.room()
                handed.append(ingest.submit(request, lane))
                replies.put_nowait(handed[-1])
        finally:
            replies.put_nowait(None)

    taking = asyncio.create_task(take(), name="stream")
    try:
        while (reply := await replies.get()) is not None:
            yield await reply
            handed.popleft()
            room.release()
        await taking
    finally:
        unanswered: list[asyncio.Future[Any]] = [taking, *handed]
        for left in unanswered:
            left.add_done_callback(_seen)
            left.cancel()


def _seen(future: asyncio.Future[Any]) -> None:
    """Nobody waits for it any more, and asyncio need not complain of that."""
    if not future.cancelled():
        future.exception()
