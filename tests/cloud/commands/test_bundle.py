"""`mdic-cloud bundle`: what it holds, and whether it is whole."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from cloud.__main__ import main
from common.errors import BundleCorrupt, BundleNotFound, UsageError

MANIFEST = """\
format = 1
name = "tiny"
[codec]
latent_channels = 1
hyper_channels = 1
qualities = 8
stride = 16
pad_multiple = 64
[files."a.bin"]
sha256 = "{digest}"
"""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    (tmp_path / "a.bin").write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    (tmp_path / "manifest.toml").write_text(MANIFEST.format(digest=digest))
    return tmp_path


def test_a_whole_bundle_is_listed(bundle: Path, capsys) -> None:
    assert main(["bundle", str(bundle), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["name"], said["files"]) == ("tiny", {"a.bin": 7})
    assert said["id"] == hashlib.sha256((bundle / "manifest.toml").read_bytes()).hexdigest()[:16]
    assert main(["bundle", str(bundle)]) == 0
    assert "a.bin" in capsys.readouterr().out


def test_a_changed_file_is_named(bundle: Path) -> None:
    (bundle / "a.bin").write_bytes(b"changed")
    with pytest.raises(BundleCorrupt, match=r"a\.bin"):
        main(["bundle", str(bundle)])


def test_a_bundle_that_is_not_there() -> None:
    with pytest.raises(BundleNotFound, match="no-such-bundle"):
        main(["bundle", "no-such-bundle"])


def test_a_dictionary_is_added(bundle: Path, capsys) -> None:
    before = (bundle / "manifest.toml").read_bytes()
    assert main(["bundle", str(bundle), "--add-dictionary", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert set(said["files"]) == {"a.bin", "telemetry.zdict"}
    assert said["id"] != hashlib.sha256(before).hexdigest()[:16]
    with pytest.raises(UsageError, match=r"no\.zdict"):
        main(["bundle", str(bundle), "--add-dictionary", "no.zdict"])
