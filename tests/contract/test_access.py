"""A monitor, the command line and a real agent that asks who they are."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from click.testing import CliRunner, Result

from tenure import Monitor, Settings, Stats, TransportError
from tenure.transport import GrpcTransport
from tenure_agent.cli import main
from tenure_proto.v1 import monitoring_pb2 as pb

DEADLINE = 60.0
TOKEN, OTHER = "a-token-of-thirty-two-characters", "b-token-of-thirty-two-characters"


@dataclass(frozen=True)
class Secured:
    """A running agent: its file, its address, and what a client needs."""

    config: Path
    address: str
    settings: Settings

    @property
    def folder(self) -> Path:
        return self.config.parent

    def tell(self, *arguments: object, environ: Mapping[str, str] | None = None) -> Result:
        said = [str(argument) for argument in arguments]
        return CliRunner().invoke(main, said, env={"TENURE_AGENT": None} | dict(environ or {}), catch_exceptions=False)


def put(path: Path, *sources: Path | str) -> None:
    """Renew a file as secrets are renewed: another takes its place."""
    new = path.with_name("new")
    new.write_text("".join(source if isinstance(source, str) else source.read_text() for source in sources))
    new.replace(path)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


CASES = {
    "unix": ("unix:{folder}/run/agent.sock", {"token_file"}),
    "loopback": ("127.0.0.1:{port}", {"token_file"}),
    "tls": ("0.0.0.0:{port}", {"token_file", "cert_file", "key_file"}),
    "mtls": ("0.0.0.0:{port}", {"cert_file", "key_file", "client_ca_file"}),
    "both": ("localhost:{port}", {"token_file", "cert_file", "key_file", "client_ca_file"}),
}


@pytest.fixture(scope="module")
def agent(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, certificates: Path
) -> Iterator[Secured]:
    """One agent as the case says; what it logs holds no secret."""
    tmp_path = tmp_path_factory.mktemp("access")
    listen, names = CASES[request.param]
    listen = listen.format(folder=tmp_path, port=free_port())
    put(tmp_path / "token", TOKEN)
    for name, source in (("cert_file", "server.pem"), ("key_file", "server.key"), ("client_ca_file", "ca.pem")):
        put(tmp_path / name, certificates / source)
    files = {"token_file": tmp_path / "token"} | {name: tmp_path / name for name in names - {"token_file"}}
    document: dict[str, Any] = {
        "listen": listen,
        "http": "127.0.0.1:0",
        "log": "json",
        "store": {"path": str(tmp_path / "a.duckdb")},
        "access": {name: str(files[name]) for name in names},
    }
    config = tmp_path / "tenure.yaml"
    config.write_text(json.dumps(document))
    command = [sys.executable, "-m", "tenure_agent", "run", "--config", str(config)]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        first = process.stderr.readline()
        try:
            entry = json.loads(first)
            port = entry["grpc"].rpartition(":")[2]
            tls = entry["grpc"].startswith("tls://")
            settings = Settings(
                agent=f"tls://localhost:{port}" if tls else entry["grpc"],
                ca_file=str(certificates / "ca.pem") if tls else "",
                cert_file=str(certificates / "client.pem") if "client_ca_file" in names else "",
                key_file=str(certificates / "client.key") if "client_ca_file" in names else "",
                token_file=str(tmp_path / "token") if "token_file" in names else "",
                flush_interval=0.001,
            )
            yield Secured(config, settings.agent, settings)
        finally:
            process.terminate()
            _, rest = process.communicate(timeout=DEADLINE)
    said = first + rest
    assert process.returncode == 0, said
    assert all(isinstance(json.loads(line), dict) for line in said.splitlines() if line.startswith("{"))
    secrets = [TOKEN, OTHER, *(certificates / "server.key").read_text().splitlines()[1:-1]]
    assert not any(secret in said for secret in secrets)


each = pytest.mark.parametrize("agent", CASES, indirect=True)
with_token = pytest.mark.parametrize("agent", ["unix", "tls"], indirect=True)


def refused(settings: Settings) -> str:
    transport = GrpcTransport(settings.address(), **settings.credentials())
    with pytest.raises(TransportError) as error:
        transport.report(pb.ReportRequest(producer_id="p", seq=1).SerializeToString(), 10.0)
    transport.close()
    return str(error.value).rpartition(": ")[2]


def without(agent: Secured, *names: str) -> Settings:
    return agent.settings.replace(**dict.fromkeys(names, ""))


@each
def test_who_may_is_served_and_who_may_not_is_not(agent: Secured, certificates: Path) -> None:
    with Monitor(f"model {uuid4()}", settings=agent.settings) as monitor:
        monitor.record({"x": 1}, 0.5, id="A")
        assert monitor.flush(DEADLINE)
        assert monitor.stats() == Stats(emitted=1, acked=1, queued=0, dropped={})

    settings = agent.settings
    if settings.token_file:
        assert refused(without(agent, "token_file")) == "UNAUTHENTICATED"
        put(agent.folder / "wrong", OTHER)
        assert refused(settings.replace(token_file=str(agent.folder / "wrong"))) == "UNAUTHENTICATED"
    if settings.cert_file:
        assert refused(without(agent, "cert_file", "key_file")) == "UNAVAILABLE"
        own = {"cert_file": str(certificates / "stranger.pem"), "key_file": str(certificates / "stranger.key")}
        assert refused(settings.replace(**own)) == "UNAVAILABLE"
    if settings.ca_file:
        assert refused(settings.replace(ca_file=str(certificates / "stranger.pem"))) == "UNAVAILABLE"
        in_clear = settings.replace(agent=settings.agent.removeprefix("tls://"), ca_file="", cert_file="", key_file="")
        assert refused(in_clear) in {"UNAVAILABLE", "DEADLINE_EXCEEDED"}

    found = json.loads(agent.tell("status", "--config", agent.config, "--json").stdout)
    assert sum(rows["rows"] for rows in found["models"][monitor.model]["predictions"]) == 1


@each
def test_verbs_find_the_agent_and_show_who_they_are(agent: Secured) -> None:
    assert agent.tell("check", "--config", agent.config).exit_code == 0
    environ = {f"TENURE_{name.upper()}": path for name, path in agent.settings.credentials().items()}
    assert agent.tell("check", "--agent", agent.address, environ=environ).exit_code == 0
    assert agent.tell("check", environ=environ | {"TENURE_AGENT": agent.address}).exit_code == 0

    nobody = agent.tell("check", "--agent", agent.address)
    assert nobody.exit_code == 1
    if agent.settings.ca_file:
        assert nobody.output.startswith(f"Error: {agent.address} is not trusted (")
    else:
        assert nobody.output == (
            f"Error: the agent at {agent.address} wants its token. Try: TENURE_TOKEN_FILE, or --config tenure.yaml\n"
        )
    assert TOKEN not in nobody.output


@with_token
def test_a_token_is_renewed_while_both_run(agent: Secured) -> None:
    with Monitor(f"model {uuid4()}", settings=agent.settings) as monitor:
        monitor.record({"x": 1}, 0.5)
        assert monitor.flush(DEADLINE)
        put(agent.folder / "token", OTHER)
        for i in range(3):
            monitor.record({"x": i}, 0.5)
            assert monitor.flush(DEADLINE)
        assert monitor.stats() == Stats(emitted=4, acked=4, queued=0, dropped={})
    put(agent.folder / "token", TOKEN)


@pytest.mark.parametrize("agent", ["tls"], indirect=True)
def test_a_certificate_is_renewed_without_a_restart(agent: Secured, certificates: Path) -> None:
    def served() -> str:
        context = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
        context.set_alpn_protocols(["h2"])
        port = int(agent.address.rpartition(":")[2])
        with (
            socket.create_connection(("127.0.0.1", port), DEADLINE) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as secured,
        ):
            return ssl.DER_cert_to_PEM_cert(secured.getpeercert(binary_form=True) or b"").strip()

    def renew(name: str) -> None:
        put(agent.folder / name, certificates / f"renewed.{'pem' if name == 'cert_file' else 'key'}")

    before, after = ((certificates / f"{name}.pem").read_text().strip() for name in ("server", "renewed"))
    assert served() == before
    renew("key_file")  # half of a pair is not taken
    assert served() == before
    renew("cert_file")
    assert served() == after


@pytest.mark.parametrize(
    ("access", "told"),
    [
        ({"token_file": "token"}, "listen: '0.0.0.0:0' cannot be used. Try: unix:/path, a loopback address"),
        ({"token_file": "absent"}, "access.token_file: 'absent (No such file or directory)' cannot be used. Try: "),
    ],
)
def test_an_agent_that_could_be_misused_does_not_start(
    tmp_path: Path, certificates: Path, access: dict[str, str], told: str
) -> None:
    for name in ("server.pem", "server.key"):
        put(tmp_path / name, certificates / name)
    put(tmp_path / "token", TOKEN)
    if "absent" in access.values():
        access = {"cert_file": "server.pem", "key_file": "server.key"} | access
    (tmp_path / "tenure.yaml").write_text(json.dumps({"listen": "0.0.0.0:0", "http": "127.0.0.1:0", "access": access}))
    command = [sys.executable, "-m", "tenure_agent", "run", "--config", "tenure.yaml"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert ended.returncode in {1, 2}
    assert told in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "tenure.duckdb").exists()
