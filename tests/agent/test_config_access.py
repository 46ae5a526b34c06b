"""Where the agent may listen, and what it must ask of whom."""

from __future__ import annotations

from typing import Any

import pytest
from tests.agent.refusals import only

from tenure_agent.config import parse_config

TLS = {"cert_file": "cert.pem", "key_file": "key.pem"}
LOCAL = ["unix:/run/tenure/agent.sock", "127.0.0.1:0", "127.8.8.8:1", "localhost:50051", "[::1]:50051"]
REMOTE = [
    "0.0.0.0:50051",
    "10.0.0.5:50051",
    "example.com:1",
    "[::]:50051",
    "localhost.example.com:1",
    "127.0.0.1.nip.io:1",
]


@pytest.mark.parametrize("listen", LOCAL)
def test_local_addresses_need_no_access(listen: str) -> None:
    assert parse_config({"listen": listen}, "c").listen == listen
    assert parse_config({"listen": listen, "access": {"token_file": "token"}}, "c").listen == listen


@pytest.mark.parametrize("listen", REMOTE)
@pytest.mark.parametrize("access", [{}, {"token_file": "token"}, TLS])
def test_other_addresses_need_to_know_who_calls_and_to_hide_what_is_said(listen: str, access: dict[str, str]) -> None:
    fault = only({"listen": listen, "access": access})
    assert fault.startswith(
        f"listen: {listen!r} cannot be used. Try: unix:/path, a loopback address such as 127.0.0.1:50051"
    )
    assert fault.endswith("access.cert_file and access.key_file with access.token_file or access.client_ca_file")


@pytest.mark.parametrize("listen", REMOTE)
@pytest.mark.parametrize("proof", [{"token_file": "token"}, {"client_ca_file": "ca.pem"}])
def test_other_addresses_with_a_token_or_mutual_tls(listen: str, proof: dict[str, str]) -> None:
    config = parse_config({"listen": listen, "access": TLS | proof}, "c")
    assert config.listen == listen
    assert config.access.guarded


@pytest.mark.parametrize(
    "listen", ["127.0.0.1", "nowhere", ":1", "unix:", "unix", "127.0.0.1:65536", "/run/agent.sock"]
)
def test_no_address(listen: str) -> None:
    assert only({"listen": listen}).startswith(f"listen: {listen!r} cannot be used. Try: ")


PROOFS: list[dict[str, Any]] = [{"token_file": "token"}, {"cert_file": "cert.pem", "key_file": "key.pem"}]


@pytest.mark.parametrize("address", [*LOCAL[:1], *LOCAL[2:], "tls://localhost:1"])
def test_a_local_hub_needs_no_files(address: str) -> None:
    assert parse_config({"upstream": address}, "c").upstream.address == address
    assert parse_config({"upstream": {"address": address}}, "c").upstream.address == address


def test_without_an_upstream_it_is_no_relay() -> None:
    for document in ({}, {"upstream": None}, {"upstream": {"address": None}}):
        assert parse_config(document, "c").upstream.address is None


@pytest.mark.parametrize("proof", PROOFS)
def test_another_hub_is_shown_who_we_are_and_nothing_is_said_in_clear(proof: dict[str, Any]) -> None:
    address = {"address": "tls://hub.example.com:50051"}
    assert parse_config({"upstream": address | proof}, "c").upstream.files() == proof


@pytest.mark.parametrize(
    "upstream",
    [
        "hub.example.com:50051",
        "tls://hub.example.com:50051",
        {"address": "hub.example.com:50051", "token_file": "token"},
        {"address": "hub.example.com:50051", "ca_file": "ca.pem"},
        "127.0.0.1:0",
        "unix:",
        "nowhere",
    ],
)
def test_a_hub_that_cannot_be(upstream: Any) -> None:
    assert only({"upstream": upstream}).startswith("upstream.address: ")


def test_a_relay_is_not_its_own_hub() -> None:
    told = only({"listen": "127.0.0.1:50051", "upstream": "127.0.0.1:50051"})
    assert told.startswith("upstream: '127.0.0.1:50051' cannot be used. Try: the hub's address")
    assert only({"upstream": {"key_file": "key.pem"}}).startswith("upstream.key_file: ")


@pytest.mark.parametrize(
    ("access", "told"),
    [
        ({"cert_file": "c"}, "access.key_file: None cannot be used. Try: cert_file and key_file, both or neither"),
        ({"key_file": "k"}, "access.key_file: 'k' cannot be used. Try: cert_file and key_file, both or neither"),
        ({"client_ca_file": "ca"}, "access.client_ca_file: 'ca' cannot be used. Try: cert_file and key_file beside it"),
        ({"socket_mode": "0644"}, "access.socket_mode: '0644' cannot be used. Try: '0600', '0660' or '0666'"),
        ({"socket_mode": 660}, "access.socket_mode: 660 cannot be used. Try: '0600', '0660' or '0666'"),
        ({"token": "s3cret"}, "access.token: unknown key. Try: token_file"),
        (TLS, "listen: 'unix:./tenure.sock' cannot be used. Try: host:port, or no access.cert_file"),
    ],
)
def test_access_that_cannot_be(access: dict[str, Any], told: str) -> None:
    document: dict[str, Any] = {"access": access}
    if access != TLS:
        document["listen"] = "127.0.0.1:1"
    assert only(document).startswith(told)
