"""TLS, mutual TLS and the bearer token, against a real server with certificates of its own making."""

import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from tenure import SettingError, Settings, TransportError
from tenure.transport import GrpcTransport
from tenure_proto.v1 import monitoring_pb2 as pb
from tenure_proto.v1 import monitoring_pb2_grpc as wire

DEADLINE = 60.0


class Agent(wire.MonitoringServicer):
    def __init__(self) -> None:
        self.shown: list[object] = []

    def Report(self, request: pb.ReportRequest, context: grpc.ServicerContext) -> pb.ReportReply:  # noqa: N802
        self.shown.append(dict(context.invocation_metadata()).get("authorization"))
        return pb.ReportReply(acked_seq=request.seq)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    (folder / "token").write_text("s3cret\n")
    return folder


@pytest.fixture
def agent() -> Agent:
    return Agent()


@pytest.fixture(params=[False, True], ids=["tls", "mtls"])
def port(request: pytest.FixtureRequest, agent: Agent, files: Path) -> Iterator[int]:
    cert, key = (files / "cert.pem").read_bytes(), (files / "key.pem").read_bytes()
    secured = grpc.ssl_server_credentials([(key, cert)], cert if request.param else None, bool(request.param))
    server = grpc.server(ThreadPoolExecutor(2))
    wire.add_MonitoringServicer_to_server(agent, server)
    port = server.add_secure_port("127.0.0.1:0", secured)
    server.start()
    yield port
    assert server.stop(0).wait(DEADLINE)


def report() -> bytes:
    return pb.ReportRequest(producer_id="p", seq=1).SerializeToString()


def test_both_prove_who_they_are(agent: Agent, port: int, files: Path) -> None:
    settings = Settings(
        agent=f"tls://localhost:{port}",
        ca_file=str(files / "cert.pem"),
        cert_file=str(files / "cert.pem"),
        key_file=str(files / "key.pem"),
        token_file=str(files / "token"),
    )
    transport = GrpcTransport(settings.address(), **settings.credentials())
    assert transport.report(report(), DEADLINE).acked_seq == 1
    transport.close()

    assert agent.shown == ["Bearer s3cret"]
    assert "s3cret" not in f"{settings!r} {transport!r} {vars(transport)}"


@pytest.mark.parametrize("address", ["tls://localhost:{}", "localhost:{}"])
def test_a_server_nobody_vouches_for_hears_nothing(agent: Agent, port: int, address: str) -> None:
    transport = GrpcTransport(address.format(port))
    with pytest.raises(TransportError, match=r"UNAVAILABLE|DEADLINE_EXCEEDED"):
        transport.report(report(), 5.0)
    transport.close()
    assert agent.shown == []


def test_a_token_is_not_sent_in_clear(files: Path) -> None:
    with pytest.raises(TransportError, match="never sent in clear") as refused:
        GrpcTransport("192.0.2.1:1", token_file=str(files / "token")).report(report(), 1.0)
    assert "s3cret" not in str(refused.value)


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(TransportError, match="/nowhere: No such file"):
        GrpcTransport("127.0.0.1:1", ca_file="/nowhere").report(report(), 1.0)


@pytest.mark.parametrize(
    "wrong", [{"cert_file": "a"}, {"key_file": "a"}, {"drop_policy": "some"}, {"when_full": "wait"}, {"spool_bytes": 0}]
)
def test_settings_that_cannot_be_used(wrong: dict[str, object]) -> None:
    with pytest.raises(SettingError):
        Settings().replace(**wrong)
