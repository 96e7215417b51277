"""`mdic-cloud certs`: what it makes lets a vehicle into a real server process, and nothing is overwritten."""

from __future__ import annotations

import asyncio
import stat
import time
from pathlib import Path

import grpc
import pytest
from fake_callers import RPCS, bearer, outcome
from fake_cloud import go
from fake_edge import Edge, hello, main
from fake_server import logged, server_process

from cloud.__main__ import main as command
from common.errors import CredentialsError, UsageError
from common.stream.messages import Role, Welcome

CODE = grpc.StatusCode


def make(out: Path, *options: str) -> None:
    assert command(["certs", "--out", str(out), *options]) == 0


def proof(out: Path, vehicle: str | None) -> grpc.ChannelCredentials:
    if vehicle is None:
        return grpc.ssl_channel_credentials((out / "ca.pem").read_bytes())
    parts = [(out / name).read_bytes() for name in ("ca.pem", f"{vehicle}-key.pem", f"{vehicle}.pem")]
    return grpc.ssl_channel_credentials(*parts)


def test_a_process_with_mutual_tls_and_tokens_lets_in_who_may_and_cuts_who_was_revoked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pki = tmp_path / "pki"
    make(pki, "--host", "localhost", "127.0.0.1", "--vehicle", "car-1", "car-2", "--tokens")
    tokens = {name: (pki / f"{name}.token").read_text().strip() for name in ("car-1", "car-2")}

    async def check(address: str) -> None:
        async with grpc.aio.secure_channel(address, proof(pki, "car-1")) as channel:
            for rpc in RPCS:
                assert await outcome(rpc, channel, bearer(tokens["car-1"])) == (CODE.OK, "")
                assert (await outcome(rpc, channel))[0] is CODE.UNAUTHENTICATED
                foreign = await outcome(rpc, channel, bearer(tokens["car-2"]), vehicle="car-2")
                assert foreign[0] is CODE.PERMISSION_DENIED
        async with grpc.aio.secure_channel(address, proof(pki, None)) as channel:
            assert (await outcome("Check", channel, bearer(tokens["car-1"])))[0] is CODE.UNAVAILABLE
        edge = Edge(address, proof(pki, "car-2"), bearer(tokens["car-2"]))
        assert isinstance(await edge.open(hello(Role.MAIN, vehicle="car-2")), Welcome)
        await edge.send(main(0))
        assert await edge.hear() is not None
        revoke = [
            "token",
            "revoke",
            "--tokens",
            str(pki / "tokens.json"),
            "--token",
            str(pki / "car-2.token"),
        ]
        assert await asyncio.to_thread(command, revoke) == 0
        revoked = time.monotonic()
        while await edge.hear() is not None:
            pass
        assert await edge.status() is CODE.UNAUTHENTICATED and time.monotonic() - revoked < 10
        await edge.close()
        async with grpc.aio.secure_channel(address, proof(pki, "car-2")) as channel:
            for rpc in RPCS:
                code, details = await outcome(rpc, channel, bearer(tokens["car-2"]), vehicle="car-2")
                assert code is CODE.UNAUTHENTICATED and "revoked" in details

    options = [f"--tls-cert={pki / 'server.pem'}", f"--tls-key={pki / 'server-key.pem'}",
               f"--tls-client-ca={pki / 'ca.pem'}", f"--tokens={pki / 'tokens.json'}"]  # fmt: skip
    with server_process(*options, "--sink", f"images:{tmp_path / 'out'}") as (server, address):
        go(check(address))
        arguments = Path(f"/proc/{server.pid}/cmdline")
        listed = arguments.read_bytes().decode() if arguments.exists() else ""
        server.terminate()
        assert server.wait(60) == 0
        log = logged(server)
    for token in tokens.values():
        for part in token.split("."):
            assert part not in log and part not in listed
    assert "refused /mdic.stream.v1.Ingest/Push" in log and "Traceback" not in log
    assert "PRIVATE" not in capsys.readouterr().out


def test_every_file_is_private_and_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "pki"
    make(out, "--host", "localhost", "--vehicle", "car-1", "--tokens")
    names = {"ca.pem", "ca-key.pem", "server.pem", "server-key.pem", "car-1.pem", "car-1-key.pem",
             "token-key.pem", "tokens.json", "car-1.token"}  # fmt: skip
    assert {path.name for path in out.iterdir()} == names
    assert {Path(line).name for line in capsys.readouterr().out.splitlines()} == names
    assert stat.S_IMODE(out.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in out.iterdir()} == {0o600}


def test_nothing_is_overwritten_and_nothing_half_done(tmp_path: Path) -> None:
    make(tmp_path, "--host", "localhost", "--vehicle", "car-1")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for options in (["--host", "other"], ["--vehicle", "car-2", "car-1"], ["--vehicle", "car-1", "--tokens"]):
        with pytest.raises(CredentialsError, match="not overwritten"):
            make(tmp_path, *options)
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_vehicle_can_be_added_later_under_the_same_ca_and_key(tmp_path: Path) -> None:
    make(tmp_path, "--host", "localhost", "--vehicle", "car-1", "--tokens")
    before = {name: (tmp_path / name).read_bytes() for name in ("ca.pem", "token-key.pem", "tokens.json")}
    make(tmp_path, "--vehicle", "car-2", "--tokens")
    assert (tmp_path / "car-2.pem").exists() and (tmp_path / "car-2.token").exists()
    assert all((tmp_path / name).read_bytes() == data for name, data in before.items())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "nothing to make"),
        (["--host", "localhost", "--tokens"], "--tokens needs --vehicle"),
        (["--host", "a b"], "neither a name nor an address"),
        (["--host", "x" * 300], "neither a name"),
        (["--host", "x..y"], "neither a name"),
        (["--host", "ü.example"], "neither a name"),
        (["--vehicle", "../x"], "vehicle"),
        (["--vehicle", "server"], "called like others'"),
        (["--vehicle", "a", "a"], "twice"),
        (["--vehicle", "a", "--days", "0"], "--days"),
        (["--vehicle", "a", "--days", "99999"], "--days"),
    ],
)
def test_bad_options(options: list[str], words: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=words):
        make(tmp_path / "pki", *options)
    assert not (tmp_path / "pki").exists()


def test_a_ca_that_is_not_one_of_ours(tmp_path: Path) -> None:
    make(tmp_path, "--host", "localhost")
    (tmp_path / "ca-key.pem").write_bytes((tmp_path / "server-key.pem").read_bytes())
    with pytest.raises(CredentialsError, match="not a CA of ours"):
        make(tmp_path, "--vehicle", "car-1")
    (tmp_path / "ca-key.pem").unlink()
    with pytest.raises(CredentialsError, match="CA key cannot be read"):
        make(tmp_path, "--vehicle", "car-1")
