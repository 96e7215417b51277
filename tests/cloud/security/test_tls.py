"""TLS and mutual TLS over real sockets, and one clear error for each file that cannot be used."""

from __future__ import annotations

import asyncio
import datetime
import socket
import ssl
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID
from fake_callers import RPCS, Realm, outcome
from fake_cloud import cloud, go
from fake_edge import Edge, hello

from cloud.security import certs
from cloud.security.files import TlsFiles
from cloud.security.opening import open_security
from cloud.security.tls import server_credentials
from common.errors import CredentialsError
from common.stream.messages import Role, Welcome

CODE = grpc.StatusCode
DAY = datetime.timedelta(days=1)


@pytest.fixture
def realm(tmp_path: Path) -> Realm:
    return Realm(tmp_path)


@pytest.mark.parametrize("rpc", RPCS)
def test_tls_serves_who_trusts_the_ca_and_nobody_else(rpc: str, realm: Realm) -> None:
    stranger = certs.make_ca(realm.now)

    async def check() -> None:
        _, credentials = open_security(realm.files, None)
        async with cloud(credentials=credentials) as c:
            address = c.address.replace("127.0.0.1", "localhost")
            for roots, code in ((realm.ca, CODE.OK), (stranger, CODE.UNAVAILABLE)):
                proof = grpc.ssl_channel_credentials(roots.certificate_pem)
                async with grpc.aio.secure_channel(address, proof) as channel:
                    assert (await outcome(rpc, channel))[0] is code
            async with grpc.aio.insecure_channel(c.address) as channel:
                assert (await outcome(rpc, channel))[0] is CODE.UNAVAILABLE

    go(check())


@pytest.mark.parametrize("rpc", RPCS)
def test_mutual_tls_refuses_no_certificate_and_the_wrong_ones(rpc: str, realm: Realm) -> None:
    def channel_with(pair: certs.Pair) -> grpc.ChannelCredentials:
        return grpc.ssl_channel_credentials(realm.ca.certificate_pem, pair.key_pem, pair.certificate_pem)

    other_ca = certs.make_ca(realm.now)  # of the same name as ours
    long_ago = realm.now - 30 * DAY
    wrong = {
        "none": realm.vehicle_channel(None),
        "of another CA": realm.vehicle_channel("car-1", other_ca),
        "expired": channel_with(certs.make_vehicle(realm.ca, "car-1", long_ago, 1)),
        "not valid yet": channel_with(certs.make_vehicle(realm.ca, "car-1", realm.now + DAY, 1)),
        "a server's": channel_with(realm.server),
    }

    async def check() -> None:
        guard, credentials = open_security(realm.mutual, None)
        async with cloud(guard=guard, credentials=credentials) as c:
            address = c.address.replace("127.0.0.1", "localhost")
            for kind, proof in wrong.items():
                async with grpc.aio.secure_channel(address, proof) as channel:
                    assert (kind, (await outcome(rpc, channel))[0]) == (kind, CODE.UNAVAILABLE)
            async with grpc.aio.secure_channel(address, realm.vehicle_channel("car-1")) as channel:
                assert await outcome(rpc, channel) == (CODE.OK, "")
            assert c.totals.sessions == int(rpc == "Push")

    go(check())


def test_a_certificate_opens_only_its_own_vehicles_session(realm: Realm) -> None:
    async def check() -> None:
        guard, credentials = open_security(realm.mutual, None)
        async with cloud(guard=guard, credentials=credentials) as c:
            address = c.address.replace("127.0.0.1", "localhost")
            owner = Edge(address, realm.vehicle_channel("car-1"))
            assert isinstance(await owner.open(hello(Role.MAIN)), Welcome)
            thief = Edge(address, realm.vehicle_channel("car-2"))
            await thief.open(hello(Role.SIDE))
            assert thief.fault is not None and "certificate does not name" in thief.fault.message
            assert await thief.status() is CODE.PERMISSION_DENIED
            await owner.close()
            await thief.close()

    go(check())


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_old_versions_of_tls_are_not_spoken(realm: Realm) -> None:
    async def check() -> None:
        _, credentials = open_security(realm.files, None)
        async with cloud(credentials=credentials) as c:

            def shake(newest: ssl.TLSVersion) -> str | None:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
                context.set_alpn_protocols(["h2"])
                context.set_ciphers("ALL:@SECLEVEL=0")
                context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, newest
                host, _, port = c.address.partition(":")
                with (
                    socket.create_connection((host, int(port)), 10) as plain,
                    context.wrap_socket(plain) as tls,
                ):
                    return tls.version()

            assert await asyncio.to_thread(shake, ssl.TLSVersion.TLSv1_3) == "TLSv1.3"
            assert await asyncio.to_thread(shake, ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
            with pytest.raises(ssl.SSLError):
                await asyncio.to_thread(shake, ssl.TLSVersion.TLSv1_1)

    go(check())


def pem_of(key: object, password: bytes | None = None) -> bytes:
    lock = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock)  # type: ignore[attr-defined]


def bare(key: object, now: datetime.datetime, *extensions: x509.ExtensionType) -> bytes:
    """Return a self-signed certificate with these extensions and no others."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())  # type: ignore[attr-defined]
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + DAY)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    signed = builder.sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())  # type: ignore[arg-type]
    return signed.public_bytes(serialization.Encoding.PEM)


def test_each_fault_of_a_file_has_its_line(realm: Realm, tmp_path: Path) -> None:
    now = realm.now
    names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    weak = rsa.generate_private_key(65537, 1024)
    modern, curve = ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256R1())
    good = (realm.server.certificate_pem, realm.server.key_pem)
    old = certs.make_server(realm.ca, ["localhost"], now - 30 * DAY, 1)
    early = certs.make_server(realm.ca, ["localhost"], now + DAY, 1)
    car = certs.make_vehicle(realm.ca, "car-1", now, 1)
    cases = [
        (good, None, None),
        (good, realm.ca.certificate_pem, None),
        ((b"", good[1]), None, "certificate is empty"),
        ((b"text", good[1]), None, "no certificate in PEM"),
        ((good[0], b"text"), None, "no private key in PEM"),
        ((good[0], car.key_pem), None, "is not the key of"),
        ((good[0], pem_of(realm.server.key, b"word")), None, "passphrase"),
        ((old.certificate_pem, old.key_pem), None, f"expired on {now - 29 * DAY:%Y-%m-%d}"),
        ((early.certificate_pem, early.key_pem), None, "not valid before"),
        ((car.certificate_pem, car.key_pem), None, "not meant for a server"),
        ((bare(weak, now, names), pem_of(weak)), None, "1024 bits is too weak"),
        ((bare(modern, now, names), pem_of(modern)), None, "neither RSA nor ECDSA"),
        ((bare(curve, now), pem_of(curve)), None, "names no host"),
        ((bare(curve, now, names), pem_of(curve)), None, None),
        (good, b"text", "no certificate in PEM"),
        (good, good[0], "no CA's"),
        (good, certs.make_ca(now - 30 * DAY, 1).certificate_pem, "expired"),
    ]
    for number, ((certificate, key), client_ca, words) in enumerate(cases):
        files = TlsFiles(
            realm.write(f"{number}.pem", certificate),
            realm.write(f"{number}-key.pem", key),
            None if client_ca is None else realm.write(f"{number}-ca.pem", client_ca),
        )
        if words is None:
            assert server_credentials(files) is not None
            continue
        with pytest.raises(CredentialsError, match=words) as caught:
            server_credentials(files)
        assert "PRIVATE" not in str(caught.value) and "\n" not in str(caught.value)
        assert str(tmp_path) in str(caught.value)


def test_a_key_that_everybody_may_read_is_refused(realm: Realm) -> None:
    realm.files.key.chmod(0o644)
    with pytest.raises(CredentialsError, match="every user"):
        server_credentials(realm.files)
    realm.files.key.chmod(0o640)
    assert server_credentials(realm.files) is not None


def test_files_that_are_not_there(realm: Realm, tmp_path: Path) -> None:
    with pytest.raises(CredentialsError, match=r"none\.pem: the certificate cannot be read: No such file"):
        server_credentials(TlsFiles(tmp_path / "none.pem", realm.files.key))
    with pytest.raises(CredentialsError, match="is not a file"):
        server_credentials(TlsFiles(realm.files.cert, tmp_path))
