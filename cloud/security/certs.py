"""A private CA for trials: the certificates of a server and of vehicles (ECDSA P-256, X.509 v3)."""

from __future__ import annotations

import datetime
import ipaddress
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cloud.security.callers import VEHICLE_URN

CA_DAYS = 3650
_BACKDATE = datetime.timedelta(minutes=5)
"""A vehicle's clock may be a little behind the one that makes its certificate."""


@dataclass(frozen=True)
class Pair:
    """Hold a certificate and its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def certificate_pem(self) -> bytes:
        """Return the certificate in PEM form."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """Return the key in PEM form (PKCS 8), without a passphrase."""
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


def make_ca(now: datetime.datetime, days: int = CA_DAYS) -> Pair:
    """Return a new CA that may sign certificates of servers and vehicles, but no further CA."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("MDIC-Stream private CA")
    usage = _usage(digital_signature=False, key_cert_sign=True)
    builder = (
        _builder(name, name, key, now, days)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
    )
    return Pair(builder.sign(key, hashes.SHA256()), key)


def make_server(ca: Pair, hosts: list[str], now: datetime.datetime, days: int) -> Pair:
    """Return the certificate of a server that is reached by these names or IP addresses.

    Raises:
        ValueError: a host is no name.
    """
    names: list[x509.GeneralName] = []
    for host in hosts:
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            names.append(x509.DNSName(host))
    return _leaf(ca, hosts[0][:64], names, ExtendedKeyUsageOID.SERVER_AUTH, now, days)


def make_vehicle(ca: Pair, vehicle: str, now: datetime.datetime, days: int) -> Pair:
    """Return the certificate of a vehicle, which names it by its common name and by URI."""
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(VEHICLE_URN + vehicle)]
    return _leaf(ca, vehicle, names, ExtendedKeyUsageOID.CLIENT_AUTH, now, days)


def load_pair(certificate_pem: bytes, key_pem: bytes) -> Pair:
    """Return a pair from its PEM forms.

    Raises:
        ValueError: they are not what `make_ca` makes.
    """
    try:
        key = serialization.load_pem_private_key(key_pem, password=None)
    except TypeError as error:
        raise ValueError(str(error)) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("the key is not an ECDSA key")
    certificate = x509.load_pem_x509_certificate(certificate_pem)
    if certificate.public_key() != key.public_key():
        raise ValueError("certificate and key do not belong together")
    return Pair(certificate, key)


def _leaf(
    ca: Pair,
    common_name: str,
    names: list[x509.GeneralName],
    purpose: x509.ObjectIdentifier,
    now: datetime.datetime,
    days: int,
) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = ca.key.public_key()
    builder = (
        _builder(_name(common_name), ca.certificate.subject, key, now, days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True, key_cert_sign=False), critical=True)
        # One purpose each: a server's certificate does not let anyone in as a vehicle, nor the other way round.
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer), critical=False)
    )
    return Pair(builder.sign(ca.key, hashes.SHA256()), key)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime.datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATE)
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _usage(digital_signature: bool, key_cert_sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=key_cert_sign,
        encipher_only=False,
        decipher_only=False,
    )
