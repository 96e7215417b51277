"""The server's side of TLS: credentials from files, with one clear error for each thing that can be wrong."""

from __future__ import annotations

import datetime
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from cloud.security.files import TlsFiles
from common.errors import CredentialsError
from common.secretfile import read_file

MIN_RSA_BITS = 2048
MIN_EC_BITS = 256
_WEAK_HASHES = (hashes.MD5, hashes.SHA1)


def server_credentials(files: TlsFiles, now: datetime.datetime | None = None) -> grpc.ServerCredentials:
    """Return what a server needs to speak TLS (1.2 or newer), or mutual TLS with `client_ca`.

    Args:
        files: where certificate and key are.
        now: the time to check against, with its zone; None for the present.

    Raises:
        CredentialsError: a file cannot be read, holds something else, has expired, is too weak or not for this.
    """
    now = now or datetime.datetime.now(datetime.timezone.utc)
    chain_pem = read_file(files.cert, "certificate")
    key_pem = read_file(files.key, "private key", secret=True)
    chain = _certificates(files.cert, chain_pem)
    key = _private_key(files.key, key_pem)
    if _raw(key.public_key()) != _raw(chain[0].public_key()):
        raise CredentialsError(files.key, f"is not the key of {files.cert}")
    for certificate in chain:
        _check_common(files.cert, certificate, now)
    _check_leaf(files.cert, chain[0])
    roots: bytes | None = None
    if files.client_ca is not None:
        roots = read_file(files.client_ca, "CA certificate")
        for certificate in _certificates(files.client_ca, roots):
            _check_common(files.client_ca, certificate, now)
            _check_ca(files.client_ca, certificate)
    return grpc.ssl_server_credentials(
        [(key_pem, chain_pem)], root_certificates=roots, require_client_auth=roots is not None
    )


def _certificates(path: Path, pem: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise CredentialsError(path, "holds no certificate in PEM form") from None


def _private_key(path: Path, pem: bytes) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except TypeError:
        raise CredentialsError(path, "the private key has a passphrase; a server cannot type it") from None
    except (ValueError, UnsupportedAlgorithm):
        raise CredentialsError(path, "holds no private key in PEM form") from None
    if not isinstance(key, (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey)):
        raise CredentialsError(path, "the private key is neither RSA nor ECDSA, which gRPC's TLS asks for")
    if key.key_size < (MIN_RSA_BITS if isinstance(key, rsa.RSAPrivateKey) else MIN_EC_BITS):
        raise CredentialsError(path, f"the private key of {key.key_size} bits is too weak")
    return key


def _raw(key: object) -> bytes:
    """Return a public key's bytes, for comparing two."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return bytes(key.public_bytes(serialization.Encoding.DER, form))  # type: ignore[attr-defined]


def _check_common(path: Path, certificate: x509.Certificate, now: datetime.datetime) -> None:
    """Check what every certificate has to be: valid now, and signed with something that still holds."""
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now >= end:
        raise CredentialsError(path, f"the certificate expired on {end:%Y-%m-%d}")
    if now < begin:
        raise CredentialsError(path, f"the certificate is not valid before {begin:%Y-%m-%d %H:%M} UTC")
    if isinstance(certificate.signature_hash_algorithm, _WEAK_HASHES):
        raise CredentialsError(path, "the certificate is signed with a hash that is broken (MD5 or SHA-1)")


def _check_leaf(path: Path, certificate: x509.Certificate) -> None:
    """Check that a certificate may be shown by a server."""
    try:
        usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        if not {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE} & set(usages):
            raise CredentialsError(path, "the certificate is not meant for a server")
    except x509.ExtensionNotFound:
        pass  # without the extension it is good for anything
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        names = None
    if not names:
        raise CredentialsError(path, "the certificate names no host (subject alternative names)")


def _check_ca(path: Path, certificate: x509.Certificate) -> None:
    try:
        is_ca = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        is_ca = False
    if not is_ca:
        raise CredentialsError(path, "holds a certificate that is no CA's")
