"""The reference control endpoint: verified, kept, run once, whatever stops in between."""

from __future__ import annotations

import asyncio
import datetime as dt
import io
import json
import shlex
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tenure.errors import SettingError
from tenure_agent.control.endpoint import Endpoint
from tenure_agent.control.webhook import body_of, new_secret, read_secret, signed_headers
from tenure_agent.records import Action, Decision, Trigger, Urgency
from tenure_agent.store.decisions import Letter

SECRET = new_secret()
HOUR = 3_600_000_000
ENDS = {"done", "failed", "kept"}


def python(code: str) -> str:
    return shlex.join([sys.executable, "-c", code])


# Appends the event's action and id to a file, and says what it did.
NOTE = (
    "import json,sys; e=json.load(sys.stdin); open({!r},'a').write(e['data']['action']+'\\n'); print('noted', e['id'])"
)


def letter(hour: int = 1, action: Action = Action.RETRAIN, mode: str = "act") -> Letter:
    made = Decision("fraud", "3", action, Trigger.SCHEDULED, Urgency.ROUTINE, "It is due.", hour * HOUR, mode)
    return Letter(made, "pending", 0, None)


class Control:
    """A running endpoint and a client that signs."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.session, self.url = session, url

    async def post(self, what: Letter, *, secret: str = SECRET, **changes: Any) -> tuple[int, Any]:
        body, content_type = body_of(what)
        now = dt.datetime.now(dt.UTC) + changes.pop("after", dt.timedelta())
        headers = signed_headers(secret, what.decision.id, body, content_type, now)
        return await self.send(changes.pop("body", body), headers | changes.pop("headers", {}))

    async def send(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, Any]:
        async with self.session.post(f"{self.url}/decisions", data=body, headers=dict(headers)) as response:
            return response.status, await response.json()

    async def listed(self) -> list[dict[str, Any]]:
        async with self.session.get(f"{self.url}/decisions") as response:
            found: list[dict[str, Any]] = (await response.json())["decisions"]
            return found

    async def finished(self, states: int = 1) -> list[dict[str, Any]]:
        """All decisions, once so many of them have an end."""
        async with asyncio.timeout(60):
            while sum(one["state"] in ENDS for one in await self.listed()) < states:  # noqa: ASYNC110  # it tells nobody
                await asyncio.sleep(0.005)
        return await self.listed()


@asynccontextmanager
async def serving(journal: Path, commands: Mapping[str, str] | None = None) -> AsyncIterator[Control]:
    endpoint = Endpoint(SECRET, commands or {}, journal)
    runner = web.AppRunner(endpoint.application())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with aiohttp.ClientSession() as session:
        yield Control(session, f"http://127.0.0.1:{runner.addresses[0][1]}")
    await runner.cleanup()


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "decisions.jsonl"


def test_a_decision_runs_its_command_once(journal: Path, tmp_path: Path) -> None:
    notes = tmp_path / "notes"

    async def story() -> None:
        async with serving(journal, {"retrain": python(NOTE.format(str(notes)))}) as control:
            id_ = letter().decision.id
            assert await control.post(letter()) == (202, {"id": id_, "state": "received"})
            [one] = await control.finished()
            assert one == {"id": id_, "state": "done", "action": "retrain", "detail": f"noted {id_}"}
            assert await control.post(letter()) == (202, {"id": id_, "state": "done"})
            assert await control.post(letter(2)) == (202, {"id": letter(2).decision.id, "state": "received"})
            await control.finished(2)

    asyncio.run(story())
    assert notes.read_text() == "retrain\nretrain\n"


def test_sent_twice_at_once_runs_once(journal: Path, tmp_path: Path) -> None:
    notes = tmp_path / "notes"

    async def story() -> None:
        async with serving(journal, {"retrain": python(NOTE.format(str(notes)))}) as control:
            answers = await asyncio.gather(*(control.post(letter()) for _ in range(5)))
            assert {status for status, _ in answers} == {202}
            await control.finished()

    asyncio.run(story())
    assert notes.read_text() == "retrain\n"


@pytest.mark.parametrize(
    "forgery",
    [
        {"secret": new_secret()},
        {"body": b'{"data": {"action": "retrain"}}'},
        {"headers": {"webhook-id": "dec_other"}},
        {"headers": {"webhook-signature": ""}},
        {"headers": {"webhook-signature": "v1,!!!"}},
        {"headers": {"webhook-timestamp": "soon"}},
        {"after": dt.timedelta(hours=-1)},
        {"after": dt.timedelta(hours=1)},
    ],
)
def test_what_does_not_verify_is_refused(journal: Path, forgery: dict[str, Any]) -> None:
    async def story() -> None:
        async with serving(journal) as control:
            assert await control.post(letter(), **forgery) == (401, {"error": "the signature does not verify"})
            assert await control.listed() == []

    asyncio.run(story())
    assert not journal.exists()


def test_unsigned_is_refused(journal: Path) -> None:
    async def story() -> None:
        async with serving(journal) as control:
            status, _ = await control.send(b"\xff\xfe", {})
            assert status == 401

    asyncio.run(story())


@pytest.mark.parametrize("body", [b"[]", b'"text"', b"{}", b'{"data": 3}', b'{"data": {"id": "x"}}'])
def test_signed_but_no_decision(journal: Path, body: bytes) -> None:
    async def story() -> None:
        async with serving(journal) as control:
            headers = signed_headers(SECRET, "dec_1", body, "application/json", dt.datetime.now(dt.UTC))
            assert await control.send(body, headers) == (400, {"error": "not a decision"})

    asyncio.run(story())


@pytest.mark.parametrize("mode", ["advise", "observe"])
def test_advice_is_kept_and_not_run(journal: Path, tmp_path: Path, mode: str) -> None:
    async def story() -> None:
        async with serving(journal, {"retrain": python(NOTE.format(str(tmp_path / "notes")))}) as control:
            _, answer = await control.post(letter(mode=mode))
            assert answer["state"] == "kept"
            _, answer = await control.post(letter(action=Action.INVESTIGATE))  # no command for it
            assert answer["state"] == "kept"

    asyncio.run(story())
    assert not (tmp_path / "notes").exists()


@pytest.mark.parametrize(
    ("command", "detail"),
    [
        (python("import sys; print('no data'); sys.exit(3)"), "no data"),
        ("/there/is/no/such/command", "FileNotFoundError"),
        (python("import os; os.kill(os.getpid(), 9)"), ""),
    ],
    ids=["exits", "absent", "killed"],
)
def test_a_command_that_fails_is_told(journal: Path, command: str, detail: str) -> None:
    async def story() -> None:
        commands = {"retrain": command, "rollback": python("print('after')")}
        async with serving(journal, commands) as control:
            await control.post(letter())
            await control.post(letter(action=Action.ROLLBACK))
            failed, done = await control.finished(2)
            assert failed["state"] == "failed"
            assert detail in failed["detail"]
            assert (done["state"], done["detail"]) == ("done", "after")

    asyncio.run(story())


def test_the_journal_survives_a_restart(journal: Path, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    command = {"retrain": python(NOTE.format(str(notes)))}

    async def story() -> None:
        async with serving(journal, command) as control:
            await control.post(letter())
            await control.finished()
        async with serving(journal, command) as control:
            [one] = await control.listed()
            assert one["state"] == "done"
            assert (await control.post(letter()))[1]["state"] == "done"

    asyncio.run(story())
    assert notes.read_text() == "retrain\n"


@pytest.mark.parametrize("state", ["received", "running"])
def test_what_was_not_done_when_it_stopped_is_run(journal: Path, tmp_path: Path, state: str) -> None:
    event = json.loads(body_of(letter())[0])
    lines = [{"id": "dec_1", "state": "received", "event": event}, {"id": "dec_1", "state": state}]
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines))

    async def story() -> None:
        async with serving(journal, {"retrain": python(NOTE.format(str(tmp_path / "notes")))}) as control:
            [one] = await control.finished()
            assert one["state"] == "done"

    asyncio.run(story())
    assert (tmp_path / "notes").read_text() == "retrain\n"


def test_a_line_cut_off_by_a_crash_is_forgotten_and_comes_again(journal: Path) -> None:
    async def before() -> None:
        async with serving(journal) as control:
            await control.post(letter(1))
            await control.post(letter(2))

    async def after() -> None:
        async with serving(journal) as control:
            assert len(await control.listed()) == 1
            assert (await control.post(letter(2)))[0] == 202
        async with serving(journal) as control:
            assert [one["state"] for one in await control.listed()] == ["kept", "kept"]

    asyncio.run(before())
    whole = journal.read_bytes()
    journal.write_bytes(whole[:-10])
    asyncio.run(after())
    assert journal.read_bytes() == whole


def test_too_large_is_refused(journal: Path) -> None:
    async def story() -> None:
        async with serving(journal) as control:
            large = io.BytesIO(b"x" * (2 << 20))
            async with control.session.post(f"{control.url}/decisions", data=large) as answer:
                assert answer.status == 413

    asyncio.run(story())


def test_secrets_are_read_and_never_shown(tmp_path: Path) -> None:
    path = tmp_path / "control.secret"
    path.write_text(SECRET + "\n")
    assert read_secret(path) == SECRET

    for content in ("", "whsec_", "p\u00e4ssword"):
        path.write_text(content)
        with pytest.raises(SettingError, match=r"control\.secret_file") as refused:
            read_secret(path)
        assert "Try: tenure-agent control secret --out FILE" in str(refused.value)
        assert "ssword" not in str(refused.value)
    with pytest.raises(SettingError, match="No such file"):
        read_secret(tmp_path / "absent")


def test_secrets_are_long_and_new_each_time() -> None:
    assert len({new_secret() for _ in range(20)}) == 20
    assert all(len(new_secret()) >= 50 for _ in range(3))
