"""How an edge reaches its cloud and shows who it is: plain, TLS or mutual TLS, with a token or without.

Secrets come from files, never from the command line, where every user of the machine could read them.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import grpc

from common.address import is_loopback
from common.errors import CredentialsError, UsageError
from common.secretfile import read_file, read_token
from common.stream.limits import LIMITS, StreamLimits, client_options

AUTHORIZATION = "authorization"

_TLS_PROBLEMS = (
    # gRPC's words for what OpenSSL and itself found; the first that matches counts.
    (r"(?i)hostname verification|not match|is not in peer certificate", "its certificate is for another name"),
    (r"certificate has expired|CERTIFICATE_EXPIRED", "a certificate has expired"),
    (r"CERTIFICATE_VERIFY_FAILED", "its certificate is not signed by the CA of --tls-ca"),
    (r"CERTIFICATE_REQUIRED|ALERT_BAD_CERTIFICATE|ALERT_UNKNOWN_CA", "it does not accept this vehicle's certificate"),
    (r"WRONG_VERSION_NUMBER", "it does not speak TLS on this port"),
    (r"[Hh]andshak", "the TLS handshake failed"),
    (r"failed to connect.*Socket closed", "it hung up at once: it may ask for TLS, or for a certificate of its own CA"),
)  # fmt: skip


@dataclass(frozen=True)
class Credentials:
    """Name the files that say who an edge is and whom it trusts.

    Attributes:
        token: file with the vehicle's token.
        tls_ca: certificates that may sign the cloud's; given, the connection is TLS.
        tls_cert: this vehicle's certificate, for mutual TLS; `tls_key` is its private key.
        plaintext_token: send the token over an unencrypted connection to another machine.
    """

    token: Path | None = None
    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    plaintext_token: bool = False

    @property
    def tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.tls_ca is not None

    def check(self, address: str) -> None:
        """Look at every file once, before anything else is opened.

        Args:
            address: HOST:PORT of the cloud.

        Raises:
            UsageError: the options do not go together.
            CredentialsError: a file cannot be used.
        """
        if (self.tls_cert is None) != (self.tls_key is None):
            raise UsageError("--tls-cert and --tls-key go together")
        if self.tls_cert is not None and not self.tls:
            raise UsageError("--tls-cert needs --tls-ca: without it the connection is not encrypted")
        if (
            self.token is not None
            and not self.tls
            and not self.plaintext_token
            and not is_loopback(address.rpartition(":")[0])
        ):
            raise UsageError(
                f"a token for {address} would travel unencrypted; give --tls-ca, or --plaintext-token to accept that"
            )
        if self.token is not None:
            read_token(self.token)
        self._tls_files()

    def _tls_files(self) -> _TlsFiles | None:
        """Read and check the files for TLS.

        Raises:
            CredentialsError: one cannot be used.
        """
        if self.tls_ca is None:
            return None
        roots = read_file(self.tls_ca, "CA certificate")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            context.load_verify_locations(cadata=roots.decode("ascii"))
        except (ssl.SSLError, ValueError):
            raise CredentialsError(self.tls_ca, "holds no certificate in PEM form") from None
        if self.tls_cert is None or self.tls_key is None:
            return _TlsFiles(roots, None, None)
        chain = read_file(self.tls_cert, "certificate")
        key = read_file(self.tls_key, "private key", secret=True)
        if b"ENCRYPTED" in key:
            raise CredentialsError(self.tls_key, "the private key has a passphrase; a vehicle cannot type it")
        try:
            context.load_cert_chain(self.tls_cert, self.tls_key, password="")
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                raise CredentialsError(self.tls_key, f"is not the key of {self.tls_cert}") from None
            raise CredentialsError(self.tls_cert, "certificate or key is not in PEM form") from None
        return _TlsFiles(roots, key, chain)


class _TlsFiles(NamedTuple):
    """Hold what was read: PEM bytes."""

    roots: bytes
    key: bytes | None
    chain: bytes | None


def open_channel(
    address: str, credentials: Credentials | None = None, limits: StreamLimits = LIMITS
) -> grpc.Channel:
    """Return a channel to the cloud; it connects when it is first used.

    The token's file is read again for every call, so that a renewed token is used at the next connection.

    Args:
        address: HOST:PORT.
        credentials: None for a plain connection without a token.
        limits: of the messages.

    Raises:
        UsageError: the options do not go together.
        CredentialsError: a file cannot be used.
    """
    credentials = credentials or Credentials()
    credentials.check(address)
    files = credentials._tls_files()
    options = client_options(limits)
    if files is None:
        channel = grpc.insecure_channel(address, options=options)
    else:
        proof = grpc.ssl_channel_credentials(files.roots, files.key, files.chain)
        channel = grpc.secure_channel(address, proof, options=options)
    if credentials.token is None:
        return channel
    return grpc.intercept_channel(channel, _TokenBearer(credentials.token))


def tls_problem(details: str) -> str | None:
    """Return in one sentence what went wrong with TLS, read from the details of an UNAVAILABLE status."""
    for pattern, sentence in _TLS_PROBLEMS:
        if re.search(pattern, details):
            return sentence
    return None


class _Details(NamedTuple):
    """A call's details with other metadata."""

    method: str
    timeout: float | None
    metadata: Any
    credentials: Any
    wait_for_ready: bool | None
    compression: Any


class _CallDetails(_Details, grpc.ClientCallDetails):
    """The same as the type that gRPC asks for."""


class _TokenBearer(
    grpc.StreamStreamClientInterceptor,  # type: ignore[type-arg]  # generic in the stubs only
    grpc.UnaryUnaryClientInterceptor,  # type: ignore[type-arg]
):
    """Put the token into the metadata of each call."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def intercept_stream_stream(
        self, continuation: Callable[..., Any], client_call_details: Any, request_iterator: Iterator[Any]
    ) -> Any:
        """Go on with the token."""
        return continuation(self._signed(client_call_details), request_iterator)

    def intercept_unary_unary(
        self, continuation: Callable[..., Any], client_call_details: Any, request: Any
    ) -> Any:
        """Go on with the token."""
        return continuation(self._signed(client_call_details), request)

    def _signed(self, details: Any) -> _CallDetails:
        """Return the details with the token; reads the file.

        Raises:
            CredentialsError: it cannot be used any more.
        """
        bearer = (AUTHORIZATION, f"Bearer {read_token(self._path)}")
        return _CallDetails(
            details.method,
            details.timeout,
            [*(details.metadata or ()), bearer],
            details.credentials,
            getattr(details, "wait_for_ready", None),
            getattr(details, "compression", None),
        )
