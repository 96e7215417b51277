from __future__ import annotations

import importlib

import pytest

from common.errors import BundleNotFound
from edge.__main__ import main
from edge.commands import doctor


def lines(capsys) -> dict[str, tuple[str, str]]:
    told = {}
    for line in capsys.readouterr().out.splitlines():
        state, subject, text = line.split(maxsplit=2)
        told[subject] = (state, text)
    return told


@pytest.fixture
def _bundle_is_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("check_bundle", "check_encoding"):
        monkeypatch.setattr(doctor, name, lambda bundle, name=name: doctor.Finding("ok", name, "fine"))


@pytest.mark.usefixtures("_bundle_is_fine")
def test_a_line_each(capsys) -> None:
    assert main(["doctor"]) == 0
    told = lines(capsys)
    assert told["onnxruntime"][0] == "ok" and "CPUExecutionProvider" in told["onnxruntime"][1]
    assert told["grpc"][0] == "ok" and "protobuf" in told["grpc"][1]
    assert {"hevc", "cameras"} <= told.keys()


def test_unknown_bundle_fails_and_the_rest_is_still_told(capsys) -> None:
    assert main(["doctor", "--bundle", "nosuch"]) == BundleNotFound.exit_code
    told = lines(capsys)
    assert told["bundle"][0] == told["encoding"][0] == "FAIL"
    assert "nosuch" in told["bundle"][1]
    assert told["grpc"][0] == "ok"


@pytest.mark.usefixtures("_bundle_is_fine")
@pytest.mark.parametrize(
    ("package", "subject", "state", "code"),
    [("onnxruntime", "onnxruntime", "FAIL", 50), ("grpc", "grpc", "FAIL", 50), ("av", "hevc", "note", 0)],
)
def test_missing_package(
    monkeypatch: pytest.MonkeyPatch, capsys, package: str, subject: str, state: str, code: int
) -> None:
    real = importlib.import_module

    def refuse(name: str) -> object:
        if name == package:
            raise ImportError(name)
        return real(name)

    monkeypatch.setattr(doctor.importlib, "import_module", refuse)
    assert main(["doctor"]) == code
    told = lines(capsys)[subject]
    assert told[0] == state and ".[edge]" in told[1]
