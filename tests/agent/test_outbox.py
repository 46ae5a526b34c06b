"""Decisions on their way: signed, the same at every attempt, until they are taken or given up in plain sight."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_structured_event
from standardwebhooks.webhooks import Webhook
from tests.agent.receiver import Receiver, listening

from tenure.testing import ManualClock
from tenure_agent.control import outbox as outbox_module
from tenure_agent.control.outbox import Outbox
from tenure_agent.control.webhook import new_secret
from tenure_agent.metrics import Metrics
from tenure_agent.records import Action, Decision, Trigger, Urgency
from tenure_agent.store import Database, decisions
from tenure_agent.store.catalogue import Catalogue
from tenure_agent.store.database import Cursor
from tenure_agent.store.decisions import Letter

SECRET = new_secret()
HOUR = 3_600_000_000


class Most(random.Random):
    """The longest delay every time."""

    def uniform(self, a: float, b: float) -> float:
        return b


class Post:
    """One outbox on one store, with a clock that stands still."""

    def __init__(self, database: Database, metrics: Metrics, url: str) -> None:
        self.database, self.clock = database, ManualClock(100 * HOUR)
        self.outbox = Outbox(database, url, SECRET, metrics, self.clock, Most())

    async def letters(self) -> list[Letter]:
        return await self.database.async_read(decisions.listed)

    async def attempted(self, attempts: int, of: int = 0) -> Letter:
        """The letter, once it was tried so often."""
        async with asyncio.timeout(60):
            while (letter := (await self.letters())[of]).attempts < attempts:  # noqa: ASYNC110  # it tells nobody
                await asyncio.sleep(0.001)
        return letter

    async def later(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.outbox.wake()


@pytest.fixture
def keep(database: Database, catalogue: Catalogue) -> Callable[..., Decision]:
    """Decide something at an hour."""

    def save(hour: int = 1, state: str = decisions.PENDING) -> Decision:
        evidence = {"labels": 10, "note": "naïve 名前"}
        made = Decision(
            "fraud", "3", Action.RETRAIN, Trigger.SCHEDULED, Urgency.ROUTINE, "It is due.", hour * HOUR, "act", evidence
        )

        def work(cursor: Cursor) -> None:
            model = catalogue.model(cursor, "fraud", 1)
            decisions.save(cursor, model.number, catalogue.version(cursor, model, "3", 1), made, HOUR, state)

        database.write(work).result()
        return made

    return save


Story = Callable[[Post, Receiver], Awaitable[None]]


@pytest.fixture
def play(database: Database, metrics: Metrics) -> Callable[[Receiver, Story], None]:
    async def run(receiver: Receiver, story: Story) -> None:
        async with listening(receiver):
            post = Post(database, metrics, receiver.url)
            post.outbox.start()
            await story(post, receiver)
            await post.outbox.stop()

    return lambda receiver, story: asyncio.run(run(receiver, story))


Play = Callable[[Receiver, Story], None]


def test_a_decision_is_a_signed_cloud_event(
    play: Play, keep: Callable[..., Decision], value: Callable[..., float]
) -> None:
    decision = keep()

    async def story(post: Post, receiver: Receiver) -> None:
        letter = await post.attempted(1)
        assert (letter.state, letter.last_error) == ("delivered", None)

        [body], [headers] = receiver.bodies, receiver.headers
        assert receiver.methods == ["POST"]
        assert Webhook(SECRET).verify(body, headers) == json.loads(body)
        assert headers["webhook-id"] == decision.id
        assert headers["content-type"].startswith("application/cloudevents+json")
        event = from_structured_event(HTTPMessage(headers, body))
        assert event.get_specversion() == "1.0"
        assert event.get_id() == decision.id
        assert event.get_type() == "dev.tenure.decision.retrain"
        assert event.get_source() == "tenure-agent/fraud"
        assert event.get_subject() == "fraud/3"
        data = event.get_data()
        assert isinstance(data, dict)
        assert data["reason"] == "It is due."
        assert data["evidence"] == {"labels": 10, "note": "naïve 名前"}
        assert (data["event_time"], data["mode"]) == ("1970-01-01T01:00:00Z", "act")

    play(Receiver(), story)
    assert value("deliveries_total", result="delivered") == 1


def test_a_body_that_was_changed_does_not_verify(play: Play, keep: Callable[..., Decision]) -> None:
    keep()

    async def story(post: Post, receiver: Receiver) -> None:
        await post.attempted(1)
        changed = receiver.bodies[0].replace(b"retrain", b"retires")
        for secret, body in ((SECRET, changed), (new_secret(), receiver.bodies[0])):
            with pytest.raises(Exception, match="signature"):
                Webhook(secret).verify(body, receiver.headers[0])

    play(Receiver(), story)


def test_tried_again_later_with_the_same_body_and_id(play: Play, keep: Callable[..., Decision]) -> None:
    decision = keep()

    async def story(post: Post, receiver: Receiver) -> None:
        letter = await post.attempted(1)
        assert (letter.state, letter.last_error) == ("pending", "HTTP 500")
        await post.later(1.9)  # the first delay is at most two seconds
        await asyncio.sleep(0)
        await post.later(0.2)
        assert (await post.attempted(2)).last_error == "HTTP 503"
        await post.later(4)
        letter = await post.attempted(3)
        assert (letter.state, letter.last_error) == ("delivered", None)
        await post.later(3600)
        await post.database.async_read(decisions.listed)
        assert len(receiver.bodies) == 3
        assert len(set(receiver.bodies)) == 1
        assert {headers["webhook-id"] for headers in receiver.headers} == {decision.id}
        for headers in receiver.headers:
            assert Webhook(SECRET).verify(receiver.bodies[0], headers)

    play(Receiver([500, 503]), story)


def test_gone_is_never_again(play: Play, keep: Callable[..., Decision], value: Callable[..., float]) -> None:
    keep()

    async def story(post: Post, receiver: Receiver) -> None:
        letter = await post.attempted(1)
        assert (letter.state, letter.last_error) == ("dead", "HTTP 410")
        counts = await post.database.async_read(decisions.counts)
        assert counts["dead"] == 1
        assert counts["pending"] == 0
        while not value("outbox_decisions", state="dead"):  # noqa: ASYNC110  # shown once it is kept, and tells nobody
            await asyncio.sleep(0)

    play(Receiver([410]), story)
    assert value("deliveries_total", result="dead") == value("outbox_decisions", state="dead") == 1


def test_given_up_after_many_attempts(
    play: Play, keep: Callable[..., Decision], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "MAX_ATTEMPTS", 3)
    keep()

    async def story(post: Post, receiver: Receiver) -> None:
        for attempt in (1, 2, 3):
            letter = await post.attempted(attempt)
            assert letter.state == ("dead" if attempt == 3 else "pending")
            await post.later(3600)

    play(Receiver([400, 401, 500]), story)


def test_delays_double_up_to_ten_minutes(play: Play, keep: Callable[..., Decision]) -> None:
    keep()

    async def story(post: Post, receiver: Receiver) -> None:
        for attempt, delay in enumerate((2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600), 1):
            letter = await post.attempted(attempt)
            now = post.clock()
            assert letter.state == "pending"
            for seconds, due in ((delay - 1, 0), (delay, 1)):
                at = now + round(seconds * 1e6)
                found = await post.database.async_read(lambda c, at=at: decisions.due(c, at, 10**15))  # type: ignore[misc]
                assert len(found) == due
            await post.later(delay)

    play(Receiver([500] * 11), story)


@pytest.mark.parametrize("status", [302, 307])
def test_a_redirect_is_not_followed(play: Play, keep: Callable[..., Decision], status: int) -> None:
    keep()

    async def story(post: Post, receiver: Receiver) -> None:
        letter = await post.attempted(1)
        assert (letter.state, letter.last_error) == ("pending", f"HTTP {status}")
        assert receiver.methods == ["POST"]

    play(Receiver([status]), story)


def test_an_endpoint_that_is_away_is_tried_again(
    database: Database, metrics: Metrics, keep: Callable[..., Decision]
) -> None:
    keep()

    async def run() -> None:
        receiver = Receiver()
        async with listening(receiver):
            pass  # nobody listens on this port any more
        post = Post(database, metrics, receiver.url)
        post.outbox.start()
        letter = await post.attempted(1)
        assert letter.state == "pending"
        assert "ClientConnectorError" in str(letter.last_error)
        assert SECRET not in str(letter.last_error)
        await post.outbox.stop()

    asyncio.run(run())


def test_pending_survives_a_restart_and_the_rest_is_left_alone(play: Play, keep: Callable[..., Decision]) -> None:
    for hour, state in ((3, decisions.PENDING), (1, decisions.PENDING), (2, decisions.RECORDED), (4, decisions.DEAD)):
        keep(hour, state)

    async def story(post: Post, receiver: Receiver) -> None:
        await post.attempted(1, of=2)
        times = [json.loads(body)["data"]["event_time"] for body in receiver.bodies]
        assert times == ["1970-01-01T01:00:00Z", "1970-01-01T03:00:00Z"]  # oldest first
        states = [letter.state for letter in await post.letters()]
        assert states == ["delivered", "recorded", "delivered", "dead"]

    play(Receiver(), story)


def test_one_that_is_not_taken_does_not_hold_up_the_next(play: Play, keep: Callable[..., Decision]) -> None:
    keep(1)

    async def story(post: Post, receiver: Receiver) -> None:
        await post.attempted(1)
        await asyncio.to_thread(keep, 2)
        post.outbox.wake()
        await post.attempted(1, of=1)
        assert [letter.state for letter in await post.letters()] == ["pending", "delivered"]

    play(Receiver([500]), story)
