"""The edge's end: options, files, and what a refusing server looks like from here. TLS is real, made with OpenSSL."""

from __future__ import annotations

import argparse
import shutil
import subprocess
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path

import grpc
import pytest

from common.errors import CredentialsError, UsageError
from edge.commands import stream
from edge.credentials import Credentials, open_channel, tls_problem
from edge.session import StreamPlan

TOKEN = "aaaa.bbbb.cccc"


def openssl(*words: str | Path) -> None:
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA, a server for localhost, one for elsewhere, a vehicle, and another CA."""
    if shutil.which("openssl") is None:
        pytest.skip("the openssl program is not installed")
    folder = tmp_path_factory.mktemp("pki")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    for name in ("ca", "other-ca"):
        openssl("req", "-x509", *key, "-keyout", folder / f"{name}-key.pem", "-out", folder / f"{name}.pem",
                "-days", "2", "-subj", f"/CN={name}", "-addext", "basicConstraints=critical,CA:TRUE")  # fmt: skip
    for name, names in (("server", "DNS:localhost"), ("elsewhere", "DNS:other.example"), ("car", "DNS:car")):
        openssl(
            "req",
            *key,
            "-keyout",
            folder / f"{name}-key.pem",
            "-out",
            folder / "req.pem",
            "-subj",
            f"/CN={name}",
        )
        (folder / "ext").write_text(f"subjectAltName={names}\n")
        signer = ["-CA", folder / "ca.pem", "-CAkey", folder / "ca-key.pem", "-CAcreateserial"]
        openssl("x509", "-req", "-in", folder / "req.pem", *signer, "-out", folder / f"{name}.pem",
                "-days", "1", "-extfile", folder / "ext")  # fmt: skip
    for path in folder.iterdir():
        path.chmod(0o600)
    (folder / "token").write_text(TOKEN)
    (folder / "token").chmod(0o600)
    return folder


class Server:
    """Answer every call, and remember its metadata."""

    def __init__(self, files: Path | None, name: str = "server", mutual: bool = False) -> None:
        self.seen: list[dict[str, str]] = []
        self.server = grpc.server(futures.ThreadPoolExecutor(2))
        self.server.add_generic_rpc_handlers([self])
        if files is None:
            port = self.server.add_insecure_port("127.0.0.1:0")
        else:
            pair = ((files / f"{name}-key.pem").read_bytes(), (files / f"{name}.pem").read_bytes())
            roots = (files / "ca.pem").read_bytes() if mutual else None
            port = self.server.add_secure_port(
                "127.0.0.1:0", grpc.ssl_server_credentials([pair], roots, require_client_auth=mutual)
            )
        self.address = f"localhost:{port}"
        self.server.start()

    def service(self, details):
        self.seen.append({key: value for key, value in details.invocation_metadata})
        if details.method.endswith("Stream"):
            return grpc.stream_stream_rpc_method_handler(lambda requests, context: requests)
        return grpc.unary_unary_rpc_method_handler(lambda request, context: request)


@pytest.fixture
def serve() -> Iterator:
    servers: list[Server] = []

    def start(*arguments, **options) -> Server:
        servers.append(Server(*arguments, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.server.stop(0)


def echo(channel: grpc.Channel) -> bytes:
    (answer,) = channel.stream_stream("/x/Stream")(iter([b"hello"]), timeout=20)
    assert channel.unary_unary("/x/One")(b"hello", timeout=20) == answer
    channel.close()
    return answer


def test_plain_without_credentials(serve) -> None:
    server = serve(None)
    assert echo(open_channel(server.address)) == b"hello"
    assert all("authorization" not in seen for seen in server.seen)


def test_a_token_goes_with_every_call_and_a_renewed_one_is_used(serve, files: Path, tmp_path: Path) -> None:
    server, path = serve(files), tmp_path / "token"
    shutil.copy(files / "token", path)
    channel = open_channel(server.address, Credentials(path, files / "ca.pem"))
    call = channel.stream_stream("/x/Stream")
    assert list(call(iter([b"1"]), timeout=20)) == [b"1"]
    path.write_text("new.er.one")
    assert list(call(iter([b"2"]), timeout=20)) == [b"2"]
    assert [seen["authorization"] for seen in server.seen] == [f"Bearer {TOKEN}", "Bearer new.er.one"]
    path.unlink()
    with pytest.raises(CredentialsError, match="cannot be read"):
        list(call(iter([b"3"]), timeout=20))
    channel.close()


def test_mutual_tls(serve, files: Path) -> None:
    server = serve(files, mutual=True)
    mine = Credentials(tls_ca=files / "ca.pem", tls_cert=files / "car.pem", tls_key=files / "car-key.pem")
    assert echo(open_channel(server.address, mine)) == b"hello"


def test_a_token_does_not_travel_in_the_open_unless_told_to(serve, files: Path) -> None:
    with pytest.raises(UsageError, match="unencrypted"):
        open_channel("cloud.example:1", Credentials(files / "token"))
    open_channel("cloud.example:1", Credentials(files / "token", plaintext_token=True)).close()
    open_channel("cloud.example:1", Credentials(files / "token", files / "ca.pem")).close()
    server = serve(None)
    assert echo(open_channel(server.address, Credentials(files / "token"))) == b"hello"
    assert server.seen[0]["authorization"] == f"Bearer {TOKEN}"


def refusal(channel: grpc.Channel) -> str | None:
    """Return what `tls_problem` makes of a call that fails."""
    with channel, pytest.raises(grpc.RpcError) as caught:
        list(channel.stream_stream("/x/Stream")(iter([b"hello"]), timeout=20))
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    return tls_problem(caught.value.details())


@pytest.mark.parametrize(
    ("name", "ca", "words"),
    [
        ("server", "other-ca.pem", "not signed by the CA"),
        ("elsewhere", "ca.pem", "for another name"),
        (None, "ca.pem", "does not speak TLS"),
    ],
)
def test_a_cloud_that_cannot_be_trusted_is_named_as_such(name, ca, words, serve, files: Path) -> None:
    server = serve(None) if name is None else serve(files, name)
    problem = refusal(open_channel(server.address, Credentials(files / "token", files / ca)))
    assert problem is not None and words in problem
    assert not server.seen  # above all, the token never left


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"tls_cert": "car.pem"}, UsageError, "go together"),
        ({"tls_key": "car-key.pem"}, UsageError, "go together"),
        ({"tls_ca": None, "tls_cert": "car.pem", "tls_key": "car-key.pem"}, UsageError, "needs --tls-ca"),
        ({"tls_ca": "none.pem"}, CredentialsError, "CA certificate cannot be read"),
        ({"tls_ca": "ca-key.pem"}, CredentialsError, "no certificate in PEM"),
        ({"token": "none"}, CredentialsError, "token cannot be read"),
        ({"token": "ca.pem"}, CredentialsError, "holds no token"),
        ({"tls_cert": "car.pem", "tls_key": "server-key.pem"}, CredentialsError, "is not the key of"),
        ({"tls_cert": "token", "tls_key": "car-key.pem"}, CredentialsError, "not in PEM form"),
        ({"tls_cert": "car.pem", "tls_key": "token"}, CredentialsError, "not in PEM form"),
    ],
)
def test_each_mistake_has_its_line(changes, error, words, files: Path) -> None:
    named = {"tls_ca": "ca.pem", **changes}
    credentials = Credentials(**{key: None if name is None else files / name for key, name in named.items()})
    with pytest.raises(error, match=words) as caught:
        credentials.check("cloud.example:1")
    assert "PRIVATE" not in str(caught.value) and TOKEN not in str(caught.value)


def test_a_key_for_everybody_and_one_with_a_passphrase_are_refused(files: Path, tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    shutil.copy(files / "car-key.pem", key)
    mine = Credentials(tls_ca=files / "ca.pem", tls_cert=files / "car.pem", tls_key=key)
    mine.check("cloud.example:1")
    key.chmod(0o644)
    with pytest.raises(CredentialsError, match="every user"):
        mine.check("cloud.example:1")
    key.unlink()
    openssl("pkcs8", "-topk8", "-in", files / "car-key.pem", "-passout", "pass:word", "-out", key)
    key.chmod(0o600)
    with pytest.raises(CredentialsError, match="passphrase"):
        mine.check("cloud.example:1")


def plan_of(*options: str | Path) -> StreamPlan:
    parser = argparse.ArgumentParser()
    stream.add_arguments(parser)
    base = ["--camera", "synthetic:1", "--cloud", "cloud.example:1", "--vehicle", "car"]
    return stream.make_plan(parser.parse_args([*base, *map(str, options)]))


def test_the_command_line_names_the_files_and_checks_them_before_anything_else(files: Path) -> None:
    ca, cert, key, token = (files / name for name in ("ca.pem", "car.pem", "car-key.pem", "token"))
    plan = plan_of("--token", token, "--tls-ca", ca, "--tls-cert", cert, "--tls-key", key)
    assert plan.credentials == Credentials(token, ca, cert, key)
    assert plan_of().credentials == Credentials()
    assert plan_of("--token", token, "--plaintext-token").credentials.plaintext_token
    for options, error in (
        (["--token", token], UsageError),
        (["--tls-ca", ca, "--tls-key", key], UsageError),
        (["--tls-ca", files / "none"], CredentialsError),
    ):
        with pytest.raises(error):
            plan_of(*options)


def test_words_that_are_not_about_tls() -> None:
    assert tls_problem("Failed to connect to remote host: Connection refused") is None
    assert tls_problem("") is None


def test_a_cloud_that_wants_tls_or_a_certificate_and_hears_nothing_of_it(serve, files: Path) -> None:
    encrypted, mutual = serve(files), serve(files, mutual=True)
    for channel in (
        open_channel(encrypted.address),
        open_channel(mutual.address, Credentials(tls_ca=files / "ca.pem")),
    ):
        assert "hung up" in str(refusal(channel))
