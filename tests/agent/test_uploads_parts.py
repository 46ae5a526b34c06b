"""Offers of one file as several processes make them: its parts, what is shared, what is refused, and what bounds it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from tests.agent.shipped import hashed

from tenure.offers import MOST_BYTES
from tenure.testing import ManualClock
from tenure_agent import uploads as uploads_module
from tenure_agent.config import parse_config
from tenure_agent.ingest import Busy, Ingest
from tenure_agent.metrics import Metrics
from tenure_agent.reference import Reference
from tenure_agent.review import Reviewer
from tenure_agent.store import Database, references
from tenure_agent.store.catalogue import Catalogue
from tenure_agent.store.database import Cursor
from tenure_agent.uploads import Uploads
from tenure_proto.v1 import monitoring_pb2 as pb

DEADLINE = 60.0
Offer = Callable[..., Awaitable[pb.ReferenceReply]]
Story = Callable[[Uploads, Offer], Awaitable[None]]


@pytest.fixture
def play(database: Database, catalogue: Catalogue, metrics: Metrics, file: Path) -> Callable[[Story], None]:
    """Tell a story of offers of one file, as several processes make them."""
    content = file.read_bytes()
    digest = sha256(content).digest()

    async def run(story: Story) -> None:
        async def committed(_: int, __: int) -> None:
            raise AssertionError("no report comes")

        config = parse_config({}, "a test")
        clock = ManualClock(10**15)
        ingest = Ingest(database, catalogue, metrics, clock, committed)
        reviewer = Reviewer(database, catalogue, config, metrics, clock)
        uploads = Uploads(database, catalogue, ingest, reviewer, config, metrics, clock)

        async def offer(start: int = 0, end: int = 0, **changes: Any) -> pb.ReferenceReply:
            made = pb.ReferenceOffer(model="fraud", version="1", sha256=digest, size=len(content), offset=start)
            made.content = content[start:end]
            for name, value in changes.items():
                setattr(made, name, value)
            return await uploads.offer(made)

        async with asyncio.timeout(DEADLINE):
            await story(uploads, offer)
            await uploads.stop()

    return lambda story: asyncio.run(run(story))


async def until_taken(offer: Offer) -> None:
    while not (reply := await offer()).taken:
        assert not reply.refused, reply.why


def test_processes_that_send_the_same_file_share_the_work(
    play: Callable[[Story], None], file: Path, value: Callable[..., float]
) -> None:
    size = file.stat().st_size

    async def story(_: Uploads, offer: Offer) -> None:
        assert (await offer()).wanted == 0
        assert (await offer(0, 100)).wanted == 100
        assert (await offer(0, 50)).wanted == 100, "another was faster"
        assert (await offer(200, 300)).wanted == 100, "what comes before is missing"
        assert (await offer()).wanted == 100
        await asyncio.gather(*(offer(100, size) for _ in range(5)))
        await until_taken(offer)

    play(story)
    assert value("reference_uploads_total", model="fraud", result="taken") == 1


def test_two_files_of_one_size_are_two(play: Callable[[Story], None]) -> None:
    async def story(_: Uploads, offer: Offer) -> None:
        assert (await offer(0, 100)).wanted == 100
        assert (await offer(sha256=bytes(32))).wanted == 0
        assert (await offer(version="2")).wanted == 0

    play(story)


def test_bytes_that_are_not_those_offered_may_be_sent_anew(play: Callable[[Story], None], file: Path) -> None:
    size = file.stat().st_size

    async def story(_: Uploads, offer: Offer) -> None:
        assert (await offer(0, 0, content=bytes(size))).refused == "damaged"
        await offer(0, size)
        await until_taken(offer)

    play(story)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"size": MOST_BYTES + 1}, "too_large"),
        ({"size": 1 << 63}, "too_large"),
        ({"size": 0}, "malformed"),
        ({"sha256": b"short"}, "malformed"),
        ({"model": ""}, "bad_model_name"),
        ({"model": "x" * 257}, "bad_model_name"),
        ({"version": ""}, "bad_version_name"),
        ({"version": "x" * 100_000}, "bad_version_name"),
    ],
)
def test_what_can_be_no_offer_is_refused_unread(
    play: Callable[[Story], None], changes: dict[str, Any], reason: str, catalogue: Catalogue
) -> None:
    async def story(uploads: Uploads, offer: Offer) -> None:
        assert (await offer(0, 100, **changes)).refused == reason
        assert not uploads._parts

    play(story)
    assert not catalogue.models


def test_limits_on_names_are_those_of_reports(
    play: Callable[[Story], None], file: Path, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = file.stat().st_size
    monkeypatch.setattr("tenure_agent.store.catalogue.MAX_VERSIONS", 1)

    async def story(_: Uploads, offer: Offer) -> None:
        await offer(0, size)
        await until_taken(offer)
        refused = await offer(0, size, version="2")
        while not refused.refused:
            refused = await offer(0, size, version="2")
        assert refused.refused == "too_many_versions"
        assert list(catalogue.models["fraud"].versions) == ["1"]

    play(story)


def test_room_for_what_is_on_its_way_is_bounded(
    play: Callable[[Story], None], file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = file.stat().st_size
    monkeypatch.setattr(uploads_module, "ROOM", size)

    async def story(uploads: Uploads, offer: Offer) -> None:
        assert (await offer(0, size - 1)).wanted == size - 1
        with pytest.raises(Busy):
            await offer(0, 100, version="2")
        monkeypatch.setattr(uploads_module, "IDLE", -1.0)
        assert (await offer(0, 100, version="2")).wanted == 100
        assert (await offer()).wanted == 0, "it was left alone, and made room"
        assert sum(len(part.content) for part in uploads._parts.values()) == 100

    play(story)


def test_what_could_not_be_stored_is_told_as_such_and_offered_again(
    play: Callable[[Story], None], file: Path, database: Database, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = file.stat().st_size

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("on purpose")

    async def story(uploads: Uploads, offer: Offer) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(references, "save", fail)
            await asyncio.gather(offer(0, size), return_exceptions=True)
            while uploads._taking:  # noqa: ASYNC110  # it may still be looked at
                await asyncio.sleep(0.01)
        assert not catalogue.models, "what was named in that transaction is not known"
        assert (await offer()).wanted == 0
        await offer(0, size)
        await until_taken(offer)

    play(story)
    assert database.read(lambda cursor: references.uploaded(cursor, 1, 1)).result() == hashed(file)


def test_losses_learnt_meanwhile_keep_it_uploaded(database: Database, file: Path) -> None:
    def work(cursor: Cursor) -> tuple[Reference | None, str]:
        references.save(cursor, 1, 1, Reference.load(file), 5, uploaded="5a")
        references.amend(cursor, 1, 1, replace(Reference.load(file), source="learnt").dumps())
        return references.newest(cursor, 1, 1), references.uploaded(cursor, 1, 1)

    found, uploaded = database.write(work).result()
    assert found is not None
    assert (found.source, uploaded) == ("learnt", "5a")
