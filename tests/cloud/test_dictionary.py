"""cloud.dictionary: an older bundle takes the dictionary, its id changes, everything else stays."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from cloud.dictionary import add_dictionary
from common.bundle import Bundle
from common.errors import BundleCorrupt, BundleNotFound, UsageError
from common.synthetic import OxtsRecorder
from common.telemetry import Record
from common.telemetry.dictionary import DICTIONARY_FILE, SHIPPED, open_codec, train_dictionary

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
bytes = 7
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "tiny"
    path.mkdir()
    (path / "a.bin").write_bytes(b"weights")
    (path / "manifest.toml").write_text(MANIFEST.format(digest=hashlib.sha256(b"weights").hexdigest()))
    return path


def test_the_shipped_dictionary_joins_a_bundle(folder: Path) -> None:
    before = Bundle.load(folder)
    after = add_dictionary(folder)
    assert after.id != before.id and after.codec == before.codec
    assert after.file(DICTIONARY_FILE).read_bytes() == SHIPPED.read_bytes()
    assert after.file("a.bin").read_bytes() == b"weights"
    assert open_codec(after).dictionary_id and not open_codec(before).dictionary_id
    assert (folder / "manifest.toml").read_text().startswith(MANIFEST.splitlines()[0])


def test_the_same_again_changes_nothing(folder: Path) -> None:
    first = add_dictionary(folder)
    assert add_dictionary(folder).id == first.id
    assert (folder / "manifest.toml").read_text().count(DICTIONARY_FILE) == 1


def test_another_takes_its_place_wherever_its_table_stands(folder: Path, tmp_path: Path) -> None:
    first = add_dictionary(folder)
    text = (folder / "manifest.toml").read_text()
    table = text[text.index('[files."telemetry') :]
    moved = text.replace(table, "").replace('[files."a.bin"]', table + '\n[files."a.bin"]')
    (folder / "manifest.toml").write_text(moved)
    other = tmp_path / "other.zdict"
    drives = [[Record(i, i, OxtsRecorder(seed).record(i)) for i in range(50)] for seed in range(6)]
    other.write_bytes(train_dictionary(drives, 1024))
    second = add_dictionary(folder, other)
    assert second.id != first.id and second.file(DICTIONARY_FILE).read_bytes() == other.read_bytes()
    assert set(second.manifest["files"]) == {"a.bin", DICTIONARY_FILE}
    assert second.manifest["files"]["a.bin"]["bytes"] == 7


def test_what_is_no_dictionary_leaves_the_bundle_alone(folder: Path, tmp_path: Path) -> None:
    before = (folder / "manifest.toml").read_bytes()
    (tmp_path / "wrong").write_bytes(b"not a dictionary")
    with pytest.raises(BundleCorrupt, match="wrong: not a zstd dictionary"):
        add_dictionary(folder, tmp_path / "wrong")
    with pytest.raises(UsageError, match="nowhere"):
        add_dictionary(folder, tmp_path / "nowhere")
    with pytest.raises(BundleNotFound):
        add_dictionary(tmp_path)
    assert (folder / "manifest.toml").read_bytes() == before and not (folder / DICTIONARY_FILE).exists()
