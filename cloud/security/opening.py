"""From the command line's files to a guard and credentials."""

from __future__ import annotations

from pathlib import Path

import grpc

from cloud.security.files import TlsFiles
from cloud.security.interceptor import Guard
from cloud.security.store import TokenStore
from cloud.security.tls import server_credentials


def open_security(
    tls: TlsFiles | None, tokens: Path | None
) -> tuple[Guard | None, grpc.ServerCredentials | None]:
    """Return the guard of a server, None when it asks nobody, and its credentials, None without TLS.

    Raises:
        CredentialsError: a file cannot be used.
    """
    credentials = None if tls is None else server_credentials(tls)
    mutual = tls is not None and tls.client_ca is not None
    store = None if tokens is None else TokenStore(tokens)
    guard = Guard(store, mutual) if mutual or store is not None else None
    return guard, credentials
