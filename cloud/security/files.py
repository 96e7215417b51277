"""The files of a server's TLS, as the command line names them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from common.errors import UsageError


@dataclass(frozen=True)
class TlsFiles:
    """Name the files of a server.

    Attributes:
        cert: its certificate, and those between it and the CA.
        key: its private key, without a passphrase.
        client_ca: certificates that may sign those of vehicles; given, every caller has to show one.
    """

    cert: Path
    key: Path
    client_ca: Path | None = None

    @classmethod
    def of_options(cls, cert: Path | None, key: Path | None, client_ca: Path | None) -> TlsFiles | None:
        """Return the files that the command line names; None without TLS.

        Raises:
            UsageError: the options do not go together.
        """
        if cert is None and key is None and client_ca is None:
            return None
        if cert is None or key is None:
            raise UsageError("--tls-cert and --tls-key go together, and --tls-client-ca needs both")
        return cls(cert, key, client_ca)
