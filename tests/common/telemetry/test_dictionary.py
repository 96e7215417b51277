"""common.telemetry.dictionary: old bundles do without, the shipped one is whole, training learns."""

import hashlib
from pathlib import Path

import pytest
import zstandard

from common.bundle import Bundle
from common.errors import BundleCorrupt
from common.synthetic import OxtsRecorder
from common.telemetry import Record
from common.telemetry.dictionary import DICTIONARY_FILE, SHIPPED, open_codec, train_dictionary

MANIFEST = """format = 1
name = "tiny"
[codec]
latent_channels = 4
hyper_channels = 2
qualities = 8
stride = 16
pad_multiple = 64
[files]
"""


def bundle(folder: Path, content: bytes | None) -> Bundle:
    text = MANIFEST
    if content is not None:
        (folder / DICTIONARY_FILE).write_bytes(content)
        text += f'[files."{DICTIONARY_FILE}"]\nsha256 = "{hashlib.sha256(content).hexdigest()}"\n'
    (folder / "manifest.toml").write_text(text)
    return Bundle.load(folder)


def test_the_shipped_one_opens_with_its_bundle(tmp_path):
    codec = open_codec(bundle(tmp_path, SHIPPED.read_bytes()))
    assert 32768 <= codec.dictionary_id < 65536
    assert zstandard.ZstdCompressionDict(SHIPPED.read_bytes()).dict_id() == codec.dictionary_id


def test_an_older_bundle_does_without(tmp_path):
    assert open_codec(bundle(tmp_path, None)).dictionary_id == 0
    assert open_codec(None).dictionary_id == 0


def test_a_changed_or_broken_dictionary_is_refused(tmp_path):
    good = bundle(tmp_path, SHIPPED.read_bytes())
    (tmp_path / DICTIONARY_FILE).write_bytes(b"changed")
    with pytest.raises(BundleCorrupt, match="sha256"):
        open_codec(good)
    with pytest.raises(BundleCorrupt, match="not a zstd dictionary"):
        open_codec(bundle(tmp_path, b"something else"))
    with pytest.raises(BundleCorrupt, match="larger"):
        open_codec(bundle(tmp_path, bytes(2 << 20)))


def test_training_is_repeatable_and_learns():
    drives = [[Record(i, i, OxtsRecorder(seed).record(i)) for i in range(60)] for seed in range(8)]
    trained = train_dictionary(drives, 2048)
    assert len(trained) <= 2048 and trained == train_dictionary(drives, 2048)
    assert zstandard.ZstdCompressionDict(trained).dict_id() >= 32768


def test_too_little_to_learn_from_is_said():
    with pytest.raises(ValueError, match="no dictionary from"):
        train_dictionary([[Record(0, 0, b"1 2 3")]], 2048)
