"""Who may use the gRPC port: what the files must hold, and what a caller without a credential can do: nothing."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any, cast

import grpc
import pytest

from tenure.errors import SettingError
from tenure_agent.access import Guard, Renewed, file_faults, open_access, read_certificates, read_token
from tenure_agent.config import AccessConfig
from tenure_agent.ingest import Ingest
from tenure_agent.service import GrpcPort, Offered
from tenure_proto.v1 import monitoring_pb2 as pb
from tenure_proto.v1 import monitoring_pb2_grpc as wire

TOKEN, OTHER = "a-token-of-thirty-two-characters", "b-token-of-thirty-two-characters"


def put(path: Path, text: str) -> Path:
    """Write a file as secrets are renewed: another takes its place."""
    new = path.with_name("new")
    new.write_text(text)
    return new.replace(path)


@pytest.mark.parametrize("text", [TOKEN, f"{TOKEN}\n", f"  {TOKEN}\r\n"])
def test_a_token_is_what_its_file_says_without_the_space_around_it(tmp_path: Path, text: str) -> None:
    assert read_token(put(tmp_path / "token", text)) == read_token(put(tmp_path / "other", TOKEN))
    assert TOKEN not in repr(vars(Guard(tmp_path / "token", print)))


@pytest.mark.parametrize(
    "text", ["", "\n", "short", "two words of a token", f"{TOKEN}\n{OTHER}", "töken" * 5, "\0" * 20]
)
def test_no_token(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingError, match=r"^access\.token_file: .*Try: at least 16 printable characters") as refused:
        read_token(put(tmp_path / "token", text))
    said = str(refused.value).replace(str(tmp_path), "")
    assert not text.strip() or text.strip() not in said


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    absent = tmp_path / "absent"
    for read in (lambda: read_token(absent), lambda: read_certificates(absent, absent, None)):
        with pytest.raises(SettingError, match=r"absent \(No such file or directory\)' cannot be used. Try: "):
            read()


@pytest.mark.parametrize(
    ("cert", "key", "client_ca", "field"),
    [
        ("server.pem", "client.key", None, "access.cert_file"),
        ("server.key", "server.pem", None, "access.cert_file"),
        ("server.pem", "locked.key", None, "access.cert_file"),
        ("junk", "server.key", None, "access.cert_file"),
        ("server.pem", "server.key", "junk", "access.client_ca_file"),
        ("server.pem", "server.key", "server.key", "access.client_ca_file"),
        ("server.pem", "server.key", "absent", "access.client_ca_file"),
    ],
)
def test_certificates_that_cannot_be_used(
    certificates: Path, cert: str, key: str, client_ca: str | None, field: str
) -> None:
    (certificates / "junk").write_text("-----BEGIN CERTIFICATE-----\nnone\n")
    command = ["openssl", "ec", "-in", "server.key", "-aes256", "-passout", "pass:s3cret", "-out", "locked.key"]
    subprocess.run(command, cwd=certificates, check=True, capture_output=True)
    with pytest.raises(SettingError) as refused:
        read_certificates(certificates / cert, certificates / key, certificates / client_ca if client_ca else None)
    assert refused.value.field == field
    assert "BEGIN" not in str(refused.value)


def test_faults_of_files_are_told_at_once(tmp_path: Path, certificates: Path) -> None:
    token, cert, key = put(tmp_path / "token", TOKEN), certificates / "server.pem", certificates / "server.key"
    good = AccessConfig(token_file=token, cert_file=cert, key_file=key, client_ca_file=certificates / "ca.pem")
    bad = AccessConfig(token_file=tmp_path, cert_file=cert, key_file=certificates / "client.key")
    assert file_faults(AccessConfig()) == file_faults(good) == []
    assert [fault.field for fault in file_faults(bad)] == ["access.token_file", "access.cert_file"]


def test_a_file_is_read_again_when_it_changes_and_what_is_at_fault_is_not_taken(tmp_path: Path) -> None:
    path = put(tmp_path / "token", TOKEN)
    reads = []

    def read() -> bytes:
        reads.append(1)
        return read_token(path)

    renewed = Renewed([path], read)
    first = renewed.newest()
    assert (renewed.newest(), len(reads)) == (first, 1)
    put(path, "short")
    assert (renewed.newest(), renewed.newest(), len(reads)) == (first, first, 2)
    path.unlink()
    assert (renewed.newest(), renewed.newest(), len(reads)) == (first, first, 3)
    put(path, OTHER)
    assert renewed.newest() == read_token(path) != first


async def answered(channel: grpc.aio.Channel, metadata: tuple[tuple[str, str], ...]) -> bool:
    """Whether an agent lets calls in; else none of any kind. A stream is refused before it has said anything."""
    operator, monitoring = wire.OperatorStub(channel), wire.MonitoringStub(channel)
    nothing: grpc.aio.UnaryUnaryMultiCallable[Any, Any] = channel.unary_unary("/no.such/Method")

    async def silent() -> AsyncIterator[pb.ReportRequest]:
        await asyncio.Event().wait()
        yield pb.ReportRequest()

    async def code(call: Awaitable[Any]) -> grpc.StatusCode:
        try:
            await call
        except grpc.aio.AioRpcError as error:
            return error.code()
        return grpc.StatusCode.OK

    asked = await code(operator.Ask(pb.AskRequest(verb="echo"), metadata=metadata, timeout=60))
    if asked is grpc.StatusCode.OK:
        return True
    stream = monitoring.StreamReports(silent(), metadata=metadata, timeout=60)
    others = [await code(stream.read()), await code(nothing(b"", metadata=metadata, timeout=60))]
    assert [asked, *others] == [grpc.StatusCode.UNAUTHENTICATED] * 3
    assert await stream.details() == "a valid token is needed"
    return False


async def echo(_: Any) -> Any:
    return "said"


def test_only_who_shows_the_token_is_answered(tmp_path: Path) -> None:
    path = put(tmp_path / "token", TOKEN)
    turned_away: list[None] = []
    access = open_access(AccessConfig(token_file=path), lambda: turned_away.append(None))

    async def story() -> None:
        port = GrpcPort(cast("Ingest", None), {"echo": echo}, cast("Offered", None), access)
        await port.start(f"unix:{tmp_path}/agent.sock")
        async with asyncio.timeout(60), grpc.aio.insecure_channel(port.address) as channel:

            async def shown(*values: str) -> bool:
                return await answered(channel, tuple(("authorization", value) for value in values))

            for values in ((), (TOKEN,), ("Bearer",), (f"Bearer {TOKEN}x",), (f"Basic {TOKEN}",), (f"Bearer {OTHER}",)):
                assert not await shown(*values), values
            assert not await shown(f"Bearer {TOKEN}", f"Bearer {OTHER}")
            assert len(turned_away) == 7 * 3
            assert await shown(f"Bearer {TOKEN}")
            assert await shown(f"bearer {TOKEN}")

            put(path, OTHER)
            assert not await shown(f"Bearer {TOKEN}")
            assert await shown(f"Bearer {OTHER}")
        await port.stop(0)

    asyncio.run(story())


@pytest.mark.parametrize(("mode", "directory"), [("0600", 0o700), ("0660", 0o710), ("0666", 0o711)])
def test_the_socket_is_for_whom_the_mode_says(tmp_path: Path, mode: str, directory: int) -> None:
    path = tmp_path / "run" / "agent.sock"
    access = open_access(AccessConfig.model_validate({"socket_mode": mode}), print)
    modes: list[int] = []

    async def story() -> None:
        port = GrpcPort(cast("Ingest", None), {}, cast("Offered", None), access)
        await port.start(f"unix:{path}")
        modes.extend(found.stat().st_mode & 0o777 for found in (path, path.parent))
        await port.stop(0)

    mask = os.umask(0o077)
    try:
        asyncio.run(story())
        assert os.umask(0o077) == 0o077
    finally:
        os.umask(mask)
    assert modes == [int(mode, 8), directory]


def test_a_directory_where_everybody_may_write_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def story(folder: Path) -> None:
        port = GrpcPort(cast("Ingest", None), {}, cast("Offered", None))
        await port.start(f"unix:{folder}/agent.sock")
        await port.stop(0)

    for mode, warned in ((0o700, 0), (0o1777, 0), (0o777, 1)):
        caplog.clear()
        tmp_path.chmod(mode)
        asyncio.run(story(tmp_path))
        assert len(caplog.records) == warned
        assert tmp_path.stat().st_mode & 0o7777 == mode
