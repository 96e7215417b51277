from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.link.corpus import Corpus, load, make_corpus, save
from common.errors import InputError

SMALL = Corpus(
    64,
    128,
    b"12345678",
    tuple(tuple(bytes(10 * q + f + 1) for q in range(8)) for f in range(3)),
    (b"s", b"ide"),
)


def test_a_corpus_is_kept_as_it_is(tmp_path: Path) -> None:
    save(SMALL, tmp_path / "some.npz")
    assert load(tmp_path / "some.npz") == SMALL
    assert [file.name for file in tmp_path.iterdir()] == ["some.npz"]


def test_the_street_repeats() -> None:
    assert SMALL.packet(4, 2) == bytes(22)
    assert SMALL.side(3) == b"ide"
    assert SMALL.wire_bytes(4, 2) == 22 + 64 + 1 + 36
    without = Corpus(64, 128, b"", SMALL.packets, ())
    assert without.side(0) is None
    assert without.wire_bytes(4, 2) == 22 + 64
    assert SMALL.mean_bytes() == {"main": [2, 12, 22, 32, 42, 52, 62, 72], "side": 2}


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04nonsense", b"x" * 500])
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "some.npz").write_bytes(content)
    with pytest.raises(InputError, match="corpus"):
        load(tmp_path / "some.npz")


def test_hevc_needs_every_frame() -> None:
    with pytest.raises(InputError, match="HEVC"):
        make_corpus("synthetic", "hevc:30", 1, print)


def test_packets_are_the_encoders() -> None:
    corpus = make_corpus("synthetic:3:64x128", "jpeg:10", 2, lambda _: None)
    assert (corpus.height, corpus.width, len(corpus.packets), len(corpus.sides)) == (64, 128, 2, 2)
    assert len(corpus.packet(0, 7)) > len(corpus.packet(0, 0)) > 3
    assert corpus.sides[0].startswith(b"\xff\xd8")
