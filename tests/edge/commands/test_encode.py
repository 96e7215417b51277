from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from common.bitstream.container import HEADER_BYTES, Container
from common.errors import BundleNotFound, DatasetError, ImageUnreadable, UsageError
from edge.__main__ import main
from edge.commands import encode


@pytest.fixture(autouse=True)
def _fake_encoder(monkeypatch: pytest.MonkeyPatch, fakes) -> None:
    monkeypatch.setattr(encode, "open_encoder", lambda bundle, threads: fakes.Encoder())


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.png", "b.jpg", "c.png"):
        cv2.imwrite(str(folder / name), np.full((64, 100, 3), 50, np.uint8))
    return folder


def test_one_file(photos: Path, tmp_path: Path, capsys, fakes) -> None:
    out = tmp_path / "x.mdic"
    assert main(["encode", str(photos / "a.png"), str(out), "--quality", "6", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert list(result) == ["input", "output", "bytes", "packet_bytes", "bpp", "ms"]
    assert result["bytes"] == out.stat().st_size == 60 + HEADER_BYTES
    assert result["packet_bytes"] == 60
    assert result["bpp"] == 60 * 8 / 6400
    assert result["ms"] == {"transform": 1.0, "total": 1.5}
    container = Container.parse(out.read_bytes())
    assert container.packet == bytes([6]) * 60
    assert (container.session.height, container.session.width, container.session.bundle_id) == (
        64,
        100,
        fakes.bundle_id,
    )


def test_one_file_into_a_folder_keeps_its_stem(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    assert main(["encode", str(photos / "a.png"), str(tmp_path / "there")]) == 0
    assert main(["encode", str(photos / "b.jpg"), str(tmp_path / "new") + os.sep]) == 0
    assert (tmp_path / "there" / "a.mdic").is_file()
    assert (tmp_path / "new" / "b.mdic").is_file()


def test_folder_prints_an_object_a_line(photos: Path, tmp_path: Path, capsys) -> None:
    assert main(["encode", str(photos), str(tmp_path / "out"), "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [Path(line["output"]).name for line in lines] == ["a.mdic", "b.mdic", "c.mdic"]


def test_broken_file_in_a_folder_does_not_stop_the_others(photos: Path, tmp_path: Path, capsys) -> None:
    (photos / "b.jpg").write_bytes(b"\xff\xd8broken")
    assert main(["encode", str(photos), str(tmp_path / "out")]) == ImageUnreadable.exit_code
    told = capsys.readouterr()
    errors = [line for line in told.err.splitlines() if line.startswith("error:")]
    assert len(errors) == 1 and "b.jpg" in errors[0]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.mdic", "c.mdic"]
    assert "2 of 3 images encoded, 120 packet bytes, 0.0750 bpp" in told.out


def test_error_of_the_encoder_names_the_file(photos: Path, tmp_path: Path, capsys) -> None:
    cv2.imwrite(str(photos / "a.png"), np.full((64, 100, 3), 13, np.uint8))
    assert main(["encode", str(photos), str(tmp_path / "out")]) == 10
    assert f"error: {photos / 'a.png'}: unlucky image" in capsys.readouterr().err


def test_single_broken_file_raises(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no")
    with pytest.raises(ImageUnreadable):
        main(["encode", str(tmp_path / "a.png"), str(tmp_path / "a.mdic")])
    assert not (tmp_path / "a.mdic").exists()


def test_bad_places(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageUnreadable, match="no such file"):
        main(["encode", str(tmp_path / "nowhere"), str(tmp_path / "o")])
    with pytest.raises(UsageError, match="is a file"):
        main(["encode", str(photos), str(tmp_path / "file")])
    with pytest.raises(DatasetError, match="no images"):
        main(["encode", str(tmp_path / "empty"), str(tmp_path / "o")])
    with pytest.raises(UsageError, match="cannot write"):
        main(["encode", str(photos / "a.png"), str(tmp_path / "file" / "a.mdic")])


def test_two_images_of_one_stem(photos: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(photos / "a.jpg"), np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(UsageError, match=r"a\.jpg and a\.png would both become"):
        main(["encode", str(photos), str(tmp_path / "o")])


@pytest.mark.parametrize("quality", ["8", "-1", "auto", "", "1.5", "٣"])
def test_bad_quality(photos: Path, tmp_path: Path, quality: str) -> None:
    with pytest.raises(UsageError, match="not 0 to 7"):
        main(["encode", str(photos), str(tmp_path / "o"), f"--quality={quality}"])


def test_writing_is_atomic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "a.mdic"
    target.write_bytes(b"old")

    def refuse(self: Path, other: Path) -> Path:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", refuse)
        with pytest.raises(UsageError, match="No space left"):
            encode.write_atomically(target, b"new")
    assert target.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.mdic"]
    encode.write_atomically(target, b"new")
    assert target.read_bytes() == b"new"


def test_unknown_bundle(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    with pytest.raises(BundleNotFound, match="nosuch"):
        main(["encode", str(photos), str(tmp_path / "o"), "--bundle", "nosuch"])
