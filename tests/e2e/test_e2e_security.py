"""Real processes: `mdic-cloud certs` makes the files, `serve` asks for them, `mdic-edge stream` shows them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytest.importorskip("grpc_health", reason="the cloud extra is not installed")
pytest.importorskip("onnxruntime", reason="the edge extra is not installed")


def program(name: str, *words: str | Path) -> list[str]:
    return [sys.executable, "-m", name, *map(str, words)]


def done(name: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        program(name, *words), cwd=ROOT, capture_output=True, text=True, timeout=120,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


@pytest.fixture
def pki(tmp_path: Path) -> Path:
    out = tmp_path / "pki"
    vehicles = ("--vehicle", "car-1", "car-2", "--tokens")
    assert done("cloud", "certs", "--out", out, "--host", "localhost", *vehicles).returncode == 0
    return out


@pytest.fixture
def address(pki: Path, tmp_path: Path) -> Iterator[str]:
    options = ("--tls-cert", pki / "server.pem", "--tls-key", pki / "server-key.pem",
               "--tls-client-ca", pki / "ca.pem", "--tokens", pki / "tokens.json")  # fmt: skip
    words = ("serve", "--listen", "localhost:0", "--engine", "null", "--sink", f"images:{tmp_path / 'out'}")
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(
            program("cloud", *words, *options), cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True
        )
    assert server.stdout is not None
    yield server.stdout.readline().split()[-1]
    server.kill()
    server.communicate()


def stream(pki: Path, address: str, vehicle: str, *options: str | Path) -> subprocess.CompletedProcess[str]:
    words = (
        "--camera",
        "synthetic:7",
        "--frames",
        2,
        "--threads",
        1,
        "--side-codec",
        "jpeg",
        "--timeout",
        20,
    )
    return done("edge", "stream", *words, "--cloud", address, "--vehicle", vehicle, "--json", *options)


def test_only_the_vehicle_itself_gets_in_and_a_revoked_one_no_more(
    pki: Path, address: str, tmp_path: Path
) -> None:
    tls = ("--tls-ca", pki / "ca.pem", "--tls-cert", pki / "car-1.pem", "--tls-key", pki / "car-1-key.pem")
    mine = ("--token", pki / "car-1.token", *tls)
    good = stream(pki, address, "car-1", *mine)
    assert good.returncode == 0, good.stderr
    index = (tmp_path / "out" / "car-1" / "index.jsonl").read_text().splitlines()
    assert [json.loads(line)["seq"] for line in index] == [0, 1]
    refused = {
        "asks for a token": stream(pki, address, "car-1", *tls),
        "not of the same vehicle": stream(pki, address, "car-2", "--token", pki / "car-2.token", *tls),
        "does not name vehicle 'car-2'": stream(pki, address, "car-2", *mine),
    }
    for words, run in refused.items():
        assert run.returncode == 44 and words in run.stderr, run.stderr
    assert (
        done("cloud", "token", "revoke", "--tokens", pki / "tokens.json", "--vehicle", "car-1").returncode
        == 0
    )
    for _ in range(10):
        revoked = stream(pki, address, "car-1", *mine)
        if revoked.returncode:
            break
    assert revoked.returncode == 44 and "revoked" in revoked.stderr, revoked.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["car-1"]
    everything = (
        (tmp_path / "log").read_text() + good.stderr + "".join(run.stderr for run in refused.values())
    )
    token = (pki / "car-1.token").read_text().strip()
    assert not any(part in everything for part in token.split("."))


def test_without_the_certificate_nothing_is_even_said(pki: Path, address: str) -> None:
    run = stream(pki, address, "car-1", "--token", pki / "car-1.token", "--tls-ca", pki / "ca.pem")
    assert run.returncode == 41 and "hung up at once" in run.stderr, run.stderr
