"""Who may use the gRPC port: a bearer token, TLS, certificates of clients. Their files may be renewed while it runs."""

from __future__ import annotations

import hashlib
import hmac
import logging
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import grpc

from tenure.errors import SettingError
from tenure_agent.config import AccessConfig

logger = logging.getLogger(__name__)

T = TypeVar("T")
Q = TypeVar("Q")
R = TypeVar("R")
SHORTEST = 16
NEW_TOKEN = f"at least {SHORTEST} printable characters, such as openssl rand -hex 32 writes"


class Renewed(Generic[T]):
    """A value read from files, and read again when one of them has changed; while they are at fault the former stays.

    Parameters
    ----------
    files
        Looked at on every `newest`.
    read
        Raises SettingError where they cannot be used.
    """

    def __init__(self, files: Sequence[Path], read: Callable[[], T]) -> None:
        self._files = files
        self._read = read
        self._seen = self._stamps()
        self.value = read()

    def newest(self) -> T:
        stamps = self._stamps()
        if stamps == self._seen:
            return self.value
        self._seen = stamps
        try:
            self.value = self._read()
        except SettingError as error:
            logger.warning("kept what was read before: %(why)s", {"why": str(error)})
        else:
            logger.info("%(path)s was read again", {"path": str(self._files[0])})
        return self.value

    def _stamps(self) -> list[tuple[int, ...]]:
        return [_stamp(path) for path in self._files]


class Guard(grpc.aio.ServerInterceptor):
    """Lets calls in that show the token; all others end before a byte of theirs is read.

    Parameters
    ----------
    token_file
        Holds the token. Only its hash is kept.
    refused
        Called for every call that is turned away.
    """

    def __init__(self, token_file: Path, refused: Callable[[], None]) -> None:
        self._digest = Renewed([token_file], lambda: read_token(token_file))
        self._refused = refused

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Q, R] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Q, R] | None:
        metadata = handler_call_details.invocation_metadata or ()
        shown = [str(value) for name, value in metadata if name == "authorization"]
        if len(shown) == 1 and self._admits(shown[0]):
            return await continuation(handler_call_details)
        self._refused()
        return REFUSAL

    def _admits(self, shown: str) -> bool:
        scheme, _, token = shown.partition(" ")
        return hmac.compare_digest(_digest(token.strip()), self._digest.newest()) and scheme.lower() == "bearer"


@dataclass(frozen=True, slots=True)
class Access:
    """What a port needs to know of who may use it."""

    socket_mode: int = 0o600
    interceptors: Sequence[grpc.aio.ServerInterceptor] = ()
    credentials: grpc.ServerCredentials | None = field(default=None, repr=False)


def open_access(config: AccessConfig, refused: Callable[[], None]) -> Access:
    """Read the files that a section names; `refused` is called for every call that is turned away.

    Raises
    ------
    SettingError
        A file cannot be read or does not hold what it should. The message never shows what it holds.
    """
    guards = () if config.token_file is None else (Guard(config.token_file, refused),)
    return Access(int(config.socket_mode, 8), guards, _credentials(config))


def file_faults(config: AccessConfig) -> list[SettingError]:
    """Everything that is wrong with the files a section names."""
    found = []
    for alone in (AccessConfig(token_file=config.token_file), config.model_copy(update={"token_file": None})):
        try:
            open_access(alone, lambda: None)
        except SettingError as error:
            found.append(error)
    return found


def read_token(path: Path) -> bytes:
    """The hash of the token in a file.

    Raises
    ------
    SettingError
        The file cannot be read or holds no token.
    """
    token = _read("token_file", path).decode("latin-1").strip()
    if len(token) < SHORTEST or not token.isascii() or not token.isprintable() or " " in token:
        raise SettingError("access.token_file", str(path), NEW_TOKEN)
    return _digest(token)


def read_certificates(cert: Path, key: Path, client_ca: Path | None) -> grpc.ServerCertificateConfiguration:
    """What the server shows, and what it asks of clients.

    Raises
    ------
    SettingError
        A file cannot be read, or the files do not belong together.
    """
    pair = _read("key_file", key), _read("cert_file", cert)
    roots = None if client_ca is None else _read("client_ca_file", client_ca)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(cert, key, password=lambda: b"")
    except (ssl.SSLError, OSError, ValueError):
        remedy = "a certificate and the key that belongs to it, PEM, the key without a passphrase"
        raise SettingError("access.cert_file", f"{cert} with {key}", remedy) from None
    try:
        if client_ca is not None:
            context.load_verify_locations(client_ca)
    except (ssl.SSLError, OSError):
        remedy = "the certificates that sign those of clients, PEM"
        raise SettingError("access.client_ca_file", str(client_ca), remedy) from None
    return grpc.ssl_server_certificate_configuration([pair], root_certificates=roots)


def _credentials(config: AccessConfig) -> grpc.ServerCredentials | None:
    cert, key, roots = config.cert_file, config.key_file, config.client_ca_file
    if cert is None or key is None:
        return None
    files = [path for path in (cert, key, roots) if path is not None]
    renewed = Renewed(files, lambda: read_certificates(cert, key, roots))
    return grpc.dynamic_ssl_server_credentials(
        renewed.value, renewed.newest, require_client_authentication=roots is not None
    )


def _read(name: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        remedy = "a file that this user may read"
        raise SettingError(f"access.{name}", f"{path} ({error.strerror})", remedy) from None


def _digest(token: str) -> bytes:
    """Of one length, whatever the token's."""
    return hashlib.sha256(token.encode(errors="replace")).digest()


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns


async def _refuse(_: Any, context: grpc.aio.ServicerContext[Any, Any]) -> None:
    await context.abort(grpc.StatusCode.UNAUTHENTICATED, "a valid token is needed")


# A stream of either kind answers calls of every kind, and waits for no message of the caller's.
REFUSAL: grpc.RpcMethodHandler[Any, Any] = grpc.stream_stream_rpc_method_handler(_refuse)
