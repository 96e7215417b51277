"""The private CA's certificates: names, purposes, lifetimes."""

from __future__ import annotations

import datetime

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from cloud.security import certs

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
CA = certs.make_ca(NOW)


def server_verifier(ca: certs.Pair, host: str, at: datetime.datetime):
    return PolicyBuilder().store(Store([ca.certificate])).time(at).build_server_verifier(x509.DNSName(host))


def test_an_independent_verifier_accepts_what_was_made() -> None:
    server = certs.make_server(CA, ["cloud.example", "10.0.0.1"], NOW, 30).certificate
    later = NOW + datetime.timedelta(days=29)
    assert server_verifier(CA, "cloud.example", later).verify(server, [])
    vehicle = certs.make_vehicle(CA, "car-1", NOW, 30).certificate
    client = PolicyBuilder().store(Store([CA.certificate])).time(later).build_client_verifier()
    assert client.verify(vehicle, []).subjects[0].value == "urn:mdic:vehicle:car-1"
    with pytest.raises(VerificationError):
        server_verifier(CA, "other.example", later).verify(server, [])
    with pytest.raises(VerificationError):
        server_verifier(CA, "cloud.example", NOW + datetime.timedelta(days=31)).verify(server, [])
    with pytest.raises(VerificationError):
        server_verifier(certs.make_ca(NOW), "cloud.example", later).verify(server, [])
    with pytest.raises(VerificationError):
        client.verify(server, [])


def test_names_and_purposes() -> None:
    server = certs.make_server(CA, ["cloud.example", "::1"], NOW, 30).certificate
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name.value) for name in names] == ["cloud.example", "::1"]
    for certificate, purpose in (
        (server, ExtendedKeyUsageOID.SERVER_AUTH),
        (certs.make_vehicle(CA, "car-1", NOW, 30).certificate, ExtendedKeyUsageOID.CLIENT_AUTH),
    ):
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        assert list(usage) == [purpose]
        assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    limits = CA.certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert limits.ca and limits.path_length == 0


def test_a_pair_round_trips_and_strangers_are_refused() -> None:
    assert certs.load_pair(CA.certificate_pem, CA.key_pem).certificate == CA.certificate
    other = certs.make_ca(NOW)
    for certificate, key in (
        (CA.certificate_pem, other.key_pem),
        (b"x", CA.key_pem),
        (CA.certificate_pem, b"x"),
    ):
        with pytest.raises(ValueError):
            certs.load_pair(certificate, key)


def test_every_certificate_has_its_own_number_and_key() -> None:
    pairs = [certs.make_vehicle(CA, "car-1", NOW, 30) for _ in range(4)]
    assert len({pair.certificate.serial_number for pair in pairs}) == 4
    assert len({pair.key_pem for pair in pairs}) == 4
