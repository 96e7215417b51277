"""What was finished is found again; what depends on other facts is not; damaged files are made again."""

import numpy as np
import pytest

from benchmarks.sequence.lowdelay import CodedVideo
from benchmarks.sequence.store import Store, code_fingerprint, fingerprint


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "cache")


def test_a_view_is_coded_once(store):
    made = []

    def make():
        made.append(1)
        return CodedVideo([b"abc", b"", b"de"], [2, 0, 1])

    facts = {"codec": "x", "setting": 3}
    for _ in range(2):
        coded = store.coded(facts, make)
        assert list(coded.packets) == [b"abc", b"", b"de"] and list(coded.counted) == [2, 0, 1]
    assert len(made) == 1
    store.coded({"codec": "x", "setting": 4}, make)
    assert len(made) == 2


def test_a_damaged_file_is_made_again(store, tmp_path):
    store.coded({}, lambda: CodedVideo([b"abc"], [3]))
    next((tmp_path / "cache" / "coded").iterdir()).write_bytes(b"PK\x03\x04 cut short")
    assert store.coded({}, lambda: CodedVideo([b"xyz"], [3])).packets == [b"xyz"]


def test_rows_are_added_to(store, tmp_path):
    assert store.rows(3) == {}
    store.add_rows(3, {"a": {"psnr": 20.0}})
    store.add_rows(3, {"b": {"psnr": 21.0}})
    assert store.rows(3) == {"a": {"psnr": 20.0}, "b": {"psnr": 21.0}}
    (tmp_path / "cache" / "rows" / "000003.json").write_text("{cut")
    assert store.rows(3) == {}


def test_arrays_come_back_exactly(store, tmp_path):
    image = np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8)
    assert store.arrays("k", 0) is None
    store.keep_arrays("k", 0, image=image, mask=np.full((20, 30), 0.1, np.float32))
    stored = store.arrays("k", 0)
    assert np.array_equal(stored["image"], image) and stored["mask"].dtype == np.float32
    (tmp_path / "cache" / "frames" / "k" / "000000.npz").write_bytes(b"cut")
    assert store.arrays("k", 0) is None


def test_fingerprints_follow_facts_and_code(tmp_path):
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1}) != fingerprint({"a": 1, "b": 3})
    (tmp_path / "room").mkdir()
    (tmp_path / "room" / "x.py").write_text("1")
    parts = [tmp_path / "room", tmp_path / "missing.py"]
    before = code_fingerprint(parts)
    assert code_fingerprint(parts) == before
    (tmp_path / "missing.py").write_text("")
    assert code_fingerprint(parts) != before
